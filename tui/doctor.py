"""``ponder doctor``: what works on this machine, what does not, and what to do about it. It changes nothing."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tui.serving import server_of

if TYPE_CHECKING:
    from agent.settings import Settings

PACKAGES = ("agent", "retrieval", "tools", "verifiers", "rl", "tui")


async def examine(settings: Settings) -> bool:
    """Print a line for each thing looked at; whether everything that is needed works."""
    checks: list[tuple[str, Callable[[Settings], Awaitable[str]]]] = [
        ("python", python), ("packages", packages), ("log", log), ("sandbox", sandbox), ("encoder", encoder),
        ("index", index), ("gpu", gpu), ("model", model),
    ]  # fmt: skip
    healthy = True
    for name, check in checks:
        try:
            print(f"ok    {name:9} {await check(settings)}")
        except Exception as error:  # whatever is broken is what this command is for
            healthy = False
            print(f"FAIL  {name:9} {error}")
    return healthy


async def python(settings: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


async def packages(settings: Settings) -> str:
    """Other distributions use some of these names too; the first on the path wins."""
    here = Path(__file__).parent.parent
    for name in PACKAGES:
        found = Path(str(importlib.import_module(name).__file__)).parent.parent
        if found != here:
            raise RuntimeError(
                f"`{name}` is imported from {found}, not from Ponder; uninstall the package that brings it."
            )
    return f"all six from {here}"


async def log(settings: Settings) -> str:
    from agent.assemble import open_log

    with open_log(settings) as store:
        return f"{len(store.runs())} runs in {settings.home / 'log.sqlite'}"


async def sandbox(settings: Settings) -> str:
    from agent.assemble import sandbox_of

    box = sandbox_of(settings)
    tier = await box.tier()
    refused = "; ".join(f"not {name.value}: {why}" for name, why in box.refused.items())
    return f"{tier.value}{f' ({refused})' if refused else ''}"


async def encoder(settings: Settings) -> str:
    from agent.assemble import open_encoder

    found = open_encoder(settings)
    return found.name if found else "none: searches use BM25 alone"


async def index(settings: Settings) -> str:
    from agent.assemble import index_folder, open_retriever

    if not index_folder(settings).is_dir():
        return "nothing indexed yet; `ponder index PATH` does"
    retriever = open_retriever(settings)
    return f"{len(retriever.documents)} documents, {retriever.method}"


async def gpu(settings: Settings) -> str:
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return "none; the embedded model runs on the processor"


async def model(settings: Settings) -> str:
    from agent.assemble import policy_of
    from agent.records import SamplingParams

    policy = (await policy_of(settings)).at(None)  # what new runs take
    try:
        prompt = policy.renderer.start([{"role": "user", "content": "Hello"}], [])
        [sample] = await policy.sample(prompt, SamplingParams(max_tokens=8))
        speed = f"{len(sample.token_ids)} tokens in {sample.total_seconds:.2f} s"
        place = f"at {server}" if (server := server_of(settings)) else "in this process"
        return f"{policy.version} {place}, context {policy.context_length}, {speed}"
    finally:
        await policy.close()
