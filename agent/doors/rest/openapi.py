"""What the OpenAPI document says beside what FastAPI finds: names of operations, and links between them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Of a request of our own: a field that nobody knows is refused, since a slip in a name would go unseen."""

    model_config = ConfigDict(extra="forbid")


def router_of(part: str) -> APIRouter:
    """Of a part of the API, whose operations are called by their module and what is done: ``runs_cancelled``."""
    return APIRouter(tags=[part], generate_unique_id_function=operation)


def operation(route: APIRoute) -> str:
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


def links(parameter: str, member: str, *operations: str) -> dict[str, Any]:
    """To operations that take an answer's ``member`` as their path's ``parameter`` (OpenAPI 3.1, "Link Object")."""
    given = {parameter: f"$response.body#/{member}"}
    return {"links": {each: {"operationId": each, "parameters": given} for each in operations}}
