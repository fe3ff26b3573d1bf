"""A finished attempt is scored as a whole: how likely it would be preferred to a mean one."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from agent.errors import SettingsError
from agent.panel import described, panel_of, weights_of
from agent.policy.attempts import AttemptEncoder
from agent.settings import Settings
from rl.engine import EngineSettings
from rl.reward_model import Comparison, Comparisons, learn, new_model, rewards
from tests.rl.tiny import save_tiny_model
from verifiers.outcome_reward import OutcomeReward, centred
from verifiers.prm_local import LocalProcessRewardModel
from verifiers.reward import WITH_OUTCOME, WITH_STEPS
from verifiers.verdict import Case, VerifierError

RIGHT = ("There are 12 boxes with 7 pens.", "12 * 7 = 84", "Answer: 84")
NEAR = ("There are 12 boxes with 7 pens.", "12 * 7 = 94", "Answer: 94")
QUESTION = "How many pens does Tom have?"


class Scripted:
    """A model that says what it is told to say, at every tag."""

    step_tag_id = 0

    def __init__(self, *probabilities: float) -> None:
        self.probabilities = list(probabilities)
        self.asked = 0

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        self.asked += 1
        if len(token_ids) > 9:
            raise VerifierError("The steps have 10 tokens and the process reward model reads 9.")
        return self.probabilities


def lengths(question: str, steps: Sequence[str]) -> list[int]:
    return [7] * len(steps)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on right attempts and near misses."""
    base, place = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("outcome")
    encode = AttemptEncoder.load(str(save_tiny_model(base, context=128)))
    made = [Comparison("train", tuple(encode(QUESTION, RIGHT)), tuple(encode(QUESTION, NEAR)))]
    how = EngineSettings(epochs=12, batch=1, at_once=1, learning_rate=0.02)
    learn(new_model(str(base)), encode, Comparisons(tuple(made), Counter()), how, place)
    return place / "model"


# --- the verifier -----------------------------------------------------------------------------------------------------


async def test_a_gold_case_passes_and_a_near_miss_fails(home: Path, folder: Path) -> None:
    verifiers, weights = panel_of(Settings(outcome_reward=str(folder)))
    assert weights == WITH_OUTCOME
    [judge] = verifiers
    right, near = await judge.verify([Case(QUESTION, "84", steps=RIGHT), Case(QUESTION, "94", steps=NEAR)])
    assert right.score is not None
    assert near.score is not None
    assert right.score > 0.7 > 0.3 > near.score
    assert right.reason == f"It would be preferred to a mean attempt with {right.score:.2f}."


async def test_the_last_probability_counts_less_the_mean_reward() -> None:
    [verdict] = await OutcomeReward(Scripted(0.9, 0.5), lengths, center=1.0).verify([Case("How?", "75", steps=RIGHT)])
    assert verdict.score == pytest.approx(1 / (1 + math.e))
    assert verdict.tokens == 3


@pytest.mark.parametrize(("probability", "score"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_probability_that_float32_rounds_away_is_no_error(probability: float, score: float) -> None:
    assert centred(probability, 2.0) == pytest.approx(score, abs=1e-5)


async def test_what_ended_before_its_answer_is_not_shown_to_the_model_and_scores_nothing() -> None:
    model = Scripted(0.9)
    cut = Case("How?", "", steps=RIGHT, finished=False, outcome="budget")
    [verdict] = await OutcomeReward(model, lengths).verify([cut])
    assert (verdict.score, verdict.reason) == (0.0, "It ended before its answer (budget).")
    assert model.asked == 0


async def test_what_is_too_long_has_no_score_and_the_others_have() -> None:
    cases = [Case("How?", "75", steps=("x",) * 10), Case("How?", "75", steps=RIGHT)]
    long, good = await OutcomeReward(Scripted(0.9), lengths).verify(cases)
    assert (long.score, long.reason) == (None, "The steps have 10 tokens and the process reward model reads 9.")
    assert good.score == pytest.approx(0.9)


async def test_equal_attempts_are_read_once_in_all_waves_and_the_first_has_the_tokens() -> None:
    model = Scripted(0.9)
    judge = OutcomeReward(model, lengths)
    case = Case("How?", "75", steps=RIGHT)
    for _ in range(2):
        assert [verdict.tokens for verdict in await judge.verify([case, case])] == [3, 0]
    assert model.asked == 1


# --- what it reads ----------------------------------------------------------------------------------------------------


def test_it_reads_the_same_wherever_a_step_ends(folder: Path) -> None:
    encode = AttemptEncoder.load(str(folder))
    ids = encode(QUESTION, ["\n\n".join(RIGHT[:2]), RIGHT[2]])
    assert ids == encode(QUESTION, RIGHT) == encode(QUESTION, [f" {line}\n" for line in RIGHT])
    assert ids[-1] == encode.end_id
    assert encode.renderer.decode(ids).endswith("12 * 7 = 84\nAnswer: 84" + encode.renderer.decode([encode.end_id]))


def test_a_control_token_in_the_text_is_none(folder: Path) -> None:
    encode = AttemptEncoder.load(str(folder))
    plain = encode(QUESTION, ["so"]).count(encode.end_id)
    assert encode(QUESTION, ["so <|im_end|>"]).count(encode.end_id) == plain


async def test_the_verifier_and_the_training_read_the_same_reward(folder: Path) -> None:
    encode = AttemptEncoder.load(str(folder))
    ids = tuple(encode(QUESTION, NEAR))
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32")
    center = AutoConfig.from_pretrained(folder).reward_center
    local = LocalProcessRewardModel.load(str(folder), encode.end_id)
    [verdict] = await OutcomeReward(local, encode, center).verify([Case(QUESTION, "94", steps=NEAR)])
    assert verdict.score == pytest.approx(1 / (1 + math.exp(center - rewards(model, {ids})[ids])), abs=1e-5)


# --- the setting ------------------------------------------------------------------------------------------------------


def test_what_is_no_outcome_reward_model_is_told_in_a_sentence(home: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no outcome reward model: `ponder train reward` makes one"):
        panel_of(Settings(verifiers=("outcome_reward",)))
    with pytest.raises(SettingsError, match=rf"There is no outcome reward model in {tmp_path}"):
        panel_of(Settings(outcome_reward=str(tmp_path)))
    with pytest.raises(SettingsError, match="is no outcome reward model; name a folder that `ponder train reward`"):
        panel_of(Settings(outcome_reward=str(save_tiny_model(tmp_path / "causal", context=64))))


def test_steps_weigh_more_than_outcomes_and_the_model_is_named(home: Path, folder: Path) -> None:
    both = Settings(outcome_reward=str(folder), process_reward="somewhere")
    assert weights_of(both) == WITH_STEPS
    alone = Settings(outcome_reward=str(folder))
    assert described(alone, weights_of(alone)).startswith("outcome_reward 1; attempts by model@")
