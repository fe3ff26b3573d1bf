import pytest

from tools.python import NOTHING_PRINTED, python_tool
from tools.sandbox import Limits, Sandbox, Tier
from tools.toolbox import Toolbox

SANDBOX = Sandbox(Limits(seconds=60.0))
BOX = Toolbox([python_tool(SANDBOX)], max_characters=100)


async def test_the_result_is_what_the_program_printed_and_which_tier_ran_it():
    result = await BOX.call("python", {"code": "for n in range(3):\n    print(n)\n"}, 120)
    assert result.output == "0\n1\n2"
    assert result.sandbox_tier in set(Tier)
    assert result.sandbox_tier == (await SANDBOX.tier()).value


async def test_an_exception_is_an_error_that_names_its_tier():
    result = await BOX.call("python", {"code": "x = 1\nx / 0"}, 120)
    assert result.text == "Error: ZeroDivisionError: division by zero (line 2)"
    assert result.sandbox_tier == (await SANDBOX.tier()).value


async def test_a_program_that_prints_nothing_is_told_so():
    assert (await BOX.call("python", {"code": "x = 1"}, 120)).output == NOTHING_PRINTED


async def test_a_long_output_is_cut_to_the_toolbox_s_bound():
    result = await BOX.call("python", {"code": "print('x' * 1000)"}, 120)
    assert (result.output or "").endswith("[cut: 900 more characters]")


async def test_without_a_sandbox_the_model_and_the_person_read_why(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    box = Toolbox([python_tool(Sandbox(weakest=Tier.BUBBLEWRAP))])
    result = await box.call("python", {"code": "print(1)"}, 60)
    assert "No sandbox works on this machine, so programs are not run" in (result.error or "")


@pytest.mark.parametrize("code", ["print('\\ud800')", "print('\x1b[2J')", "# \ud800"])
async def test_strange_text_in_and_out_is_harmless(code):
    result = await BOX.call("python", {"code": code}, 120)
    result.text.encode()
    assert "\x1b" not in result.text
