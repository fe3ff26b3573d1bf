"""The note of a server: whose it is, and for how long it counts."""

from dataclasses import replace
from pathlib import Path

from agent.policy.note import Note, left, read, serves, write

NOTE = Note("http://127.0.0.1:8000/v1", "key", "model", 12, "vllm.log")


def test_a_server_that_is_started_again_after_a_crash_still_serves(tmp_path: Path) -> None:
    with left(tmp_path, NOTE):
        write(tmp_path, replace(NOTE, starting_since=1.0))
        assert read(tmp_path) != NOTE
        assert serves(tmp_path, NOTE)


def test_a_server_that_was_stopped_does_not_serve_and_neither_does_another_in_its_place(tmp_path: Path) -> None:
    with left(tmp_path, NOTE):
        pass
    assert not serves(tmp_path, NOTE)
    with left(tmp_path, replace(NOTE, pid=13)):
        assert not serves(tmp_path, NOTE)
