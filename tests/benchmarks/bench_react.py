"""CPU of a ReAct step, against a bare LangGraph loop that captures nothing: python tests/benchmarks/bench_react.py

Both ask the same instant model (it says at once what it is told to say) and call the same tool; the bare loop keeps
messages in its state and neither logs, nor checkpoints, nor reads ids. Runs of 4 and of 16 steps tell apart what a step
costs and what a run costs once; both are printed, in milliseconds of CPU of all threads.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from agent.assemble import MINI, assemble
from agent.budget import Budget
from agent.effort import EFFORTS
from agent.policy.policy import Delta, expect
from agent.policy.renderer import Renderer
from agent.records import PolicyVersion, Sample, SamplingParams
from agent.run import Ask, ask
from agent.search.attempts import Single
from agent.settings import Settings
from tools.calculator import calculator
from tools.toolbox import Toolbox

SIZES = SHORT, LONG = 4, 16  # steps of a run: calls of the calculator, then an answer
Work = Callable[[], Awaitable[None]]
CALL = '<think>\n12 of 7, then 9 gone\n</think>\n\n<tool_call>\n{"name": "calculator", "arguments": {"expression": "12 * 7 - 9"}}\n</tool_call><|im_end|>'  # noqa: E501
ANSWER = "<think>\nDone.\n</think>\n\nTom has 75 pens.\n\nAnswer: 75<|im_end|>"


class Instant:
    """Implements ``Policy``: a call at each step but the last, in one piece."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.version = PolicyVersion("instant")
        self.renderer = Renderer.load(MINI)
        self.context_length = 4096
        encode = self.renderer.tokenizer.encode
        self.call, self.answer = (tuple(encode(text, add_special_tokens=False)) for text in (CALL, ANSWER))
        self.closes = self.renderer.controls["</tool_response>"]

    def at(self, version: PolicyVersion | None) -> Instant:
        expect(version, self.version)
        return self

    def turn(self, prompt: Sequence[int]) -> tuple[int, ...]:
        return self.answer if list(prompt).count(self.closes) >= self.steps - 1 else self.call

    async def sample(self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1) -> list[Sample]:
        ids = self.turn(prompt_token_ids)
        logprobs = (-0.1,) * len(ids)
        return [Sample(tuple(prompt_token_ids), ids, logprobs, "stop", self.version, params)] * n

    async def stream(
        self, prompt_token_ids: Sequence[int], params: SamplingParams, n: int = 1
    ) -> AsyncGenerator[Delta | Sample, None]:
        for sample in await self.sample(prompt_token_ids, params, n):
            yield Delta(0, sample.token_ids, sample.logprobs)
            yield sample

    async def close(self) -> None:
        pass


class Bare(TypedDict):
    messages: Annotated[list[dict[str, Any]], add]


def bare_loop(toolbox: Toolbox, steps: int) -> Any:
    """What one would write in LangGraph alone; the model's reply comes parsed."""
    call = {"name": "calculator", "arguments": {"expression": "12 * 7 - 9"}}

    async def reason(state: Bare) -> dict[str, Any]:
        done = sum(message["role"] == "tool" for message in state["messages"])
        reply = {"calls": [call]} if done < steps - 1 else {"content": "Answer: 75", "calls": []}
        return {"messages": [{"role": "assistant", **reply}]}

    async def act(state: Bare) -> dict[str, Any]:
        calls = state["messages"][-1]["calls"]
        results = await asyncio.gather(*(toolbox.call(each["name"], each["arguments"], 60.0) for each in calls))
        return {"messages": [{"role": "tool", "content": result.text} for result in results]}

    graph = StateGraph(Bare)
    graph.add_node("reason", reason)
    graph.add_node("act", act)
    graph.add_edge(START, "reason")
    graph.add_conditional_edges("reason", lambda state: "act" if state["messages"][-1]["calls"] else END, ["act", END])
    graph.add_edge("act", "reason")
    return graph.compile()


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="of each, in every round")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    budget = Budget(steps=LONG, tokens=10**6, sample_tokens=512, seconds=600, tool_calls=LONG)
    how = Ask(replace(EFFORTS["high"], name="bench", strategy=Single(), budget=budget))
    toolbox = Toolbox([calculator])
    with tempfile.TemporaryDirectory() as folder:
        async with assemble(Settings(home=Path(folder))) as assembled:

            def agent_of(steps: int) -> Work:
                agent = replace(assembled, policy=Instant(steps), toolbox=toolbox, verifiers=[])

                async def work() -> None:
                    run = await ask(agent, "How many pens?", how)
                    assert len(run.nodes) == steps, run.error

                return work

            def bare_of(steps: int) -> Work:
                loop = bare_loop(toolbox, steps)

                async def work() -> None:
                    ended = await loop.ainvoke(
                        {"messages": [{"role": "user", "content": "How many pens?"}]}, {"recursion_limit": 99}
                    )
                    assert len(ended["messages"]) == 2 * steps

                return work

            works = {
                (name, steps): of(steps) for name, of in (("agent", agent_of), ("bare", bare_of)) for steps in SIZES
            }
            spent: dict[tuple[str, int], list[float]] = {key: [] for key in works}
            for _ in range(given.rounds + 1):
                for key, work in works.items():
                    start = time.process_time()
                    for _ in range(given.runs):
                        await work()
                    spent[key].append(1000 * (time.process_time() - start) / given.runs)
    steps, runs = {}, {}
    for name in ("agent", "bare"):
        short, long = (spent[name, size][1:] for size in SIZES)
        steps[name] = [(b - a) / (LONG - SHORT) for a, b in zip(short, long, strict=True)]
        runs[name] = [a - SHORT * step for a, step in zip(short, steps[name], strict=True)]
    for what, each in (("a step", steps), ("once a run", runs)):
        apart = [a - b for a, b in zip(each["agent"], each["bare"], strict=True)]
        shown = "; ".join(f"{name} {summary(values)}" for name, values in (*each.items(), ("apart", apart)))
        print(f"{what}: {shown}")


def summary(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ms ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    asyncio.run(main())
