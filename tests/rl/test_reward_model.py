"""What a reward model compares, and that it is measured on questions that it has not seen."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agent.policy.attempts import AttemptEncoder
from agent.records import Ending, Feedback
from agent.store import Store
from rl.checkpoints import TrainingError
from rl.engine import EngineSettings
from rl.preference import Contrast, said
from rl.reward_model import Comparison, Comparisons, comparisons, learn, new_model, rewards
from tests.rl.test_preference import EVERYTHING, QUESTION, TWO, add, node, run_of
from tests.rl.tiny import save_tiny_model

HOW = EngineSettings(epochs=8, batch=2, at_once=2, learning_rate=0.02)
GOOD, BAD = node((0,), (1, 2), (3, 4), text="It is quiet."), node((1,), (1, 2), (5,), text="It is loud.")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), context=128)


@pytest.fixture(scope="module")
def encode(base: Path) -> AttemptEncoder:
    return AttemptEncoder.load(str(base))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "log.sqlite") as store:
        yield store


def made(count: int, encode: AttemptEncoder) -> tuple[Comparison, ...]:
    """Of questions with other numbers; "yes" is better than "no"."""
    words = [(f"Is {number} a number?", f"It is {number}.") for number in range(count)]
    return tuple(
        Comparison(asked, tuple(encode(asked, [so, "yes"])), tuple(encode(asked, [so, "no"]))) for asked, so in words
    )


def test_attempts_are_compared_as_the_verifier_will_read_them(log: Store, encode: AttemptEncoder) -> None:
    add(log, run_of("01", GOOD, BAD))
    log.add_feedback(Feedback("01", preferred=(1,)))
    found = comparisons(log, said(log, EVERYTHING, Contrast()), encode, 128)
    [pair] = found.made
    assert pair == Comparison(
        QUESTION, tuple(encode(QUESTION, ["It is loud."])), tuple(encode(QUESTION, ["It is quiet."]))
    )


@pytest.mark.parametrize(
    ("other", "longest", "why"),
    [
        (replace(BAD, ending=Ending.BUDGET), 128, "one of them is no whole attempt with an answer"),
        (replace(BAD, text=GOOD.text), 128, "they read the same"),
        (BAD, 5, "it is longer than the model reads"),
    ],
)
def test_what_cannot_be_compared_is_counted(
    log: Store, encode: AttemptEncoder, other: object, longest: int, why: str
) -> None:
    add(log, run_of("01", GOOD, other))  # type: ignore[arg-type] - a node
    log.add_feedback(Feedback("01", preferred=(1,)))
    found = comparisons(log, said(log, EVERYTHING, Contrast()), encode, longest)
    assert (found.made, found.left_out) == ((), {why: 1})


def test_a_member_that_several_attempts_go_through_is_none_of_them(log: Store, encode: AttemptEncoder) -> None:
    branches = [node((1, i), (1, 2, 5), (8 + i,), text=str(i)) for i in range(2)]
    add(log, run_of("01", TWO[0], replace(TWO[1], ending=Ending.STEP), *branches))
    log.add_feedback(Feedback("01", preferred=(1,)))
    assert comparisons(log, said(log, EVERYTHING, Contrast()), encode, 128).left_out.total() == 1


def test_it_tells_better_from_worse_on_questions_that_it_has_not_seen(
    base: Path, encode: AttemptEncoder, tmp_path: Path
) -> None:
    model = new_model(str(base))
    pairs = made(30, encode)
    judged = learn(model, encode, Comparisons(pairs, Counter()), HOW, tmp_path)
    assert judged.pairs + judged.held_out == 30
    assert judged.held_out > 0
    assert judged.accuracy == 1
    learned = {ids for each in pairs if not each.held_out for ids in (each.winner, each.loser)}
    assert sum(rewards(model, learned).values()) / len(learned) == pytest.approx(judged.center, abs=1e-4)
    written = json.loads((tmp_path / "model/config.json").read_text())
    assert written["reward_center"] == pytest.approx(judged.center)
    assert json.loads((tmp_path / "judged.json").read_text())["accuracy"] == 1


def test_the_first_loss_is_that_of_a_coin(base: Path, encode: AttemptEncoder, tmp_path: Path) -> None:
    learn(new_model(str(base)), encode, Comparisons(made(4, encode), Counter()), HOW, tmp_path)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(float(torch.tensor(2.0).log()), abs=1e-4)


def test_no_pair_is_said_with_the_reasons(base: Path, encode: AttemptEncoder, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no pair to learn from \(2 times: they read the same\)"):
        learn(None, encode, Comparisons((), Counter({"they read the same": 2})), HOW, tmp_path)
