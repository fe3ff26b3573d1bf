"""A log of one run, for the tests of the log; and agents whose model says what a test has written."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent.context import Agent
from agent.policy.policy import Policy
from agent.policy.renderer import Renderer
from agent.store import Store
from agent.system_prompt import SystemPrompt
from tests.agent.logs import RUN
from tests.agent.policy.conftest import model_folder, policy, renderer
from tests.agent.scripted import Say, ScriptedPolicy, by_place
from tools.calculator import calculator
from tools.tool import Tool
from tools.toolbox import Toolbox
from verifiers.consensus import Consensus
from verifiers.format import Format
from verifiers.verdict import Verifier

__all__ = ["model_folder", "policy", "renderer"]
SYSTEM = SystemPrompt("tests", "You are Ponder.")


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "home/log.sqlite3"


@pytest.fixture
def store(log_path: Path) -> Iterator[Store]:
    """A log in which RUN has begun."""
    with Store.open(log_path) as store:
        store.begin(RUN)
        yield store


@pytest.fixture
def log(log_path: Path) -> Iterator[Store]:
    """An empty log."""
    with Store.open(log_path) as store:
        yield store


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        yield saver


@pytest.fixture
def agent_with(log: Store, saver: AsyncSqliteSaver) -> Callable[..., Agent]:
    """``agent_with(policy, *tools, verifiers=...)``: a calculator is always there."""

    def make(policy: Policy, *tools: Tool, verifiers: Sequence[Verifier] = (Consensus(), Format())) -> Agent:
        weights = {verifier.name: 1.0 for verifier in verifiers}
        return Agent(policy, Toolbox([calculator, *tools]), verifiers, weights, log, saver, SYSTEM)

    return make


@pytest.fixture
def agent_saying(agent_with: Callable[..., Agent], renderer: Renderer) -> Callable[..., Agent]:
    """``agent_saying(turns, *tools)``: its model says each of ``turns`` at its place in the tree, elsewhere 75."""

    def make(turns: Mapping[tuple[int, ...], Say | str], *tools: Tool, context_length: int = 4096, **parts) -> Agent:
        return agent_with(ScriptedPolicy(renderer, by_place(turns), context_length), *tools, **parts)

    return make
