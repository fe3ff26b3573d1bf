"""A run is driven by one process at a time, and by the next as soon as that one is gone, however it went."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.claim import claimed, claimed_at
from agent.errors import RunUnderWay

HOLD = """
import sys, time
from pathlib import Path
from agent.claim import claimed
with claimed(Path(sys.argv[1]), "a", "/there"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_that_another_process_drives_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "r")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        refused = pytest.raises(RunUnderWay, match="Run a is under way in another process; wait for it")
        with refused, claimed(tmp_path / "r", "a"):
            pass
        assert claimed_at(tmp_path / "r", "a") == "/there"
        with claimed(tmp_path / "r", "b"):
            pass
        other.kill()
        other.wait(10)
        assert claimed_at(tmp_path / "r", "a") is None
        with claimed(tmp_path / "r", "a"):
            pass


def test_nothing_is_left_of_a_claim_that_is_over(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), claimed(tmp_path / "r", "a"):
            raise KeyError
    assert claimed_at(tmp_path / "r", "a") is None
    assert list((tmp_path / "r").iterdir()) == []


def test_in_one_process_too_a_run_is_driven_once(tmp_path: Path) -> None:
    with claimed(tmp_path, "a"), pytest.raises(RunUnderWay), claimed(tmp_path, "a"):
        pass
