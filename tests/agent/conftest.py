"""A log of one run, for the tests that need one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import Store
from tests.agent.logs import RUN


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "home/log.sqlite3"


@pytest.fixture
def store(log_path: Path) -> Iterator[Store]:
    """A log in which RUN has begun."""
    with Store.open(log_path) as store:
        store.begin(RUN)
        yield store
