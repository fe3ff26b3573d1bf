"""Ponder as an MCP server: other agents ask it, verify by it, look things up in it. Specification 2026-07-28, and the
handshake before it; ``ponder mcp`` serves it over standard input and output, ``ponder serve`` at ``/mcp``.

Not here: how a question is answered (``run``), and who comes in over HTTP (``rest.entrance``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Annotated, Any, Literal

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.resources.templates import ResourceSecurity
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field, ValidationError

from agent.doors import knowledge
from agent.doors.door import Door, permitted
from agent.doors.errors import known
from agent.doors.keys import LOCAL, Key, Scope
from agent.doors.mcp_server.asking import begun, can_ask, followed, taken_up
from agent.doors.mcp_server.forms import Answered, Found, Passages, Rated, RunTold, Steps, Verified, told
from agent.errors import PonderError
from agent.memories import MEMORY
from agent.panel import process_reward_of
from agent.records import Feedback
from retrieval.errors import RetrievalError
from retrieval.passage import Passage
from verifiers.registry import load as load_verifier
from verifiers.reward import combine
from verifiers.verdict import Case, VerifierError

INSTRUCTIONS = """Ponder is a reasoning agent with tools, documents and verifiers of its own. Ask it a whole question \
(`ask`); more effort means more attempts, and verifiers choose among them. Its `confidence` is how many of them agree. \
Say with `rate` whether an answer was right: it learns from that."""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
Effort = Literal["low", "medium", "high", "max", "auto"]
Question = Annotated[str, Field(min_length=1, max_length=2_000_000)]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="As ask gave it.")]


def create_server(door_of: Callable[[], Door]) -> MCPServer[Any]:
    """The server. ``door_of``: the door that is open while it serves."""
    with logging_unchanged():
        server: MCPServer[Any] = MCPServer(
            "ponder",
            title="Ponder",
            instructions=INSTRUCTIONS,
            version=version("ponder"),
            subscriptions=False,  # what it offers does not change while it runs
            middleware=[prompts_named],
        )
    asking(server, door_of)
    judging(server, door_of)
    showing(server, door_of)
    prompting(server)
    return server


async def prompts_named(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """A prompt that there is not, or without an argument that it needs, is the caller's to mend: to the SDK it is a
    defect.
    """
    try:
        return await call_next(ctx)
    except ValidationError:
        raise
    except ValueError as error:
        if ctx.method != "prompts/get":
            raise
        raise MCPError(code=INVALID_PARAMS, message=str(error)) from error


@contextmanager
def logging_unchanged() -> Iterator[None]:
    """The SDK gives the root logger a handler, for programs that are nothing but a server."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@contextmanager
def refusing() -> Iterator[None]:
    """What is known to go wrong is told to the model that calls. A defect is not."""
    try:
        yield
    except (PonderError, RetrievalError, VerifierError) as error:
        raise ToolError(str(known(error) if isinstance(error, PonderError) else error)) from error


def caller(context: Context[Any, Any], scope: Scope) -> Key:
    """Whose call it is: over HTTP the entrance knows, over standard input it is this machine's."""
    request = context.request_context.request
    return permitted(LOCAL if request is None else request.state.key, scope)


def asking(server: MCPServer[Any], door_of: Callable[[], Door]) -> None:
    """The tools that concern runs."""

    @server.tool(title="Ask Ponder", annotations=ToolAnnotations(read_only_hint=False, open_world_hint=True))
    async def ask(
        context: Context,
        question: Annotated[Question, Field(description="Whole: it knows nothing of your conversation.")],
        effort: Annotated[Effort | None, Field(description="How much to spend; auto looks before it spends.")] = None,
        thread_id: Annotated[
            str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Go on with that conversation.")
        ] = None,
        seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None,
        memory: Annotated[bool, Field(description="Tell it what it knows of this person from before.")] = False,
    ) -> Annotated[CallToolResult, Answered] | InputRequiredResult:
        """Answer a question that needs reasoning, calculation, a program or the indexed documents.

        The answer comes with its citations, the attempts that were made with their scores, and what it cost. It may
        take minutes; progress is reported, and cancelling stops it.
        """
        with refusing():
            door, key = door_of(), caller(context, "ask")
            if context.request_state is not None:
                run, seen = taken_up(door, key, context)
                return await followed(door, run, context, seen)
            metadata = {**door.how.metadata, "key": key.name} | ({MEMORY: "yes"} if memory else {})
            how = replace(door.how, thread_id=thread_id, seed=seed, metadata=metadata)
            how = replace(how, effort=door.efforts[effort]) if effort else how
            how = replace(how, approver=door.approvals.ask if can_ask(context) else None)
            return await followed(door, await begun(door, key, question, how), context)

    @server.tool(title="Look at a run", annotations=READS)
    async def get_run(context: Context, run_id: RunId) -> RunTold:
        """A run as it stands: its question, its attempts with what verifiers said of each, its cost."""
        with refusing():
            door = door_of()
            return told(door.standing(door.run_of(caller(context, "ask"), run_id)))

    @server.tool(title="Stop a run", annotations=WRITES)
    async def cancel_run(context: Context, run_id: RunId) -> RunTold:
        """Stop a run that is under way; what it sampled is kept. Nothing happens to one that has ended."""
        with refusing():
            door = door_of()
            return told(await door.stop(door.run_of(caller(context, "ask"), run_id)))

    @server.tool(title="Say what an answer was worth", annotations=WRITES)
    async def rate(
        context: Context,
        run_id: RunId,
        value: Annotated[float | None, Field(ge=-1, le=1, description="-1 wrong to 1 right.")] = None,
        comment: Annotated[str, Field(max_length=10_000)] = "",
        preferred: Annotated[
            list[Annotated[int, Field(ge=0, le=2**31)]] | None,
            Field(max_length=1_000, description="The path of a candidate that was better than the chosen one."),
        ] = None,
    ) -> Rated:
        """Say whether an answer was right, or which candidate was better. Later versions can learn from it."""
        with refusing():
            said = Feedback(run_id, value, comment, tuple(preferred) if preferred else None)
            return Rated(run_id=run_id, count=door_of().rate(caller(context, "ask"), said))


def judging(server: MCPServer[Any], door_of: Callable[[], Door]) -> None:
    """Its verifiers, and its documents."""

    @server.tool(title="Verify an answer", annotations=READS)
    async def verify_answer(
        context: Context,
        question: Question,
        answer: Annotated[
            str,
            Field(min_length=1, max_length=200_000, description="Its last line is `Answer: ...`, or it is no more."),
        ],
        others: Annotated[
            list[str], Field(max_length=64, description="Other answers to it, to see how many agree.")
        ] = [],  # noqa: B006 - the SDK copies it
        passages: Annotated[
            list[str], Field(max_length=64, description="What the answer cites: [1] is the first.")
        ] = [],  # noqa: B006
        gold: Annotated[str | None, Field(description="The right answer, where it is known: it decides.")] = None,
    ) -> Verified:
        """Score an answer that anyone gave: its form, whether others agree, whether what it cites says so, and what
        models that judge say of it.
        """
        with refusing():
            agent = door_of().agent
            caller(context, "ask")
            found = tuple(Passage(text, "given", 0, len(text)) for text in passages)
            cases = [Case(question, said, gold=gold, steps=(said,), passages=found) for said in (answer, *others)]
            judges = agent.verifiers if gold is None else [load_verifier("math"), *agent.verifiers]
            verdicts = [(await judge.verify(cases))[0] for judge in judges]
            score = combine(verdicts, agent.weights if gold is None else {"math": 1.0}).value
            by = [verdict.verifier for verdict in verdicts if verdict.score is not None]
            return Verified(score=None if by == ["format"] else score, judged_by=by, verdicts=verdicts)

    @server.tool(title="Score steps", annotations=READS)
    async def score_steps(
        context: Context,
        question: Question,
        steps: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1_000)],
    ) -> Steps:
        """How likely each step of somebody's reasoning is right, by a process reward model."""
        with refusing():
            door = door_of()
            caller(context, "ask")
            judge = next((each for each in door.agent.verifiers if each.name == "process_reward"), None)
            judge = judge or process_reward_of(door.settings)
            [verdict] = await judge.verify([Case(question, steps[-1], steps=tuple(steps))])
            return Steps(score=verdict.score, steps=list(verdict.steps), reason=verdict.reason)

    @server.tool(title="Search documents", annotations=READS)
    async def search_knowledge(
        context: Context,
        query: Annotated[str, Field(min_length=1, max_length=10_000)],
        k: Annotated[int, Field(ge=1, le=50)] = 5,
    ) -> Passages:
        """Find passages in the indexed documents, without asking the model. doc://SOURCE has the whole document."""
        with refusing():
            door = door_of()
            caller(context, "ask")
            found = await knowledge.search(door, query, k)
            return Passages(passages=[Found.model_validate(passage, from_attributes=True) for passage in found])


def showing(server: MCPServer[Any], door_of: Callable[[], Door]) -> None:
    """Resources."""

    @server.resource("model://current", title="The model", mime_type="application/json")
    def model() -> str:
        """Which model answers, how much it reads, its tools, and by whom attempts are judged."""
        agent = door_of().agent
        tools = [each["function"]["name"] for each in agent.toolbox.schemas()]
        known = {"version": str(agent.policy.at(None).version), "context_tokens": agent.policy.context_length}
        return json.dumps(
            {**known, "tools": tools, "verifiers": dict(agent.weights), "efforts": list(door_of().efforts)}
        )

    @server.resource("run://{run_id}", title="A run", mime_type="application/json")
    def run(run_id: str, context: Context) -> str:
        """A run with its attempts."""
        door = door_of()
        try:
            return told(door.standing(door.run_of(caller(context, "ask"), run_id))).model_dump_json()
        except PonderError as error:
            raise ResourceNotFoundError(str(known(error))) from error

    # A source is a name in the index, and no file is opened by it.
    sources = ResourceSecurity(exempt_params={"source"})

    @server.resource("doc://{+source}", title="A document", mime_type="text/plain", security=sources)
    async def document(source: str, context: Context) -> str:
        """The text of an indexed document, by its source as searches name it."""
        caller(context, "ask")
        for found in await knowledge.documents(door_of()):
            if found.source == source:
                return found.text
        raise ResourceNotFoundError(f"There is no document {source[:200]!r}; search_knowledge names those there are.")


def prompting(server: MCPServer[Any]) -> None:
    """What a person may pick in their client."""

    @server.prompt(title="Ask with sources")
    def with_sources(question: str) -> str:
        """Have a question answered from the documents, with the places it comes from."""
        return (
            f"Use the tool ask of the server ponder with effort high for this question:\n\n{question}\n\n"
            "Give its answer with its citations, each with its source. Where its confidence is below 0.7 or it cites "
            "nothing, say so."
        )

    @server.prompt(title="Check an answer")
    def second_opinion(question: str, answer: str) -> str:
        """Have somebody's answer checked by attempts of Ponder's own."""
        return (
            f"The question:\n\n{question}\n\nThe answer to check:\n\n{answer}\n\n"
            "Ask ponder the question with effort high, without showing it that answer. Then call verify_answer with "
            "the answer to check and ponder's candidates as others. Say whether they agree, and where they part."
        )
