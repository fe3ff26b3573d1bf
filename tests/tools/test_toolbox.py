import asyncio
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.passage import Passage
from tools.calculator import calculator
from tools.tool import ToolError, ToolOutput, ToolSetupError, tool
from tools.toolbox import Toolbox, clean


@tool
async def echo(text: str, times: int = 1) -> str:
    """Say it."""
    return text * times


@tool
async def broken(text: str) -> str:
    """Break."""
    raise RuntimeError(f"password={text} in /home/someone/secret.py")


@tool
async def leaving() -> str:
    """Leave."""
    sys.exit(3)


@tool
async def refusing() -> str:
    """Refuse."""
    raise ToolError("There is no such city; name a larger one.", sandbox_tier="landlock")


@tool
async def cancelling() -> str:
    """Cancel itself."""
    raise asyncio.CancelledError


BOX = Toolbox([calculator, echo, broken, leaving, refusing, cancelling])


async def test_a_call_gives_the_output_and_the_arguments_it_was_made_with():
    result = await BOX.call("calculator", {"expression": "12*7-9"}, 5)
    assert (result.output, result.error, result.arguments) == ("75", None, {"expression": "12*7-9"})
    assert result.text == "75"
    assert result.seconds > 0


async def test_arguments_may_be_the_text_of_a_json_object():
    assert (await BOX.call("echo", '{"text": "ab", "times": 2}', 5)).output == "abab"
    assert (
        await BOX.call("echo", '{"text": "one\ntwo"}', 5)
    ).output == "one\ntwo"  # a raw newline: small models do that


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("calc", {}, "There is no tool called 'calc'. Available tools: calculator, echo, broken"),
        ("echo", '{"text": ', "not valid JSON (Expecting value at character 8). echo takes"),
        ("echo", "[1]", "must be a JSON object"),
        ("echo", '{"text": NaN}', "not valid JSON"),
        ("echo", "[" * 100_000, "not valid JSON"),
        ("echo", "1" * 10_000, "not valid JSON"),
        ("echo", {}, '"text" is missing. echo takes "text" (string), "times" (integer, optional).'),
        ("echo", "", '"text" is missing'),
        ("echo", {"text": "a", "time": 2}, '"time" is not an argument. echo takes'),
        ("echo", {"text": "a", "times": "many"}, '"times" input should be a valid integer'),
        ("echo", {"text": object()}, "not valid JSON"),
        ("refusing", {}, "There is no such city; name a larger one."),
        ("broken", {"text": "hunter2"}, "broken failed unexpectedly (RuntimeError); try other arguments"),
        ("leaving", {}, "leaving failed unexpectedly (SystemExit)"),
        ("cancelling", {}, "cancelling was interrupted"),
    ],
)
async def test_whatever_goes_wrong_is_a_sentence_the_model_can_act_on(name, arguments, sentence):
    result = await BOX.call(name, arguments, 5)
    assert result.output is None
    assert sentence in (result.error or "")
    assert result.text == f"Error: {result.error}"


async def test_an_unexpected_failure_shows_the_model_no_message_and_the_log_all_of_it(caplog):
    caplog.set_level(logging.INFO, "ponder.tools")
    result = await BOX.call("broken", {"text": "hunter2"}, 5)
    assert "hunter2" not in result.text
    assert "secret.py" not in result.text
    assert "hunter2" in caplog.text


async def test_a_failed_call_says_which_sandbox_ran_it():
    assert (await BOX.call("refusing", {}, 5)).sandbox_tier == "landlock"


async def test_what_an_output_says_beside_its_text_is_kept():
    passages = (Passage("t", "s", 0, 1),)

    @tool
    async def rich() -> ToolOutput:
        """Be rich."""
        return ToolOutput("x", passages, "monty")

    result = await Toolbox([rich]).call("rich", {}, 5)
    assert (result.output, result.passages, result.sandbox_tier) == ("x", passages, "monty")


async def test_an_output_is_cut_to_its_bound_and_says_by_how_much():
    box = Toolbox([echo], max_characters=10)
    result = await box.call("echo", {"text": "0123456789", "times": 124}, 5)
    assert result.output == "0123456789\n[cut: 1230 more characters]"
    assert result.truncated
    exact = await box.call("echo", {"text": "0123456789"}, 5)
    assert (exact.output, exact.truncated) == ("0123456789", False)


async def test_terminal_controls_and_lone_surrogates_become_harmless_in_and_out():
    seen = []

    @tool
    async def look(text: str) -> str:
        """Look."""
        seen.append(text)
        return "\x1b[2J\ud800ok\r\nnext\x00\x9b"

    result = await Toolbox([look]).call("look", '{"text": "a\\ud83d\\ude00\\udfff"}', 5)
    assert result.output == "\ufffd[2J\ufffdok\nnext\ufffd\ufffd"
    assert seen == ["a\U0001f600\ufffd"]
    assert result.arguments == {"text": "a\U0001f600\ufffd"}
    assert (await Toolbox([look]).call("l\ud800", "\ud800", 5)).name == "l\ufffd"


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_cleaned_text_can_be_encoded_and_holds_no_control_but_tab_and_newline(text):
    cleaned = clean(text)
    cleaned.encode()
    assert not [c for c in cleaned if (c < " " and c not in "\t\n") or "\x7f" <= c <= "\x9f"]
    assert clean(cleaned) == cleaned


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
async def test_no_arguments_make_a_call_raise(arguments):
    result = await BOX.call("echo", arguments, 5)
    assert (result.output is None) != (result.error is None)


async def test_a_call_past_its_deadline_is_stopped_and_says_so():
    stopped = asyncio.Event()

    @tool(timeout_seconds=60)
    async def slow() -> str:
        """Wait."""
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return ""

    result = await Toolbox([slow]).call("slow", {}, 0.01)
    assert "slow took longer than 0.01 seconds and was stopped" in (result.error or "")
    assert stopped.is_set()
    assert "No time was left" in ((await Toolbox([slow]).call("slow", {}, 0)).error or "")


async def test_a_tool_has_its_own_timeout_where_that_is_shorter():
    @tool(timeout_seconds=0.01)
    async def slow() -> str:
        """Wait."""
        await asyncio.sleep(60)
        return ""

    assert "took longer than 0.01 seconds" in ((await Toolbox([slow]).call("slow", {}, 60)).error or "")


async def test_a_tool_that_ignores_its_cancellation_does_not_hold_the_caller(monkeypatch):
    monkeypatch.setattr("tools.toolbox._CLEANUP_SECONDS", 0.01)
    release = asyncio.Event()

    @tool
    async def stubborn() -> str:
        """Stay."""
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return ""

    result = await Toolbox([stubborn]).call("stubborn", {}, 0.01)
    release.set()
    assert "took longer" in (result.error or "")


async def test_cancelling_a_call_cancels_the_tool_and_raises():
    started, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def slow() -> str:
        """Wait."""
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return ""

    call = asyncio.ensure_future(Toolbox([slow]).call("slow", {}, 60))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert stopped.is_set()


def test_the_fingerprint_is_of_what_the_model_is_shown():
    assert Toolbox([calculator]).fingerprint == Toolbox([calculator]).fingerprint
    assert (
        len({Toolbox(tools).fingerprint for tools in ([calculator], [echo], [calculator, echo], [echo, calculator])})
        == 4
    )
    assert Toolbox([calculator]).schemas() == [calculator.function_schema()]


def test_tools_of_a_caller_are_shown_last_and_take_the_place_of_their_namesakes():
    own, theirs = Toolbox([echo, calculator]), {"type": "function", "function": {"name": "echo", "parameters": {}}}
    both = own.with_callers([theirs])
    assert [schema["function"]["name"] for schema in both.schemas()] == ["calculator", "echo"]
    assert both.schemas()[1] == theirs
    assert both.is_callers("echo")
    assert both.find("echo") is None
    assert not both.is_callers("calculator")
    assert not own.is_callers("echo")


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(ToolSetupError, match="Two tools are called 'echo'"):
        Toolbox([echo, echo])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package, as pip leaves one, with a tool, a function and things that are neither."""
    (tmp_path / "weather_of_mine.py").write_text(
        "from tools.tool import tool\n"
        "@tool\ndef weather(city: str) -> str:\n    'The weather.'\n    return f'sunny in {city}'\n"
        "def bare(city: str) -> str:\n    'Bare.'\n    return city\n"
        "class Box:\n    inner = weather\n"
        "number = 3\n"
    )
    (tmp_path / "broken_of_mine.py").write_text("1/0")
    info = tmp_path / "weather_of_mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather-of-mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[ponder.tools]\nsky = weather_of_mine:weather\nsea = weather_of_mine:missing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("weather_of_mine", None)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    "spec", ["weather_of_mine:weather", "weather_of_mine:Box.inner", "sky", "weather_of_mine:bare"]
)
async def test_a_tool_of_the_users_own_is_loaded_by_its_place_or_by_its_entry_point(spec):
    loaded = Toolbox.load(spec)
    assert "Rome" in ((await Toolbox([loaded]).call(loaded.name, {"city": "Rome"}, 5)).output or "")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("weather_of_mine:number", "is a int"),
        ("weather_of_mine:absent", "AttributeError"),
        ("no_such_module:x", "ModuleNotFoundError"),
        ("broken_of_mine:x", "ZeroDivisionError"),
        ("sea", "cannot be imported"),
        ("storm", "No package offers a tool called 'storm' .*sky"),
        (":", "cannot be imported"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_the_reason(spec, reason):
    with pytest.raises(ToolSetupError, match=reason):
        Toolbox.load(spec)
