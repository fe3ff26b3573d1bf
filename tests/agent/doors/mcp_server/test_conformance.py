"""The conformance suite of the protocol's authors, revision by revision: what Ponder stands on, and Ponder itself.

Most scenarios call tools, resources and prompts of names that the suite lays down. ``fixture`` has them all, behind the
same route and entrance as Ponder, and passes every scenario that a revision scores. Ponder's own server has none:
``expected_failures_own.yaml`` names the checks that miss them, and every other check has to pass. What the suite runs
without scoring it, the extension of tasks above all, decides nothing.
"""

from pathlib import Path

import pytest

from agent.doors.keys import Keys
from tests.agent.doors.mcp_server.fixture import create_app
from tests.agent.doors.rest.conftest import Opening, serving
from tests.mcp_suite import in_each_revision, needs_suite, passes

OWN = Path(__file__).with_name("expected_failures_own.yaml")
pytestmark = [
    pytest.mark.timeout(300),
    needs_suite,
    in_each_revision,
    # What the newer revision deprecates, the older one's scenarios call.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


async def test_what_ponder_stands_on_conforms(revision: str, home: Path, tmp_path: Path) -> None:
    async with serving(create_app(Keys(home))) as url:
        await passes("server", revision, tmp_path, "--url", f"{url}/mcp")


async def test_ponder_conforms_as_far_as_it_has_what_is_called(revision: str, door: Opening, tmp_path: Path) -> None:
    opened = await door({})
    await passes("server", revision, tmp_path, "--url", f"{opened.url}/mcp", "--expected-failures", str(OWN))
