"""``/v1/documents``: what the agent's searches look in. Whoever may ask is answered from all of it.

What is uploaded lies in the home's folder ``documents``, and is indexed there; what was indexed by the command
``ponder index`` is searched as well, and neither listed nor removed here.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Request, UploadFile
from pydantic import Field

from agent.assemble import index_folder, open_encoder
from agent.doors.door import Door
from agent.doors.errors import SOON, ApiError
from agent.doors.forms import Told, told_of
from agent.doors.knowledge import folder_of
from agent.doors.knowledge import search as found_by
from agent.doors.rest.caller import door_of, key_of
from agent.doors.rest.openapi import Body, Deleted, Listed, links, router_of
from retrieval.errors import IndexBusy
from retrieval.indexing import IndexReport, index
from retrieval.passage import Passage

router = router_of("Documents")
LONGEST = 240  # bytes of a name: file systems take 255, and a part of one has a longer one
FILE_NAME = re.compile(r"[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]{0,150}")  # no path, nothing hidden


class SearchRequest(Body):
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    k: Annotated[int, Field(ge=1, le=50)] = 5


class DocumentObject(Told):
    """An uploaded file."""

    id: str  # its name
    object: Literal["document"]
    bytes: int
    created_at: int  # seconds since 1970


class Uploaded(DocumentObject):
    """It can be searched."""

    passages: int  # that the index has now, of all documents


class Found(told_of(Passage)):
    """A passage of a document."""


@router.post(
    "/v1/documents",
    status_code=201,
    response_model=Uploaded,
    responses={201: links("name", "id", "documents_deleted")},
)
async def upload(file: UploadFile, request: Request) -> dict[str, Any]:
    """Add a document (text, Markdown, HTML, PDF, office files), or replace the one of that name."""
    door = permitted(request)
    name = file.filename or ""
    if not is_name(name):
        raise ApiError(f"A document cannot be called {name[:64]!r}; give it a file's name.", param="file")
    place = folder_of(door) / name
    before = place.read_bytes() if place.is_file() else None
    await asyncio.to_thread(write, place, await file.read())
    report = await indexed(door)
    skipped = [each.reason for each in report.skipped if Path(each.source).name == name]
    if skipped:
        place.unlink(missing_ok=True)
        if before is not None:  # what cannot be read replaces nothing
            await asyncio.to_thread(write, place, before)
            await indexed(door)
        raise ApiError(f"{name} cannot be read: {skipped[0]}", 422, code="unreadable_document", param="file")
    return told(place) | {"passages": report.chunks}


@router.get("/v1/documents", response_model=Listed[DocumentObject])
async def listed(request: Request) -> dict[str, Any]:
    """What was uploaded."""
    files = sorted(each for each in folder_of(permitted(request)).iterdir() if each.is_file())
    return {"object": "list", "data": list(map(told, files))}


@router.post("/v1/documents/search", response_model=Listed[Found])
async def search(body: SearchRequest, request: Request) -> dict[str, Any]:
    """The passages that a search of the agent's would find."""
    door = door_of(request)
    key_of(request, "ask")
    return {"object": "list", "data": list(map(asdict, await found_by(door, body.query, body.k)))}


def is_name(name: str) -> bool:
    """Whether a file may be called so."""
    return FILE_NAME.fullmatch(name) is not None and len(name.encode("utf-8", "replace")) <= LONGEST


def permitted(request: Request) -> Door:
    key_of(request, "documents")
    return door_of(request)


def write(place: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = place.with_name(f".{place.name}.part")
    part.write_bytes(data)
    os.replace(part, place)


@router.delete("/v1/documents/{name}", response_model=Deleted)
async def deleted(name: str, request: Request) -> dict[str, Any]:
    """Remove a document: no search finds it from then on."""
    door = permitted(request)
    place = folder_of(door) / name
    if not is_name(name) or not place.is_file():
        raise ApiError(f"There is no document {name[:64]!r}.", 404, code="not_found")
    place.unlink()
    await indexed(door)
    return {"id": name, "object": "document", "deleted": True}


async def indexed(door: Door) -> IndexReport:
    """Bring the index up to date with the folder. Raises ``ApiError`` where another process does so already."""
    folder, encoder = folder_of(door), await asyncio.to_thread(open_encoder, door.settings)
    try:
        return await asyncio.to_thread(index, [folder], index_folder(door.settings), encoder)
    except IndexBusy as error:
        raise ApiError(str(error), 409, code="index_busy", headers=SOON) from error


def told(place: Path) -> dict[str, Any]:
    with suppress(OSError):
        found = place.stat()
        return {"id": place.name, "object": "document", "bytes": found.st_size, "created_at": int(found.st_mtime)}
    return {"id": place.name, "object": "document"}
