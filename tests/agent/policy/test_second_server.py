"""A second real server: Transformers' own ``transformers serve``, which has no token ids.

It answers through chat completions, and says what is missing for training.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from agent.assemble import MINI
from agent.context import Agent
from agent.policy.chat import ChatPolicy
from agent.policy.connect import connect
from agent.policy.policy import Delta
from agent.records import Sample, SamplingParams
from agent.run import ask
from agent.search.attempts import BestOfN
from agent.system_prompt import open_prompt
from tests.agent.scripted import how
from tests.agent.test_real import QUESTION

pytestmark = pytest.mark.timeout(300)
COMMAND = "from transformers.cli.transformers import main; main()"
START_SECONDS = 120.0
PARAMS = SamplingParams(0.3, max_tokens=60, seed=3)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ``transformers serve`` serves the shipped miniature. Without a cache folder it cannot list its models."""
    folder = tmp_path_factory.mktemp("transformers-serve")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    line = [sys.executable, "-c", COMMAND, "serve", str(MINI), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*line, "--device", "cpu", "--dtype", "float32"],
            env=os.environ | {"HF_HOME": str(folder)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + START_SECONDS
        while not answers(url):
            if time.monotonic() > end or process.poll() is not None:
                raise TimeoutError((folder / "log").read_text()[-2000:])
            time.sleep(0.3)
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
async def chat(address: str) -> AsyncIterator[ChatPolicy]:
    policy = await connect(address, str(MINI))
    assert isinstance(policy, ChatPolicy)
    yield policy
    await policy.close()


def question(policy: ChatPolicy) -> list[int]:
    return policy.renderer.start([{"role": "user", "content": "Good morning!"}])


async def test_it_is_found_out_that_it_has_no_ids_and_said_what_that_means(chat: ChatPolicy) -> None:
    assert chat.reason.startswith("no token ids: The server at ")
    (sample,) = await chat.sample(question(chat), PARAMS)
    assert sample.logprobs == ()
    assert sample.not_trainable == chat.reason


async def test_a_stream_is_the_sample_as_it_grows(chat: ChatPolicy) -> None:
    pieces = [piece async for piece in chat.stream(question(chat), PARAMS, 2)]
    samples = {piece.params.seed: piece for piece in pieces if isinstance(piece, Sample)}
    assert sorted(samples) == [3, 4]
    for choice in (0, 1):
        grown = [t for p in pieces if isinstance(p, Delta) and p.choice == choice for t in p.token_ids]
        assert tuple(grown) == samples[3 + choice].token_ids
        assert samples[3 + choice].prompt_token_ids == tuple(question(chat))


async def test_an_answer_that_is_cut_says_so(chat: ChatPolicy) -> None:
    (cut,) = await chat.sample(question(chat), replace(PARAMS, max_tokens=2))
    assert cut.finish_reason == "length"


async def test_a_whole_run_thinks_calls_a_tool_and_answers_and_none_of_it_is_trainable(
    agent_with: Callable[..., Agent], chat: ChatPolicy
) -> None:
    agent = replace(agent_with(chat), system_prompt=open_prompt())
    asking = how(BestOfN(2))
    run = await ask(agent, QUESTION, replace(asking, effort=replace(asking.effort, temperature=0.3)))
    assert run.status == "finished"
    assert "75" in (run.answer or "")
    assert any(node.thought and node.calls and node.tool_results for node in run.nodes)
    assert all(node.sample.not_trainable == chat.reason for node in run.nodes)
