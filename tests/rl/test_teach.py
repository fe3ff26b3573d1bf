"""From groups to a model in a folder, with a word for everything that was left out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rl.checkpoints import TrainingError
from rl.groups import Found
from rl.grpo import GRPOSettings, compared
from rl.staleness import Limits
from rl.teach import Watch, teach
from rl.trainee import Trainee
from tests.rl.test_grpo import GROUPS, group
from tests.rl.test_staleness import drawn_by
from tests.rl.test_trie import model_of

HOW = GRPOSettings(batch=2, epochs=2)
CONSTANT = group((1,), ((2,), 0.5), ((3,), 0.5))


def trainee_of(saved: list[Path]) -> Trainee:
    def save(folder: Path) -> None:
        folder.mkdir()
        saved.append(folder)

    return Trainee(model_of("qwen3").float(), None, save)  # type: ignore[arg-type] - nothing is rendered


def test_what_was_learned_from_and_what_was_not_add_up(tmp_path: Path) -> None:
    saved: list[Path] = []
    trainee = trainee_of(saved)
    drawn = [row.group for row in drawn_by(trainee.model, compared(GROUPS, HOW)[0])]
    told: list[object] = []
    watch = Watch(
        lambda done, total: told.append((done, total)), lambda steps, progress: told.append((steps, progress.step))
    )
    found = Found((*drawn, CONSTANT), Counter({"it is greedy": 2}))
    taught = teach(trainee, found, HOW, tmp_path / "out", watch=watch)
    assert (taught.groups, taught.attempts, taught.tokens, taught.steps) == (3, 7, 14, 3)
    assert taught.left_out == {"it is greedy": 2, "its rewards are all the same": 1}
    assert taught.mismatch.ess == pytest.approx(1)
    assert told == [(3, 3), (3, 0), (3, 1), (3, 2)]
    assert (len(saved), (tmp_path / "out/model").is_dir(), saved[0].exists()) == (1, True, False)
    assert taught.said()[0] == "3 groups of 7 attempts (14 sampled tokens), 3 steps."
    assert "  left out: 2 times: it is greedy" in taught.said()


def test_a_model_that_was_not_written_whole_is_not_there_and_is_written_again(tmp_path: Path) -> None:
    trainee = trainee_of([])
    drawn = [row.group for row in drawn_by(trainee.model, compared(GROUPS, HOW)[0])]
    found = Found(tuple(drawn), Counter())

    def stopped(folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(replace(trainee, save=stopped), found, HOW, tmp_path)
    assert not (tmp_path / "model").exists()
    for _ in range(2):
        teach(replace(trainee_of([]), save=trainee.save), found, HOW, tmp_path)
        assert (tmp_path / "model").is_dir()
        assert not any((tmp_path / "model").iterdir())


def test_nothing_to_learn_from_is_said_with_the_reasons_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"2 times: it is greedy; 1 times: its rewards are all the same"):
        teach(trainee_of([]), Found((CONSTANT,), Counter({"it is greedy": 2})), HOW, tmp_path / "out")
    with pytest.raises(TrainingError, match="there is no such run"):
        teach(trainee_of([]), Found((), Counter()), HOW, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_groups_of_another_model_are_dropped_and_counted(tmp_path: Path) -> None:
    trainee = trainee_of([])
    [near, *far] = compared(GROUPS, HOW)[0]
    rows = [*drawn_by(trainee.model, [near]), *far]  # of the others the log says something else
    found = Found(tuple(row.group for row in rows), Counter())
    taught = teach(trainee, found, HOW, tmp_path, Limits(mismatch=1e-3))
    assert (taught.groups, taught.left_out.total()) == (1, 2)
