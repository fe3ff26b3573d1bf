"""Finds out what a server can do and gives the policy for it: ids where it has them, chat where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from agent.policy.chat import ChatPolicy
from agent.policy.endpoint import NO_ADAPTERS, Adapters, EndpointPolicy, version_of
from agent.policy.renderer import Renderer, RendererError
from agent.policy.wire import (
    Deadlines,
    EndpointFailed,
    EndpointMalformed,
    EndpointRefused,
    Server,
    make_client,
    missing_path,
    named_errors,
)

T = TypeVar("T")
MINI = Path(__file__).parent / "mini"
PROBE = [{"role": "user", "content": "Tell me about rivers."}]


async def connect(
    base_url: str,
    model: str | None = None,
    api_key: str | None = None,
    *,
    tokenizer: str | Path | None = None,
    carrier: str | Path = MINI,
    deadlines: Deadlines | None = None,
    adapters: Adapters = NO_ADAPTERS,
) -> EndpointPolicy | ChatPolicy:
    """The policy for a server and a model or adapter there, by default the first that it lists.

    ``tokenizer`` is the folder or hub name of the model's tokenizer, where it is not what the server says; ``carrier``
    of the one that carries text where the server has no ids. A named adapter is what every run takes; otherwise
    ``adapters`` says. Raises ``EndpointError``s.
    """
    kept = adapters.serving is not None
    server = Server(checked(base_url), model or "", api_key, deadlines=deadlines or Deadlines(), kept=kept)
    async with make_client(server) as client:
        card, base = await _within(server, _model_cards(client, server))
        length = base.get("max_model_len")
        if type(length) is int and length > 0:
            server = replace(server, context_length=length)
        server = replace(server, model=card["id"])
        try:
            renderer = await _load(tokenizer or base.get("root") or base["id"], server.deadlines)
            processed = await _within(server, _probe(client, server.model, renderer.start(PROBE)))
        except (RendererError, EndpointRefused, EndpointFailed, EndpointMalformed) as error:
            return ChatPolicy(server, await asyncio.to_thread(Renderer.load, carrier), f"no token ids: {error}")
    fixed = None if card is base else card["id"]
    if fixed:
        adapters = replace(adapters, current=lambda: fixed)
    return EndpointPolicy(server, renderer, processed, adapters, version_of(base["id"], fixed))


def checked(base_url: str) -> str:
    """The address without spaces around it. Raises ``EndpointRefused`` for what is none."""
    address = base_url.strip()
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number, or too large
        good = False
    if not good or len(address.split()) != 1:
        raise EndpointRefused(
            f"{base_url.rpartition('@')[2]!r} is no server's address; write one like http://127.0.0.1:8000/v1."
        )
    return address


async def _load(name: str | Path, deadlines: Deadlines) -> Renderer:
    try:
        async with asyncio.timeout(deadlines.first_token):  # it may be fetched from the hub
            return await asyncio.to_thread(Renderer.load, name)
    except TimeoutError as error:
        raise RendererError(f"The tokenizer {name} could not be fetched in time; give its folder.") from error


async def _within(server: Server, request: Awaitable[T]) -> T:
    with named_errors(server):
        async with asyncio.timeout(server.deadlines.first_token):
            return await request


async def _model_cards(client: openai.AsyncOpenAI, server: Server) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the server says of a model and of the one that it is an adapter of: itself where it is none.

    Only its name where the server does not list any.
    """
    model = server.model
    try:
        cards = {card.id: card.model_dump() for card in (await client.models.list()).data}
    except openai.APIStatusError as error:
        if error.status_code == 401 or (error.status_code != 404 and not model):
            raise
        cards = {}  # a server that cannot list its models may answer with the one that is named
    if not model and not cards:
        sentence = f"The server at {server.address} lists no model; correct PONDER_BASE_URL{missing_path(server)}"
        raise EndpointRefused(f"{sentence} or set PONDER_MODEL.")
    card = cards.get(model or next(iter(cards)), {"id": model})
    return card, cards.get(card.get("parent") or "", card)


async def _probe(client: openai.AsyncOpenAI, model: str, prompt: list[int]) -> bool:
    """Sample one token at temperatures 1 and 2: are there ids, and do log-probabilities follow the temperature?

    The distance between the most likely token and the fifth is then half as large; where it is the same, they are those
    before the temperature. Raises ``EndpointMalformed`` where there are no ids.
    """
    distances = []
    for temperature in (1.0, 2.0):
        completion = await client.completions.create(
            model=model,
            prompt=prompt,
            max_tokens=1,
            logprobs=5,
            seed=0,
            temperature=temperature,
            top_p=1.0,
            extra_body={"return_token_ids": True, "top_k": -1, "min_p": 0.0},
        )
        choice: Any = completion.choices[0]
        if len(getattr(choice, "token_ids", None) or ()) != 1 or list(choice.prompt_token_ids or ()) != prompt:
            raise EndpointMalformed("its completions do not give them back")
        likely = sorted(choice.logprobs.top_logprobs[0].values(), reverse=True)[:5]
        distances.append(likely[0] - likely[-1])
    return distances[1] < 0.75 * distances[0]
