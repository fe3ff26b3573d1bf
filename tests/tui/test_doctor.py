"""What the doctor says of a machine that works and of one that does not."""

from pathlib import Path

import pytest

from agent.policy.embedded import EmbeddedPolicy
from agent.settings import Settings
from tests.agent.policy.servers import CompletionsServer, serve
from tui.doctor import examine

CHECKS = ["python", "packages", "log", "sandbox", "encoder", "index", "gpu", "model"]


def lines_of(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}


async def test_a_machine_that_works_gets_an_ok_for_everything(
    model: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await examine(Settings(home=home, model=model, encoder="none"))
    lines = lines_of(capsys)
    assert list(lines) == CHECKS
    assert all(line.startswith("ok    ") for line in lines.values())
    assert "in this process, context 768, 8 tokens in" in lines["model"]


async def test_the_server_that_would_answer_is_named(
    model: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = EmbeddedPolicy.load(model)
    async with serve(CompletionsServer(policy, {"root": model}).app()) as url:
        await examine(Settings(home=home, base_url=url, encoder="none"))
    assert f"tiny@base at {url}, context 768" in lines_of(capsys)["model"]
    await policy.close()


async def test_what_is_broken_is_named_and_the_rest_still_looked_at(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await examine(Settings(home=home, model="no/such/folder", encoder="none"))
    lines = lines_of(capsys)
    assert [name for name, line in lines.items() if line.startswith("FAIL")] == ["model"]
    assert "no/such/folder" in lines["model"]
