"""``ponder model``: serve a model, look at what is served, load and unload adapters, plan for a GPU."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from tui.options import AsJson, print_json, settings_for

if TYPE_CHECKING:
    from agent.policy.note import Note, Role
    from agent.settings import Settings

app = typer.Typer(help="Serve a model with vLLM, and its adapters.", no_args_is_help=True, rich_markup_mode=None)
STOP_SECONDS = 60.0


class Serve(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Say where a flag of vLLM's belongs."""
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            if error.message.startswith("No such option"):
                error.message += ". vLLM's own flags go after --:  ponder model serve MODEL -- FLAGS"
            raise


@app.command(cls=Serve)
def serve(
    model: Annotated[str | None, typer.Argument(help="A folder of weights or a name on the hub.")] = None,
    extra: Annotated[list[str] | None, typer.Argument(help="After --: for vLLM as it is.")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Where to listen, on this machine only; 8000, or 8001 with --process-reward."
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(help="What clients must show. Better in PONDER_API_KEY: others see command lines. Or made up."),
    ] = None,
    process_reward: Annotated[
        bool,
        typer.Option("--process-reward", help="MODEL is one that scores the steps of answers, not one that answers."),
    ] = False,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="End one version before the next is started: for a GPU that cannot hold both."),
    ] = False,
) -> None:
    """Serve a model until Ctrl-C; without MODEL the miniature. Every `ponder` command finds it by itself.

    Where a version that was made from it is promoted (`ponder promote`), that is served, at once and from then on.
    """
    from agent.assemble import MINI
    from agent.policy import note, plan, server
    from agent.policy.steps import StepEncoder

    model, arguments = (None, [model, *(extra or ())]) if model and model.startswith("-") else (model, extra or ())
    settings = settings_for()
    key = key_of(settings, api_key)
    name = plan.folder_or_name(str(MINI) if model is None else model)
    tag = StepEncoder.load(name).tag_id if process_reward else None
    log = note.folder(settings.home, role_of(process_reward)) / "vllm.log"
    place = port or (8001 if process_reward else 8000)
    serving = server.Serving(name, place, key, tuple(arguments), log, tag)
    asyncio.run(serve_until_stopped(settings, serving, swap))


def key_of(settings: Settings, given: str | None) -> str:
    """What goes into a header of HTTP as it is. Raises ``SettingsError``, which does not show it."""
    from agent.errors import SettingsError

    if given is None:
        given = settings.api_key.get_secret_value() if settings.api_key else secrets.token_urlsafe(24)
    if not re.fullmatch("[!-~]+", given):
        raise SettingsError("The key (PONDER_API_KEY or --api-key) must be visible ASCII characters without spaces.")
    return given


async def serve_until_stopped(settings: Settings, serving: Any, swap: bool) -> None:
    from agent.assemble import open_log
    from agent.policy.deployment import Deployment
    from tui.printer import printable

    told = [""]
    began = time.monotonic()

    def tell(line: str) -> None:
        if line != told[0]:
            told[0] = line
            print(f"{time.monotonic() - began:5.0f} s  {printable(line)}", file=sys.stderr, flush=True)

    with open_log(settings) as store:

        def in_use(model: str, adapter: str | None) -> int:
            policies = [run.policy for run in store.under_way()]
            return sum(each.model == model and adapter in (None, each.adapter) for each in policies)

        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            await Deployment(settings.home, serving, in_use, tell, swap).run()
        except asyncio.CancelledError:
            print("Stopped.", file=sys.stderr)


def server_of(settings: Settings) -> str | None:
    """Where the server is that would answer; None where the model is in this process."""
    from agent.assemble import names_folder
    from agent.policy import note

    if settings.base_url is not None:
        return settings.base_url
    found = None if names_folder(settings.model) else note.read(settings.home)
    return found.base_url if found else None


def role_of(process_reward: bool) -> Role:
    return "process_reward" if process_reward else "server"


def note_of(settings: Settings, role: Role = "server") -> Note:
    from agent.policy import note
    from agent.policy.server import ServerFailed

    found = note.read(settings.home, role)
    if found is None:
        other: Role = "server" if role == "process_reward" else "process_reward"
        flag = {"server": "", "process_reward": " --process-reward"}
        also = (
            f" What is served is found with `ponder model stop{flag[other]}`."
            if note.read(settings.home, other)
            else ""
        )
        what = "No process reward model" if role == "process_reward" else "No model"
        raise ServerFailed(f"{what} is being served; `ponder model serve MODEL{flag[role]}` serves one.{also}")
    return found


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """What is served: the model and its adapters, with * before the one that new runs take."""
    from agent.policy import adapters

    settings = settings_for()
    found = note_of(settings)
    names, current = asyncio.run(adapters.served(found)), adapters.loaded(settings.home).current
    if as_json:
        return print_json({"base_url": found.base_url, "models": names, "current": current or found.model})
    for name in names:
        print(f"{'*' if name == (current or found.model) else ' '} {name}")


@app.command()
def load(
    adapter: Annotated[Path, typer.Argument(help="A folder with a LoRA adapter, as peft's save_pretrained writes it.")],
    name: Annotated[str, typer.Option(help="What its versions are called.")] = "ponder",
) -> None:
    """Load an adapter under a name of its own; new runs take it at once."""
    from agent.policy import adapters

    settings = settings_for()
    print(asyncio.run(adapters.load(settings.home, note_of(settings), adapter, name)))


@app.command()
def unload(
    name: Annotated[str, typer.Argument(help="As `ponder model list` shows it, or without its digest.")],
) -> None:
    """Take an adapter away, once the runs that use it have ended; if new runs took it, the base model answers them."""
    from agent.assemble import open_log
    from agent.policy import adapters

    settings = settings_for()
    with open_log(settings) as store:

        def in_use(name: str) -> int:
            return sum(run.policy.adapter == name for run in store.under_way())

        asyncio.run(adapters.unload(settings.home, note_of(settings), name, in_use))


@app.command()
def stop(
    process_reward: Annotated[
        bool, typer.Option("--process-reward", help="That which scores steps, not that which answers.")
    ] = False,
) -> None:
    """End the server, and every process of it."""
    from agent.policy import note
    from agent.policy.server import ServerFailed

    settings = settings_for()
    role = role_of(process_reward)
    found = note_of(settings, role)
    os.kill(found.pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while (now := note.read(settings.home, role)) and now.pid == found.pid:
        if time.monotonic() > end:
            raise ServerFailed(f"Process {found.pid} has not ended within {STOP_SECONDS:.0f} seconds; kill -9 it.")
        time.sleep(0.1)


@app.command()
def plan(
    model: Annotated[str, typer.Argument(help="A folder of weights or a name on the hub; only its config is read.")],
    gpu_memory: Annotated[str, typer.Option(help="Of one GPU: 80GB. GB means GiB here.")] = "80GB",
    context: Annotated[
        str | None, typer.Option(help="Tokens of the longest request; 32k, or what the model reads if that is less.")
    ] = None,
    goal: Annotated[str | None, typer.Option(help="latency, throughput or cost; all three by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a model takes on a GPU, and which flags to serve it with."""
    from dataclasses import asdict

    from agent.policy import plan as planning

    planned = planning.plan(model, planning.bytes_of(gpu_memory), planning.tokens_of(context) if context else None)
    flags = {name: planning.recommend(planned, name) for name in ([goal] if goal else planning.GOALS)}
    if as_json:
        return print_json(asdict(planned) | {"flags": {name: list(map(asdict, each)) for name, each in flags.items()}})
    size = planning.size
    print(f"{planned.model}: {planned.parameters:,} parameters; a request of {planned.context:,} tokens keeps "
          f"{size(planned.request_bytes)} of keys and values (16 bit)")  # fmt: skip
    print(f"on GPUs of {size(planned.gpu_bytes)}:")
    for precision, weights in planned.weight_bytes.items():
        print(f"  {precision:5} weights {size(weights):>10}   GPUs {planned.gpus[precision]:>2}   "
              f"requests at once {planned.requests[precision]:>6,}")  # fmt: skip
    for name, each in flags.items():
        print(f"for {name}:")
        for flag in each:
            print(f"  {flag.text}\n      {flag.reason}")
    print("Any of them goes after --:  ponder model serve MODEL -- FLAGS")
