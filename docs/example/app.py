"""An application of one page in front of `ponder serve`:

    ponder serve &
    python docs/example/app.py          # then open http://127.0.0.1:8090

The key of the door (PONDER_KEY) stays here: the page asks this program, which passes on what the page asks and nothing
else, and streams what comes back. PONDER_URL is where the door is. It is for one person at one machine: whoever opens
the page asks with that key. An application for several has to know who asks, and to keep their runs apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

DOOR = os.environ.get("PONDER_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("PONDER_KEY", "none")
PORT = int(os.environ.get("PORT", "8090"))
PASSED_ON = {
    "GET": re.compile(r"runs/[a-z0-9]+/events"),
    "POST": re.compile(r"runs(/[a-z0-9]+/(approvals|cancel))?|feedback"),
}
KEPT = ("content-type", "cache-control", "retry-after")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    timeout = httpx.Timeout(30, read=120)  # a comment comes every 15 seconds, also while the model thinks
    async with httpx.AsyncClient(base_url=DOOR, headers={"authorization": f"Bearer {KEY}"}, timeout=timeout) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])


@app.get("/")
async def page() -> Response:
    return FileResponse(Path(__file__).with_name("page.html"), headers={"Content-Security-Policy": POLICY})


POLICY = (
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"
)


@app.api_route("/v1/{path:path}", methods=["GET", "POST"])
async def passed_on(path: str, request: Request) -> Response:
    """What the page asks, and no other site's page: browsers say where a request comes from, and to which host."""
    ours = request.headers.get("origin") in (None, f"http://{request.headers['host']}")
    if not ours or not PASSED_ON[request.method].fullmatch(path):
        return JSONResponse({"error": {"message": "This page does not ask that."}}, 404)
    kept = {name: request.headers[name] for name in ("content-type", "last-event-id") if name in request.headers}
    client: httpx.AsyncClient = request.app.state.client
    asked = client.build_request(request.method, f"/v1/{path}", headers=kept, content=await request.body())
    try:
        answer = await client.send(asked, stream=True)
    except httpx.TransportError:
        return JSONResponse({"error": {"message": f"Nobody answers at {DOOR}; start `ponder serve`."}}, 502)

    async def body() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:  # also where the page has gone
            await answer.aclose()

    headers = {name: answer.headers[name] for name in KEPT if name in answer.headers}
    return StreamingResponse(body(), answer.status_code, headers)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
