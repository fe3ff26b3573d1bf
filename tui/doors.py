"""``ponder serve``: the REST door."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from tui.options import BaseUrl, ModelName, settings_for


def add_to(app: typer.Typer, log_app: typer.Typer, train_app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8080,
    host: Annotated[str, typer.Option(help="On which address.")] = "127.0.0.1",
    model: ModelName = None,
    base_url: BaseUrl = None,
) -> None:
    """Answer over HTTP, as OpenAI's API does, until Ctrl-C."""
    from agent.doors.rest.app import create_app, open_door
    from agent.doors.rest.server import serve as listen

    settings = settings_for(model=model, base_url=base_url)
    print(f"Listening on http://{host}:{port}/v1; ask it as you would ask OpenAI's API.")
    listen(create_app(partial(open_door, settings)), host, port)
