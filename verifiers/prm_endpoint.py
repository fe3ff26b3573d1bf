"""A process reward model behind vLLM's pooling runner: ids in, one row of class probabilities for each step tag."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, retry_if_result, wait_random_exponential

from verifiers.verdict import VerifierError

ADVICE = "see the log of `ponder model serve --process-reward`"
DEADLINE = 120.0  # seconds for one sequence, its wait in the server's queue included


class EndpointProcessRewardModel:
    """Implements ``ProcessRewardModel`` on ``POST /pooling`` with the task ``token_classify``."""

    def __init__(self, base_url: str, model: str, step_tag_id: int, api_key: str | None = None) -> None:
        """``base_url`` ends in ``/v1``, like every address of a server here."""
        self.step_tag_id = step_tag_id
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/pooling"
        self._model = model
        self._key = api_key or ""

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """Asked again, with pauses, while the server starts, is full or fails, for ``DEADLINE`` seconds in all."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        body = {"model": self._model, "input": list(token_ids), "task": "token_classify"}
        try:
            # It is on this machine: a proxy of the environment has no business with it, nor with its key.
            client = httpx.AsyncClient(timeout=None, headers=headers, trust_env=False)
            async with asyncio.timeout(DEADLINE), client:
                response = await AsyncRetrying(
                    retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(passing),
                    wait=wait_random_exponential(0.5, 15.0),
                )(client.post, self._url, json=body)
        except TimeoutError as error:
            raise VerifierError(f"The process reward model at {self._url} does not answer; {ADVICE}.") from error
        except httpx.DecodingError as error:
            raise VerifierError(f"The process reward model's answer cannot be unpacked; {ADVICE}.") from error
        if response.status_code != 200:
            said = response.text.replace(self._key or "\0", "***")[:300]
            sentence = f"The process reward model refused {len(token_ids)} tokens ({said}); {ADVICE}."
            raise VerifierError(sentence)
        return _scores(response, list(token_ids).count(self.step_tag_id))


def passing(response: httpx.Response) -> bool:
    """Whether the same request may well succeed a little later."""
    return response.status_code in (429, 500, 502, 503)


def _scores(response: httpx.Response, steps: int) -> list[float]:
    """The last class is "right": the second of two, or the only one. Raises ``VerifierError``."""
    try:
        rows: list[Any] = response.json()["data"][0]["data"]
        scores = [float(row[-1]) for row in rows]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        sentence = "The process reward model's answer has no rows of probabilities; serve it with --process-reward."
        raise VerifierError(sentence) from error
    if len(scores) != steps or not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
        raise VerifierError(
            f"The process reward model gave {len(scores)} scores for {steps} steps; check its step tag."
        )
    return scores
