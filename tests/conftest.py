"""What every test stands on: one thread per worker, no network lookups by libraries, a home folder of its own."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from agent.policy.note import Note
from tests import vllm_server

# Before torch is imported anywhere: xdist runs one worker per core, and a second thread in each only makes them wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("LANGSMITH_TRACING", None)
settings.register_profile("ponder", deadline=None, derandomize=True)  # the same cases each time, on a busy machine too
settings.load_profile("ponder")


def pytest_configure(config: pytest.Config) -> None:
    vllm_server.register(config)


@pytest.fixture(scope="session")
def vllm() -> Note:
    """Where a real vLLM serves the shipped miniature. A test that uses it has "vllm" in its id."""
    return vllm_server.running()


@pytest.fixture(scope="session")
def vllm_judge() -> Note:
    """Where a real vLLM serves a process reward model. A test that uses it has "vllm_judges" in its id."""
    return vllm_server.running("process_reward")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings, the index or the log of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("PONDER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PONDER_HOME", str(tmp_path_factory.mktemp("ponder_home")))


@pytest.fixture
def home() -> Path:
    """The PONDER_HOME of this test."""
    return Path(os.environ["PONDER_HOME"])
