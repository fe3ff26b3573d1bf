"""``/v1/runs/{id}/approvals``: calls that wait for a person, and the person's word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from pydantic_core import to_jsonable_python

from agent.approval import Approval
from agent.doors.rest.door import door_of
from agent.doors.rest.openapi import Body, router_of
from agent.doors.rest.runs import RunId, run_of
from agent.errors import NotInLog

router = router_of("Runs")


class ApprovalRequest(Body):
    """A person's word on a call."""

    path: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=1_000)]  # of its node
    index: Annotated[int, Field(ge=0, le=2**31)] = 0  # which of the node's calls
    approve: bool
    comment: Annotated[str, Field(max_length=10_000)] = ""  # for the model, where the call is not to be made


@router.get("/v1/runs/{run_id}/approvals")
async def waiting(run_id: RunId, request: Request) -> dict[str, Any]:
    """The calls of a run that wait for a person."""
    door = door_of(request)
    run_of(door, request, run_id)
    found = [to_jsonable_python(asdict(needed)) for needed in door.approvals.waiting(run_id)]
    return {"object": "list", "run_id": run_id, "data": found}


@router.post("/v1/runs/{run_id}/approvals")
async def given(run_id: RunId, body: ApprovalRequest, request: Request) -> dict[str, Any]:
    """Say whether a call is to be made. The first word counts."""
    door = door_of(request)
    run_of(door, request, run_id)
    if not door.approvals.give(run_id, tuple(body.path), body.index, Approval(body.approve, body.comment)):
        raise NotInLog(f"No call {body.index} at {body.path} of run {run_id} waits for a word.")
    return {"object": "approval", "run_id": run_id, **body.model_dump()}
