"""``ponder collect`` and ``ponder train grpo``, on a model that answers nonsense and is rewarded for its length."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tui.commands import COMMAND, ROOT, TWO_PROCESSES, one_sentence, ponder

pytestmark = pytest.mark.timeout(600)

MINE = """
from verifiers.verdict import Verdict

class Length:
    name = "length"

    async def verify(self, cases):
        lengths = [len(case.answer + case.thought) for case in cases]
        return [Verdict(self.name, length % 97 / 97) for length in lengths]

def words(seed, index):
    return f"How many e are in the word {chr(97 + index % 26)}{seed}{index}?", 0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a verifier of the person's own lies, whose questions are two."""
    (tmp_path / "mine.py").write_text(MINE)
    questions = [{"question": f"How many e are in {word}?", "answer": "1"} for word in ("tree", "bed")]
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(each) + "\n" for each in questions))
    return tmp_path


def run(folder: Path, *arguments: str, command: Sequence[str] = COMMAND) -> str:
    own: dict[str, Any] = {"PYTHONPATH": f"{ROOT}:{folder}", "PONDER_MOST_TOKENS": "400"}
    done = ponder(*arguments, folder=folder, command=command, **own)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_collected_is_learned_from_and_a_second_call_has_nothing_left_to_do(model: str, folder: Path) -> None:
    said = run(folder, "collect", "words.jsonl", "--effort", "medium", "--model", model)
    assert said == "2 questions are in the log; learn from them with: ponder train grpo FOLDER\n"
    how = ("train", "grpo", "out", "--model", model, "--reward", "mine:Length", "--epochs", "2", "--threads", "1")
    said = run(folder, *how)
    assert re.match(r"2 groups of \d attempts \([\d,]+ sampled tokens\), 1 steps\.\n", said)
    assert said.endswith('ask it with: ponder ask --model out/model "What is 3 * 4?"\n')
    made = {path.name for path in (folder / "out").iterdir()}
    assert made == {"checkpoint.pt", "metrics.jsonl", "training.png", "model"}
    [line] = map(json.loads, (folder / "out/metrics.jsonl").read_text().splitlines())
    assert line["effective_sample_size"] == pytest.approx(1, abs=1e-6)
    assert run(folder, *how) == said
    assert len((folder / "out/metrics.jsonl").read_text().splitlines()) == 1


def test_two_processes_under_accelerate_make_the_model_of_one_and_speak_once(model: str, folder: Path) -> None:
    run(folder, "collect", "words.jsonl", "--effort", "medium", "--model", model)
    how = ("--model", model, "--reward", "mine:Length", "--learning-rate", "0.001", "--micro-tokens", "1")
    said = run(folder, "train", "grpo", "one", *how, "--threads", "1")
    both_said = run(folder, "train", "grpo", "two", *how, "--threads", "1", command=TWO_PROCESSES)
    assert both_said == said.replace("one/model", "two/model")
    [line], [both] = (
        [json.loads(each) for each in (folder / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert both["loss"] == pytest.approx(line["loss"], abs=1e-6)
    assert both["tokens"] == line["tokens"]
    assert both["gradient_norm"] == pytest.approx(line["gradient_norm"], rel=1e-4)


def test_collecting_and_learning_take_turns_and_go_on_where_they_stopped(model: str, folder: Path) -> None:
    how = ("train", "grpo", "out", "--model", model, "--reward", "mine:Length", "--collect", "words.jsonl")
    how += ("--threads", "1", "--effort", "medium", "--rounds", "2", "--learning-rate", "0.001")
    said = run(folder, *how)
    assert len(re.findall("groups of", said)) == 2
    weights = [(folder / f"out/{place}/model.safetensors").read_bytes() for place in ("round-0/model", "round-1/model")]
    assert weights[0] != weights[1]
    assert (folder / "out/model/model.safetensors").read_bytes() == weights[1]
    assert "groups of" not in run(folder, *how)


def test_a_log_with_nothing_to_learn_from_says_why_and_leaves_no_folder(model: str, folder: Path) -> None:
    done = ponder("train", "grpo", "out", "--model", model, folder=folder)
    assert done.returncode == 2
    assert "The log has no group to learn from (there is no such run)" in one_sentence(done)
    run(folder, "collect", "words.jsonl", "--effort", "medium", "--model", model)
    done = ponder("train", "grpo", "out", "--model", model, "--tasks", "words.jsonl", folder=folder)
    assert "2 times: its rewards are all the same" in one_sentence(done)
    assert not (folder / "out").exists()


def test_questions_of_a_function_are_asked_and_their_answers_found_again(model: str, folder: Path) -> None:
    said = run(folder, "collect", "mine:words", "--questions", "2", "--effort", "medium", "--model", model)
    assert said.startswith("2 questions are in the log")
    how = ("train", "grpo", "out", "--model", model, "--reward", "gold")
    path = f"{Path(__file__).parents[2]}:{folder}"
    done = ponder(*how, "--tasks", "mine:words", folder=folder, PYTHONPATH=path)
    assert "(2 times: its rewards are all the same)" in one_sentence(done)
    done = ponder(*how, folder=folder, PYTHONPATH=path)
    assert "nobody could judge it" in one_sentence(done)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--variant", "ppo"), "There is no variant 'ppo'; take one of grpo, dr_grpo, dapo, gspo, rloo."),
        (("--schedule", "step"), "There is no schedule 'step'; take one of trapezoid, cosine."),
        (("--reward", "gold=0"), "'gold=0' is no reward"),
        (("--reward", "nosuch"), "There is no verifier called 'nosuch'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(model: str, tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    done = ponder("train", "grpo", "out", "--model", model, *flags, folder=tmp_path)
    assert done.returncode != 0
    assert says in one_sentence(done)
