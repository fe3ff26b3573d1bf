"""What a person says of runs afterwards reaches what is learned from."""

from pathlib import Path

import pytest

from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store
from rl.selection import Wanted, chosen
from tests.tui.commands import one_sentence, ponder

VERSION = PolicyVersion("m")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A log with two runs of one thread, each with an attempt of two steps and one of one."""
    with Store.open(tmp_path / "home/log.sqlite") as log:
        for run_id in ("abc1", "def2"):
            run = Run(run_id, "Why?", "t", "high", "best_of_n", {}, "", 1, VERSION, "2026", "finished")
            log.begin(run)
            for path in ((0,), (0, 0), (1,)):
                sample = Sample((1, *path), (2,), (-0.1,), "stop", VERSION, SamplingParams())
                log.add_node(run_id, Node(path, sample, Ending.ANSWER))
            log.finish(run)
    return tmp_path / "home"


def said(home: Path, *arguments: str) -> str:
    done = ponder("log", *arguments, folder=home.parent, PONDER_HOME=str(home))
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept(home: Path, wanted: Wanted) -> list[str]:
    with Store.open(home / "log.sqlite") as log:
        return [run.run_id for run in chosen(log, wanted)[0]]


def test_feedback_is_kept_with_the_attempt_that_was_better(home: Path) -> None:
    assert (
        said(home, "feedback", "abc", "--value", "0.5", "--comment", "fine", "--prefer", "0") == "noted of run abc1\n"
    )
    assert kept(home, Wanted(feedback=0.5)) == ["abc1"]
    with Store.open(home / "log.sqlite") as log:
        [word] = log.feedback("abc1")
    assert (word.value, word.comment, word.preferred) == (0.5, "fine", (0, 0))


def test_a_tag_takes_the_place_of_those_before(home: Path) -> None:
    said(home, "tag", "abc1", "kitchen", "home")
    assert kept(home, Wanted(tags=["kitchen"])) == ["abc1"]
    said(home, "tag", "abc1", "garden")
    assert kept(home, Wanted(tags=["kitchen"])) == []


def test_what_must_not_be_learned_from_stays_out_until_it_may(home: Path) -> None:
    assert said(home, "consent", "--thread", "t") == "2 runs stay out of every training\n"
    assert kept(home, Wanted()) == []
    assert said(home, "consent", "--thread", "t", "--yes") == "2 runs may be learned from in every training\n"
    assert kept(home, Wanted()) == ["abc1", "def2"]
    assert said(home, "consent", "def") == "1 run stays out of every training\n"
    assert kept(home, Wanted()) == []  # with its thread


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("feedback", "abc1"), "--value, --comment or --prefer"),
        (("feedback", "abc1", "--prefer", "7"), "There is no attempt '7' in run abc1; its attempts are 0.0, 1."),
        (("feedback", "xyz", "--value", "1"), "There is no run xyz"),
        (("consent",), "a run or --thread"),
        (("consent", "xyz"), "There is no such run in the log (xyz)"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(home: Path, arguments: tuple[str, ...], says: str) -> None:
    done = ponder("log", *arguments, folder=home.parent, PONDER_HOME=str(home))
    assert done.returncode != 0
    assert says in one_sentence(done)
