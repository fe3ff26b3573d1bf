"""Every failure as a caller is told of it: a sentence, a status (HTTP's), and whether it may pass by itself.

A client retries what is 408, 409, 429 or 5xx: only what may pass by itself has one of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.errors import NotInLog, PonderError, QuestionError, RunUnderWay, StoreBusy
from agent.opening import QuestionTooLong
from agent.policy.policy import PolicyError
from agent.policy.registry import VersionError

INVALID, SERVER = "invalid_request_error", "server_error"
SOON = {"Retry-After": "1"}  # seconds


class ApiError(PonderError):
    """A request that is answered with an error."""

    def __init__(
        self,
        message: str,
        status: int = 400,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.param, self.headers = status, kind, code, param, headers

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


def unsupported(param: str, why: str) -> ApiError:
    return ApiError(f"{param} {why}", code="unsupported_parameter", param=param)


def known(error: Exception) -> ApiError:
    """What a client is told. A defect is told of without its insides."""
    said = str(error)
    match error:
        case ApiError():
            return error
        case QuestionTooLong():
            return ApiError(said, code="context_length_exceeded", param="messages")
        case QuestionError():
            return ApiError(said)
        case NotInLog():
            return ApiError(f"{said.partition(';')[0].rstrip('.')}.", 404, code="not_found")
        case RunUnderWay():
            return ApiError(said, 409, code="run_under_way", headers=SOON)
        case StoreBusy():
            return ApiError(said, 503, SERVER, "log_busy", headers=SOON)
        case VersionError():
            return ApiError(said, 409, code="version_refused")
        case PolicyError():
            passing = error.passing
            return ApiError(said, 503 if passing else 502, SERVER, "model_unavailable", headers=SOON if passing else {})
        case PonderError():
            return ApiError(said, 500, SERVER)
        case _:
            return ApiError("Something went wrong inside; the server's log says what.", 500, SERVER)
