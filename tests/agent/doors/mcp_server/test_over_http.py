"""An answer is whole once; what a server says after it concerns nobody, and what it says before does."""

import logging
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from agent.doors.mcp_server.over_http import Whole
from agent.doors.mcp_server.server import logging_unchanged

START: Message = {"type": "http.response.start", "status": 202, "headers": []}
END: Message = {"type": "http.response.body", "body": b""}
PIECE: Message = {**END, "more_body": True}


async def sent(*messages: Message, fails: Exception | None = None) -> list[Message]:
    """What reaches the client of an application that sends these."""
    told: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if fails:
            raise fails

    async def tell(message: Message) -> None:
        told.append(message)

    async def nothing() -> Any:
        raise AssertionError

    await Whole(app)({"type": "http", "path": "/mcp", "headers": []}, nothing, tell)
    return told


async def test_a_second_answer_is_not_sent() -> None:
    assert await sent(START, PIECE, END, START, END) == [START, PIECE, END]


async def test_a_failure_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await sent(START, fails=ZeroDivisionError())


def test_the_root_logger_stays_as_it_was() -> None:
    root, other = logging.getLogger(), logging.NullHandler()
    before = list(root.handlers)
    with logging_unchanged():
        root.addHandler(other)
        root.setLevel(logging.DEBUG)
    assert (root.handlers, root.level == logging.DEBUG) == (before, False)
