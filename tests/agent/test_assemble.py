"""Assembling: settings become an agent that can be asked, and what cannot be had is named."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from agent.assemble import CHECKPOINTS, assemble, forget_checkpoints, policy_of
from agent.errors import PonderError, SettingsError
from agent.mcp_servers import SEEN
from agent.panel import judge_settings, needs_judge, panel_of
from agent.policy import note
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import EndpointPolicy
from agent.policy.note import Note
from agent.policy.policy import PolicyError
from agent.policy.wire import EndpointDenied, EndpointUnreachable
from agent.records import SamplingParams
from agent.run import ask
from agent.search.attempts import BestOfN
from agent.search.registry import STRATEGIES
from agent.settings import McpServer, Settings
from retrieval.indexing import index
from tests.agent.policy.servers import CompletionsServer, hang, hostile, serve
from tests.agent.scripted import how
from tools.tool import ToolSetupError, tool
from verifiers.reward import WITHOUT_GOLD
from verifiers.verdict import Case, VerifierError

OWN = """
from dataclasses import dataclass
from agent.search.strategy import Choice, attempts
from verifiers.verdict import Verdict

def shout(text: str) -> str:
    \"\"\"Say it loudly.\"\"\"
    return text.upper()

class Polite:
    name = "polite"
    async def verify(self, cases):
        return [Verdict("polite", float("please" in case.answer)) for case in cases]

@dataclass(frozen=True, slots=True)
class Twice:
    name: str = "twice"
    stopping_rule: str = "twice"
    def grow(self, candidates):
        return attempts(2 - len(candidates))
    def choose(self, candidates):
        return Choice(candidates[-1].path, "the last")

WEIGHTS = {"format": 0.25, "polite": 0.75}
"""


@pytest.fixture
def settings(home: Path, model_folder: Path) -> Settings:
    return Settings(home=home, model=str(model_folder), encoder="none")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of a person's own."""
    (tmp_path / "own_parts_of_ponder.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_parts_of_ponder"
    sys.modules.pop("own_parts_of_ponder", None)


def with_(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


async def test_a_fresh_home_gives_an_agent_that_can_be_asked_and_a_log_for_its_owner_only(settings: Settings) -> None:
    async with assemble(settings) as agent:
        assert isinstance(agent.policy, EmbeddedPolicy)
        assert [schema["function"]["name"] for schema in agent.toolbox.schemas()] == ["calculator", "python"]
        assert [verifier.name for verifier in agent.verifiers] == list(agent.weights)
        run = await ask(agent, "How many pens?", how(sample_tokens=5))
    assert run.usage.sampled_tokens == 5
    files = {file.name: oct(file.stat().st_mode & 0o777) for file in settings.home.iterdir() if file.is_file()}
    assert files["log.sqlite"] == files[CHECKPOINTS] == "0o600"


async def test_search_is_offered_once_something_is_indexed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "pens.md").write_text("# Pens\n\nPens are blue.")
    index([tmp_path / "pens.md"], settings.home / "index", None)
    async with assemble(settings) as agent:
        assert agent.toolbox.find("search") is not None
        found = await agent.toolbox.call("search", {"query": "blue pens"}, deadline_seconds=10)
    assert found.passages[0].text.endswith("Pens are blue.")


async def test_a_persons_own_parts_are_used(settings: Settings, own: str) -> None:
    parts = with_(
        settings,
        tools=(f"{own}:shout",),
        verifiers=(f"{own}:Polite",),
        strategies=(f"{own}:Twice",),
        rewards=(f"{own}:WEIGHTS",),
    )
    async with assemble(parts) as agent:
        assert (await agent.toolbox.call("shout", {"text": "pens"}, 10)).output == "PENS"
        assert [verifier.name for verifier in agent.verifiers] == ["format", "polite"]
        assert agent.weights == {"format": 0.25, "polite": 0.75}
        run = await ask(agent, "How many pens?", how(STRATEGIES["twice"](), sample_tokens=5))
    del STRATEGIES["twice"]
    assert (run.strategy, len(run.nodes), run.chosen) == ("twice", 2, (1,))


async def test_a_verifier_without_a_weight_weighs_one_under_its_own_name(settings: Settings, own: str) -> None:
    async with assemble(with_(settings, verifiers=(f"{own}:Polite",))) as agent:
        assert agent.weights["polite"] == 1.0
        assert agent.weights["consensus"] == 0.7


WEIGHTS = """
[without_gold]
polite = 2
format = 0.5
[with_gold]
exact = 1
"""


async def test_a_file_of_weights_takes_the_place_of_the_tables_that_it_has(
    settings: Settings, own: str, tmp_path: Path
) -> None:
    file = tmp_path / "weights.toml"
    file.write_text(WEIGHTS)
    async with assemble(with_(settings, verifiers=(f"{own}:Polite",), rewards=(str(file),))) as agent:
        assert agent.weights == {"polite": 2, "format": 0.5}
        assert [verifier.name for verifier in agent.verifiers] == ["format", "polite"]
    file.write_text("[with_gold]\nexact = 1\n")
    async with assemble(with_(settings, rewards=(str(file),))) as agent:
        assert agent.weights == WITHOUT_GOLD


@pytest.mark.parametrize("table", ["without_gold", "with_gold"])
async def test_a_name_in_a_file_of_weights_that_is_no_verifiers_is_told_of(
    settings: Settings, tmp_path: Path, table: str
) -> None:
    file = tmp_path / "weights.toml"
    file.write_text(f"[{table}]\nformat = 1\npolit = 1\n")
    with pytest.raises(PonderError, match=rf"^{file}: '{table}.polit' weighs no verifier: There is no .*'polit'; take"):
        async with assemble(with_(settings, rewards=(str(file),))):
            pass


# --- judges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["judge", "judge_pointwise"])
async def test_the_agents_own_model_judges_where_no_other_is_named(settings: Settings, name: str) -> None:
    async with assemble(with_(settings, verifiers=(name,))) as agent:
        assert agent.weights[name] == 1.0
        [judge] = [verifier for verifier in agent.verifiers if verifier.name == name]
        for verdict in await judge.verify([Case("How many?", "Answer: 1"), Case("How many?", "Answer: 2")]):
            assert verdict.score is None  # it says nothing that could be read, or the prompt is too long for it
            assert verdict.reason


@pytest.mark.parametrize("form", ["url", "folder"])
async def test_another_model_judges_where_it_is_named(
    settings: Settings, policy: EmbeddedPolicy, model_folder: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges: list[object] = []
    monkeypatch.setattr("agent.policy.judging.PolicyJudge", judges.append)
    async with serve(CompletionsServer(policy, {"root": str(model_folder)}).app()) as url:
        changes = {"judge": url if form == "url" else str(model_folder), "verifiers": ("judge",)}
        async with assemble(with_(settings, **changes)) as agent:
            [judge] = judges
            assert judge is not agent.policy
            assert isinstance(judge, EndpointPolicy if form == "url" else EmbeddedPolicy)


async def test_a_judge_that_nobody_asks_is_not_loaded(settings: Settings) -> None:
    async with assemble(with_(settings, judge="http://127.0.0.1:9/v1")):
        pass
    with pytest.raises(EndpointUnreachable):
        async with assemble(with_(settings, judge="http://127.0.0.1:9/v1", verifiers=("judge",))):
            pass


def test_a_key_is_told_to_no_other_server_than_its_own() -> None:
    served = Settings(base_url="https://a.example/v1", api_key=SecretStr("sk"), model="answers")
    there, elsewhere, beside = (
        judge_settings(with_(served, judge=judge))
        for judge in ("https://a.example/v1/", "https://b.example/v1", "judges")
    )
    assert (there.base_url, there.model, there.api_key) == ("https://a.example/v1/", None, SecretStr("sk"))
    assert (elsewhere.base_url, elsewhere.model, elsewhere.api_key) == ("https://b.example/v1", None, None)
    assert (beside.base_url, beside.model, beside.api_key) == ("https://a.example/v1", "judges", SecretStr("sk"))
    assert judge_settings(served) == served


async def test_a_file_of_weights_puts_a_judge_on_the_panel(
    settings: Settings, policy: EmbeddedPolicy, tmp_path: Path
) -> None:
    file = tmp_path / "weights.toml"
    file.write_text("[without_gold]\nconsensus = 1\njudge = 0.5\n")
    weighing = with_(settings, rewards=(str(file),))
    verifiers, weights = panel_of(weighing, policy)
    assert [verifier.name for verifier in verifiers] == list(weights) == ["consensus", "judge"]
    assert needs_judge(weighing)
    assert not needs_judge(settings)


def test_a_panel_without_a_model_cannot_ask_one(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="name one in the setting judge"):
        panel_of(with_(settings, verifiers=("judge",)))


async def test_the_tools_of_an_mcp_server_are_offered(settings: Settings) -> None:
    script = Path(__file__).parents[1] / "tools" / "server_of_tests.py"
    servers = {"ours": McpServer(command=sys.executable, args=(str(script),))}
    async with assemble(with_(settings, mcp_servers=servers)) as agent:
        names = [schema["function"]["name"] for schema in agent.toolbox.schemas()]
    assert len(names) > 2
    assert {name for name in names if name not in ("calculator", "python")} == {
        n for n in names if n.startswith("ours_")
    }


async def test_a_tool_that_has_changed_asks_even_where_always_was_set(settings: Settings) -> None:
    script = Path(__file__).parents[1] / "tools" / "server_of_tests.py"
    servers = {"ours": McpServer(command=sys.executable, args=(str(script),))}
    trusting = with_(settings, mcp_servers=servers, approvals={"ours_*": "always"})
    async with assemble(trusting) as agent:
        tool = agent.toolbox.find("ours_add_up")
        assert tool is not None
        assert (tool.asks, tool.trusted, tool.origin) == (False, True, "ours")
    (settings.home / SEEN).write_text(json.dumps({"ours": {"ours_add_up": "another"}}))
    async with assemble(trusting) as agent:
        tool = agent.toolbox.find("ours_add_up")
        assert tool is not None
        assert tool.asks


@tool
async def ours_add_up() -> str:
    """Of the person's own."""
    return ""


async def test_what_cannot_be_used_of_mcp_servers_is_a_warning_and_costs_nothing_else(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """One that does not start, one whose key is not set, and one whose tools have the names of another's."""
    script = Path(__file__).parents[1] / "tools" / "server_of_tests.py"
    servers = {
        "none": McpServer(command="no-such-program"),
        "keyless": McpServer(url="http://127.0.0.1:9/mcp", headers={"Key": "${NO_SUCH_VARIABLE}"}),
        "ours": McpServer(command=sys.executable, args=(str(script),)),
    }
    async with assemble(with_(settings, mcp_servers=servers, tools=(f"{__name__}:ours_add_up",))) as agent:
        found = agent.toolbox.find("ours_add_up")
        assert found is not None
        assert found.origin == ""
        assert any(schema["function"]["name"] == "ours_slow" for schema in agent.toolbox.schemas())
    said = caplog.text
    assert "the MCP server none is not used: There is no program 'no-such-program'" in said
    assert "a tool of the MCP server ours is not offered: another is called ours_add_up" in said
    assert "the MCP server keyless is not used: An MCP server needs the variable NO_SUCH_VARIABLE" in said


async def test_two_servers_may_have_tools_of_the_same_name(settings: Settings) -> None:
    script = Path(__file__).parents[1] / "tools" / "server_of_tests.py"
    server = McpServer(command=sys.executable, args=(script.name,), folder=script.parent)
    async with assemble(with_(settings, mcp_servers={"one": server, "two": server})) as agent:
        names = [schema["function"]["name"] for schema in agent.toolbox.schemas()]
    assert {n.removeprefix("one_") for n in names if n.startswith("one_")} == {
        n.removeprefix("two_") for n in names if n.startswith("two_")
    }


async def test_checkpoints_that_cannot_be_forgotten_cost_no_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with assemble(settings) as agent:

        async def full(thread_id: str) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(agent.checkpointer, "adelete_thread", full)
        run = await ask(agent, "Pens?", how())
    assert run.status in ("finished", "failed")


def test_forgetting_where_there_is_nothing_makes_no_file(settings: Settings) -> None:
    forget_checkpoints(settings, ["a"])
    assert not (settings.home / CHECKPOINTS).exists()


def test_checkpoints_that_are_none_are_named(settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / CHECKPOINTS).write_bytes(b"garbage" * 100)
    with pytest.raises(SettingsError, match="cannot be used"):
        forget_checkpoints(settings, ["a"])


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"model": "/nowhere"}, PolicyError, "/nowhere"),
        ({"tools": ("nowhere:tool",)}, ToolSetupError, "nowhere:tool cannot be imported"),
        ({"verifiers": ("nowhere:V",)}, VerifierError, "nowhere:V cannot be loaded"),
        ({"strategies": ("nowhere",)}, SettingsError, "nothing called 'nowhere' in ponder.strategies"),
        ({"strategies": ("pathlib:Path",)}, SettingsError, "is no strategy: make it a dataclass"),
        ({"rewards": ("nowhere:W",)}, SettingsError, "nowhere:W cannot be loaded"),
        ({"rewards": ("nowhere.toml",)}, VerifierError, "nowhere.toml cannot be read"),
        ({"base_url": "http://127.0.0.1:9/v1"}, PonderError, "No server answers at http://127.0.0.1:9/v1"),
    ],
)
async def test_what_cannot_be_had_is_named(
    settings: Settings, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        async with assemble(with_(settings, **changes)):
            pass


async def test_a_home_that_cannot_be_made_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PonderError, match="set PONDER_HOME to a folder of yours"):
        async with assemble(with_(settings, home=tmp_path / "file" / "home")):
            pass


async def test_damaged_checkpoints_are_named_and_can_be_deleted(settings: Settings) -> None:
    (settings.home / CHECKPOINTS).write_bytes(b"no database at all" * 100)
    with pytest.raises(SettingsError, match=r"checkpoints.sqlite cannot be used .*; delete it"):
        async with assemble(settings):
            pass


# --- what is served here ----------------------------------------------------------------------------------------------


def note_of(url: str, model_folder: Path) -> Note:
    return Note(url, "right", str(model_folder), pid=1, log="vllm.log")


@pytest.mark.parametrize("form", ["{url}", "{url}/", "http://localhost:{port}/v1", "http://127.0.0.1:{port}"])
async def test_the_address_of_what_is_served_here_is_enough(
    settings: Settings, policy: EmbeddedPolicy, model_folder: Path, form: str
) -> None:
    async with serve(CompletionsServer(policy, {"root": str(model_folder)}, api_key="right").app()) as url:
        given = form.format(url=url, port=urlsplit(url).port)
        with note.left(settings.home, note_of(url, model_folder)):
            found = await policy_of(with_(settings, model=None, base_url=given))
            assert len((await found.sample([5], SamplingParams(max_tokens=2)))[0].token_ids) <= 2
            await found.close()
            with pytest.raises(EndpointDenied, match="wants another key"):
                await policy_of(with_(settings, model=None, base_url=url, api_key="wrong"))
        with pytest.raises(EndpointDenied, match="wants a key"):
            await policy_of(with_(settings, model=None, base_url=url))


async def test_a_model_that_does_not_answer_yet_is_still_starting(settings: Settings, model_folder: Path) -> None:
    async with hostile(hang) as url:
        pass
    with note.left(settings.home, note_of(url, model_folder)), pytest.raises(EndpointUnreachable) as raised:
        await policy_of(with_(settings, model=None))
    assert str(raised.value) == f"The model at {url} is still starting; ask again soon (vllm.log says how far it is)."


async def test_what_was_stopped_in_the_middle_of_a_run_is_told_at_once(
    settings: Settings, policy: EmbeddedPolicy, model_folder: Path
) -> None:
    """The note goes, and then the server, while four attempts are being asked for."""
    server = CompletionsServer(policy)
    async with AsyncExitStack() as stack:
        async with serve(server.app()) as url:
            with note.left(settings.home, note_of(url, model_folder)):
                agent = await stack.enter_async_context(assemble(with_(settings, model=None)))
        run = await ask(agent, "How many?", how(BestOfN(4)))
    assert run.error == f"The model server at {url} was stopped; start it and ask again."
    assert run.usage.seconds < 5


async def test_a_tool_is_called_always_after_a_word_or_never(home: Path) -> None:
    settings = Settings(home=home, approvals={"python": "ask", "p*": "always", "calc*": "never"}, encoder="none")
    async with assemble(settings) as agent:
        assert agent.toolbox.find("calculator") is None
        assert (python := agent.toolbox.find("python")) is not None
        assert python.asks
