"""The shipped miniature as two policies: in this process, and behind a real vLLM. To be imported by who uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent.assemble import MINI
from agent.policy.connect import connect
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import EndpointPolicy
from agent.policy.note import Note
from agent.policy.policy import Policy

waits_for_vllm = pytest.mark.timeout(700)  # it may still be coming up


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedPolicy]:
    policy = EmbeddedPolicy.load(MINI)
    yield policy
    await policy.close()


@pytest.fixture
async def served(vllm: Note) -> AsyncIterator[EndpointPolicy]:
    policy = await connect(vllm.base_url, vllm.model, vllm.api_key)
    assert isinstance(policy, EndpointPolicy)
    yield policy
    await policy.close()


@pytest.fixture(params=["embedded", "vllm"])
def real(request: pytest.FixtureRequest) -> Policy:
    """Each of the two."""
    return request.getfixturevalue("served" if request.param == "vllm" else "embedded")
