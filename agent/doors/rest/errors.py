"""Every failure as OpenAI's clients know it: ``{"error": {"message", "type", "param", "code"}}`` and a status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from agent.doors.errors import ApiError, known
from agent.errors import PonderError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_log = logging.getLogger("ponder.rest")


class Told(BaseModel):
    """What an error says."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Of every error."""

    error: Told


WRONG: dict[int | str, dict[str, Any]] = {  # what any request may be answered with, beside what it asked for
    "4XX": {"model": ErrorBody, "description": "Something is wrong with the request, or nothing may come of it now."},
    "5XX": {"model": ErrorBody, "description": "The server or its model cannot answer now."},
}


def install(app: FastAPI) -> None:
    """Every error of the app in that form."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return response(known(error))

    async def wrong(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        if isinstance(error.body, bytes | str) and "json" not in request.headers.get("content-type", ""):
            said = "Send the body as JSON, with the header `Content-Type: application/json`."
            return response(ApiError(said, code="invalid_content_type"))
        return response(first_wrong(error))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {404: "unknown_url", 405: "method_not_allowed", 413: "body_too_long"}.get(error.status_code)
        headers = {"Allow": ", ".join(allowed(app, request))} if error.status_code == 405 else error.headers
        return response(ApiError(str(error.detail), error.status_code, code=code, headers=headers))

    async def defect(request: Request, error: Exception) -> JSONResponse:
        _log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return response(known(error))

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # to nobody; nginx calls it so

    app.add_exception_handler(PonderError, ours)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, defect)


def allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods of a place, all of them; the exception that a route raises knows its own alone."""
    routes = [
        route for route in app.routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
    ]
    return sorted({method for route in routes if route.path == routes[0].path for method in route.methods or ()})


def first_wrong(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong with a request, and where it stands."""
    first = error.errors()[0]
    where, *place = first["loc"] or ("body",)
    if first["type"] == "json_invalid":
        return ApiError("The body is not valid JSON.", code="invalid_json")
    if where == "body":
        place = sent_in(error.body, place, first["type"] == "missing")
    param = ".".join(map(str, place)) or None
    return ApiError(f"{param or 'The body'}: {first['msg']}.", code="invalid_value", param=param)


def sent_in(body: Any, place: Sequence[int | str], missing: bool) -> list[int | str]:
    """A place in what was sent: without the names of types, of which any would have done."""
    found = []
    for part in place:
        within: Any = dict(enumerate(body)) if isinstance(body, list) else body
        if isinstance(within, dict) and part in within:
            body = within[part]
            found.append(part)
    return [*found, *place[-1:]] if missing else found


def response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body, error.status, headers=dict(error.headers or {}))
