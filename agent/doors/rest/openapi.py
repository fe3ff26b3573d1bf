"""What the OpenAPI document says beside what FastAPI finds: names and forms of what is ours, and links between them."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict

from agent.doors.forms import Told

T = TypeVar("T")
KEYED = Security(  # for the document; ``entrance`` looks at the key
    HTTPBearer(
        auto_error=False, description="A key of `ponder keys create`. Where none was made, this machine needs none."
    )
)
STREAM = {"x-stream": True}  # of an operation whose answer is events, each with data of its ``response_model``


class Body(BaseModel):
    """Of a request of our own: no value is taken for one of another type, and a field that nobody knows is refused,
    since a slip in a name would go unseen.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class Listed(Told, Generic[T]):
    """All there are."""

    object: Literal["list"]
    data: list[T]


class Page(Listed[T], Generic[T]):
    """Some of them, in an order."""

    has_more: bool


class OfRun(Listed[T], Generic[T]):
    """What a run has of them."""

    run_id: str


class Deleted(Told):
    """It is gone."""

    id: str | int
    object: str  # what it was
    deleted: Literal[True]


def router_of(part: str, keyed: bool = True) -> APIRouter:
    """Of a part of the API, whose operations are called by their module and what is done: ``runs_cancelled``.

    ``keyed``: whether all of it needs a key.
    """
    dependencies = [KEYED] if keyed else []
    return APIRouter(tags=[part], generate_unique_id_function=operation, dependencies=dependencies)


def operation(route: APIRoute) -> str:
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


def links(parameter: str, member: str, *operations: str) -> dict[str, Any]:
    """To operations that take an answer's ``member`` as their path's ``parameter`` (OpenAPI 3.1, "Link Object")."""
    given = {parameter: f"$response.body#/{member}"}
    return {"links": {each: {"operationId": each, "parameters": given} for each in operations}}


def describe(app: FastAPI) -> None:
    """Let the document say of streams what FastAPI cannot know, as it makes them itself (OpenAPI 3.2, "itemSchema")."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for operation in (each for operations in document["paths"].values() for each in operations.values()):
            if operation.pop("x-stream", False):
                content = operation["responses"]["200"]["content"]
                data = {
                    "contentMediaType": "application/json",
                    "contentSchema": content.pop("application/json")["schema"],
                }
                form = {"event": {"type": "string"}, "id": {"type": "string"}, "data": {"type": "string", **data}}
                item = {"type": "object", "properties": form, "required": ["data"]}
                content["text/event-stream"] = {"itemSchema": item}
        return document

    app.openapi = openapi
