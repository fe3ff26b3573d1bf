"""``/v1/runs/{id}/approvals``: calls that wait for a person, and the person's word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field
from pydantic_core import to_jsonable_python

from agent.approval import Approval
from agent.doors.errors import ApiError
from agent.doors.forms import told_of
from agent.doors.rest.caller import door_of, run_of
from agent.doors.rest.openapi import Body, OfRun, router_of
from agent.doors.rest.runs import RunId
from agent.errors import NotInLog
from agent.events import ApprovalNeeded
from tools.person import unfit, with_defaults

router = router_of("Runs")
Value = str | int | float | bool | list[str] | None  # that a field of a form can have


class Word(Body):
    """Which question, and what a person says to it."""

    id: Annotated[str, Field(max_length=100)]  # of what waits
    approve: bool
    comment: Annotated[str, Field(max_length=10_000)] = ""  # for the model, where the call is not to be made


class ApprovalRequest(Word):
    """A person's word on a call, or what it wants to know."""

    content: dict[str, Value] = Field(default_factory=dict)  # fills the form, where there is one


class Waiting(told_of(ApprovalNeeded)):
    """A call that waits for a person's word."""


class ApprovalObject(Word):
    """A word that was taken."""

    object: Literal["approval"]
    run_id: str


@router.get("/v1/runs/{run_id}/approvals", response_model=OfRun[Waiting])
async def waiting(run_id: RunId, request: Request) -> dict[str, Any]:
    """The calls of a run that wait for a person."""
    door = door_of(request)
    run_of(request, run_id)
    found = [to_jsonable_python(asdict(needed)) for needed in door.approvals.waiting(run_id)]
    return {"object": "list", "run_id": run_id, "data": found}


@router.post("/v1/runs/{run_id}/approvals", response_model=ApprovalObject)
async def given(run_id: RunId, body: ApprovalRequest, request: Request) -> dict[str, Any]:
    """Say whether a call is to be made. The first word counts."""
    door = door_of(request)
    run_of(request, run_id)
    forms = [each.form for each in door.approvals.waiting(run_id) if each.id == body.id and each.form is not None]
    if body.approve and (why := "".join(unfit(form, with_defaults(form, body.content)) for form in forms)):
        raise ApiError(f"The content does not fill the form: {why}", param="content")
    if not door.approvals.give(run_id, body.id, Approval(body.approve, body.comment, body.content)):
        raise NotInLog(f"Nothing called {body.id!r} of run {run_id} waits for a word.")
    return {"object": "approval", "run_id": run_id, **body.model_dump(exclude={"content"})}
