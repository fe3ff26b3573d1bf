"""``ponder serve`` and ``ponder keys``: the REST door, and who may come in."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Annotated, Any, cast

import typer

from tui.options import AsJson, BaseUrl, ModelName, print_json, settings_for

keys_app = typer.Typer(help="Who may use `ponder serve`.", no_args_is_help=True, rich_markup_mode=None)
UNITS = {"requests": "questions a minute", "concurrent": "at once", "tokens": "tokens sampled a day"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command()(serve)
    app.add_typer(keys_app, name="keys")


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8080,
    host: Annotated[str, typer.Option(help="On which address; on others than this machine's own, with keys only.")] = (
        "127.0.0.1"
    ),
    model: ModelName = None,
    base_url: BaseUrl = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the socket, and the log.")] = 1,
) -> None:
    """Answer over HTTP, as OpenAI's API does, until Ctrl-C."""
    from agent.doors.door import open_door
    from agent.doors.keys import Keys
    from agent.doors.rest.app import create_app
    from agent.doors.rest.server import serve as listen
    from agent.errors import SettingsError

    settings = settings_for(model=model, base_url=base_url)
    keys, local = Keys(settings.home), host in LOOPBACK
    if not local and not keys.all:
        raise SettingsError(f"Whoever reaches {host} could ask; make a key first: `ponder keys create NAME`.")
    share = {"concurrent": ceil(settings.concurrent / workers), "waiting": ceil(settings.waiting / workers)}
    opening = partial(open_door, settings.model_copy(update=share))
    listen(partial(create_app, opening, keys, local, workers), host, port, workers)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scopes: Annotated[str, typer.Option(help="ask, documents, admin; by commas.")] = "ask",
    requests: Annotated[int | None, typer.Option(min=1, help="Questions a minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Questions at once.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens that are sampled a day, UTC.")] = None,
    expires: Annotated[datetime | None, typer.Option(help="The day from which it is refused.")] = None,
) -> None:
    """Make a key, and print its secret: it cannot be shown again."""
    from agent.assemble import open_log
    from agent.doors.keys import SCOPES, Limits, Scope, create
    from agent.errors import SettingsError
    from agent.store import RunFilter
    from tui.choosing import names_in

    wanted = names_in(scopes)
    if not wanted or not set(wanted) <= set(SCOPES):
        raise SettingsError(f"There are no scopes {scopes!r}; take some of {', '.join(SCOPES)}, by commas.")
    limits, settings = Limits(requests, concurrent, tokens), settings_for()
    print(create(settings.home, name, cast("list[Scope]", wanted), limits, expires))
    with open_log(settings) as log:
        if log.runs(RunFilter(key=name), 1):
            print(
                f"An earlier key was called {name}: its runs, threads and memories are this one's now.", file=sys.stderr
            )


@keys_app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys there are; not their secrets."""
    from dataclasses import asdict

    from agent.doors.keys import Keys
    from tui.printer import printable

    found = Keys(settings_for().home).all
    if as_json:
        shown: list[dict[str, Any]] = [{n: v for n, v in asdict(key).items() if n != "digest"} for key in found]
        return print_json(shown)
    for key in found:
        limits = [f"{most:,} {UNITS[what]}" for what, most in asdict(key.limits).items() if most is not None]
        past = "expired" if key.expired(datetime.now(UTC)) else "until"
        ends = [f"{past} {key.expires_at}"] if key.expires_at else []
        print(printable("  ".join([key.name, ",".join(key.scopes), *limits, *ends])))
    return None


@keys_app.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(help="Which one.")]) -> None:
    """Refuse a key from now on; a server that runs does so at once."""
    from agent.doors.keys import FILE, Keys, revoke

    home = settings_for().home
    revoke(home, name)
    print(f"The key {name} is refused from now on.")
    if not Keys(home).all:
        print(
            f"No key is left: nobody comes in until there is one (or, on this machine, until {home / FILE} is deleted)."
        )
