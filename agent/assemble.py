"""Settings become an agent: the one place that knows which parts there are. Commands and doors call it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.errors import SettingsError
from agent.panel import described, judge_settings, needs_judge, panel_of, step_delimiter_of
from agent.store import Store

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from agent.context import Agent
    from agent.policy.note import Note
    from agent.policy.policy import Policy
    from agent.settings import Settings
    from retrieval.encoder import Encoder
    from retrieval.rerank import Reranker
    from retrieval.retriever import Retriever
    from tools.sandbox import Sandbox
    from tools.tool import Tool

CHECKPOINTS = "checkpoints.sqlite"
MINI = Path(__file__).parent / "policy" / "mini"
_log = logging.getLogger("ponder.assemble")
SUMS_UP = 8192  # tokens of context from which on a model is asked for summaries


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Agent]:
    """An agent that is ready to be asked, until the block ends."""
    from agent import thresholds
    from agent.context import Agent
    from agent.mcp_tools import mcp_tools
    from agent.system_prompt import open_prompt
    from tools.toolbox import Toolbox

    prompt = open_prompt(settings.prompt)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_log(settings))
        saver = await stack.enter_async_context(open_checkpoints(settings))
        policy = await policy_of(settings)
        stack.push_async_callback(policy.close)
        own = own_tools(settings)
        tools = [*own, *await mcp_tools(stack, settings, {tool.name for tool in own})]
        add_strategies(settings)
        judge = policy
        if settings.judge is not None and needs_judge(settings):
            judge = await policy_of(judge_settings(settings))
            stack.push_async_callback(judge.close)
        verifiers, weights = panel_of(settings, judge)
        yield Agent(
            policy=policy,
            toolbox=Toolbox(tools),
            verifiers=verifiers,
            weights=weights,
            store=store,
            checkpointer=saver,
            system_prompt=prompt,
            step_delimiter=step_delimiter_of(settings),
            thresholds=thresholds.read(settings.home),
            summaries=sums_up(settings, policy),
            panel=described(settings, weights),
        )


def open_log(settings: Settings) -> Store:
    """The log of this person's runs."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sentence = f"{settings.home} cannot be made ({error.strerror}); set PONDER_HOME to a folder of yours."
        raise SettingsError(sentence) from error
    return Store.open(settings.home / "log.sqlite")


@asynccontextmanager
async def open_checkpoints(settings: Settings) -> AsyncIterator[AsyncSqliteSaver]:
    """Where the graphs of runs keep their place, readable by this person only."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    file = settings.home / CHECKPOINTS
    file.touch(mode=0o600)
    async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
        try:
            await saver.setup()
            await saver.conn.execute("PRAGMA synchronous = NORMAL")  # survives kill -9, and the log is the truth
        except sqlite3.DatabaseError as error:
            raise SettingsError(f"{file} cannot be used ({error}); delete it, the log has what it takes.") from error
        yield saver


def forget_checkpoints(settings: Settings, run_ids: Iterable[str]) -> None:
    """Remove what the graphs of runs kept to be resumed by. Raises ``SettingsError``."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    file = settings.home / CHECKPOINTS
    if not file.exists():
        return
    try:
        with SqliteSaver.from_conn_string(str(file)) as saver:
            for run_id in run_ids:
                saver.delete_thread(run_id)
    except sqlite3.Error as error:
        raise SettingsError(f"{file} cannot be used ({error}); delete it, the log has what it takes.") from error


async def policy_of(settings: Settings) -> Policy:
    """The model that the settings name, what ``ponder model serve`` serves, or the miniature's promoted version."""
    from agent.policy import note

    if settings.base_url is not None and len(addresses := settings.base_url.replace(",", " ").split()) > 1:
        return await balanced_policy(settings, addresses)
    served = note.read(settings.home)
    if settings.base_url is not None and not (served and settings.api_key is None and is_at(settings.base_url, served)):
        from agent.policy.connect import connect

        key = settings.api_key.get_secret_value() if settings.api_key else None
        return await connect(settings.base_url, settings.model, key)
    if served and (settings.base_url is not None or not names_folder(settings.model)):
        return await served_policy(settings, served)
    return own_policy(settings)


async def balanced_policy(settings: Settings, addresses: Sequence[str]) -> Policy:
    """Servers that share the load. Raises ``PolicyError`` where one does not answer, or serves something else."""
    from agent.policy.balanced import BalancedPolicy

    policies: list[Policy] = []
    async with AsyncExitStack() as stack:
        for address in addresses:
            policies.append(await policy_of(settings.model_copy(update={"base_url": address})))
            stack.push_async_callback(policies[-1].close)
        balanced = BalancedPolicy(policies)
        stack.pop_all()
    return balanced


def own_policy(settings: Settings) -> Policy:
    """In this process: the folder, the name on the hub or the version that ``model`` names, or what is promoted.

    Raises ``PolicyError`` and ``VersionError``.
    """
    from agent.policy import registry
    from agent.policy.embedded import EmbeddedPolicy

    if (named := registry.named(settings.home, settings.model)) is not None:
        chosen = registry.target_of(settings.home, named)
    elif settings.model is None:
        chosen = registry.target(settings.home, str(MINI))
    else:
        return EmbeddedPolicy.load(settings.model)
    adapter = registry.weights_of(settings.home, chosen.adapter) if chosen.adapter else None
    return EmbeddedPolicy.load(chosen.model, adapter=adapter)


def is_at(base_url: str, served: Note) -> bool:
    """Whether an address is that of the server that left the note. Raises ``EndpointRefused`` for what is none."""
    from agent.policy.connect import checked

    given, own = urlsplit(checked(base_url)), urlsplit(served.base_url)
    host = "127.0.0.1" if given.hostname == "localhost" else given.hostname
    return (host, given.port) == (own.hostname, own.port)


async def served_policy(settings: Settings, served: Note) -> Policy:
    """By the note of this home: a server that new runs take, or one that has what ``model`` names.

    Raises ``SettingsError``, ``AdapterError`` and ``EndpointError``s.
    """
    from agent.policy import registry
    from agent.policy.chat import ChatPolicy
    from agent.policy.connect import connect
    from agent.policy.served import ServedPolicy, adapters_of
    from agent.policy.wire import EndpointFailed

    names = await names_at(served)
    if settings.model and settings.model not in names:
        if settings.base_url is None and registry.named(settings.home, settings.model):
            return own_policy(settings)
        raise SettingsError(
            f"{settings.model!r} is neither a folder of weights nor served here; served are {', '.join(names)}."
        )
    kept = adapters_of(settings.home, served)
    policy = await connect(
        served.base_url,
        settings.model or served.model,
        served.api_key,
        tokenizer=served.weights or served.model,
        adapters=replace(kept, current=lambda: None) if settings.model else kept,
    )
    if isinstance(policy, ChatPolicy):  # of a server that has ids
        await policy.close()
        raise EndpointFailed(f"What is served at {served.base_url} gives no token ids ({policy.reason}); ask again.")
    return policy if settings.model else ServedPolicy(settings.home, served, policy)


async def names_at(served: Note) -> list[str]:
    """What is served. Raises ``AdapterError``, and ``EndpointUnreachable`` while nobody answers yet."""
    from httpx import ConnectError

    from agent.policy import adapters
    from agent.policy.wire import EndpointUnreachable

    try:
        return await adapters.served(served)
    except adapters.AdapterError as error:
        if not isinstance(error.__cause__, ConnectError):
            raise
        sentence = (
            f"The model at {served.base_url} is still starting; ask again soon ({served.log} says how far it is)."
        )
        raise EndpointUnreachable(sentence) from error


def sums_up(settings: Settings, policy: Policy) -> bool:
    """Whether threads are summed up: the miniature never learned to."""
    return policy.context_length >= SUMS_UP if settings.summaries is None else settings.summaries


def names_folder(model: str | None) -> bool:
    return model is not None and Path(model).is_dir()


def own_tools(settings: Settings) -> list[Tool]:
    """Calculator, Python, search where something is indexed, and the person's own."""
    from agent.approval import permitted
    from tools.calculator import calculator
    from tools.python import python_tool
    from tools.toolbox import Toolbox

    tools = [calculator, python_tool(sandbox_of(settings))]
    if index_folder(settings).is_dir():
        from retrieval.errors import IndexNotFound
        from tools.search import search_tool

        with suppress(IndexNotFound):  # a first indexing that was interrupted or found nothing
            tools.append(search_tool(open_retriever(settings), settings.passages))
    return permitted([*tools, *(Toolbox.load(spec) for spec in settings.tools)], settings.approvals)


def sandbox_of(settings: Settings) -> Sandbox:
    """The sandbox, refusing tiers that are weaker than the setting."""
    from tools.sandbox import Sandbox, Tier

    return Sandbox(weakest=Tier(settings.sandbox))


def index_folder(settings: Settings) -> Path:
    return settings.home / "index"


def open_retriever(settings: Settings) -> Retriever:
    """What was indexed. Raises ``RetrievalError``."""
    from retrieval.retriever import Retriever

    return Retriever.open(index_folder(settings), open_encoder(settings), open_reranker(settings))


def open_encoder(settings: Settings) -> Encoder | None:
    """The encoder that the settings name; None for "none", which searches by BM25 alone."""
    from retrieval import encoder

    return None if settings.encoder == "none" else encoder.open_encoder(settings.encoder)


def open_reranker(settings: Settings) -> Reranker | None:
    from retrieval import rerank

    return None if settings.reranker is None else rerank.open_reranker(settings.reranker)


def add_strategies(settings: Settings) -> None:
    """Strategies of the person's own, ``module:object`` or an entry point in the group ``ponder.strategies``."""
    from agent.loading import load
    from agent.search.registry import add_strategy

    for spec in settings.strategies:
        add_strategy(load(spec, "ponder.strategies"))
