"""The plain conversation."""

from pathlib import Path

import pytest

from agent.store import Store
from tests.tui.commands import begun, interrupt, ponder, read_until

pytestmark = pytest.mark.timeout(400)


def test_questions_are_one_thread_until_an_empty_line(model: str, home: Path, tmp_path: Path) -> None:
    done = ponder(
        "chat", "--model", model, "--effort", "low", folder=tmp_path, stdin=b"Hello\nAnd now?\n\nNever read\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" tokens sampled, ") == 2
    with Store.open(home / "log.sqlite") as store:
        runs = store.runs()
    assert [run.question for run in runs] == ["And now?", "Hello"]
    assert len({run.thread_id for run in runs}) == 1


def test_ctrl_c_stops_an_answer_and_at_the_prompt_the_conversation(talkative: str, home: Path, tmp_path: Path) -> None:
    process = begun("chat", "--model", talkative, "--effort", "high", folder=tmp_path)
    assert process.stdin is not None
    process.stdin.write("How many pens?\n")
    read_until(process, "│")
    interrupt(process)
    read_until(process, "Stopped; what was produced is in the log.")
    interrupt(process)
    _, said = process.communicate(timeout=200)
    assert (process.returncode, said) == (130, "Interrupted; what was finished is kept.\n")
    with Store.open(home / "log.sqlite") as store:
        assert [run.status for run in store.runs()] == ["cancelled"]
