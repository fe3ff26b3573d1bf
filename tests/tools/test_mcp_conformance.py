"""The conformance suite of the protocol's authors, revision by revision: Ponder as the client, signing in and all.

What the suite runs without scoring it decides nothing: extensions (demonstrated possession of a token, workload
identities, an enterprise's managed authorization), and credentials that are signed instead of secret.
"""

import sys
from pathlib import Path

import pytest

from tests.mcp_suite import in_each_revision, needs_suite, passes

pytestmark = [pytest.mark.timeout(300), needs_suite, in_each_revision]


async def test_ponder_conforms_as_a_client(revision: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m tests.tools.conformance_client"
    await passes("client", revision, tmp_path, "--command", command, "--timeout", "200000")
