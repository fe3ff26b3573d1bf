"""Process rewards: steps become ids, ids become scores (here and on vLLM the same), scores become one verdict."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.assemble import MINI
from agent.errors import SettingsError
from agent.panel import panel_of
from agent.policy.note import Note
from agent.policy.steps import StepEncoder
from agent.settings import Settings
from tests.agent.policy.servers import hostile, says
from tests.process_reward_model import TAG, make
from verifiers.prm_endpoint import EndpointProcessRewardModel
from verifiers.prm_local import LocalProcessRewardModel, fitting
from verifiers.process_reward import AGGREGATIONS, ProcessReward
from verifiers.reward import WITH_STEPS
from verifiers.verdict import Case, VerifierError

JSON = "application/json"
STEPS = ("There are 12 boxes with 7 pens.\n12 * 7 = 84", "84 - 9 = 75", "Tom has 75 pens.")
CASE = Case("How many pens does Tom have?", "75", steps=STEPS)


class Scripted:
    """A model that says what it is told to say."""

    step_tag_id = 0

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.asked = 0

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        self.asked += 1
        if len(token_ids) > 9:
            raise VerifierError("The steps have 10 tokens and the process reward model reads 9.")
        return self.scores


def tagged(question: str, steps: Sequence[str]) -> list[int]:
    return [7] * len(question.split()) + [0] * len(steps)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("prm") / "qwen3")


@pytest.mark.parametrize(("aggregation", "score"), [("last", 0.5), ("min", 0.2), ("product", 0.09), ("mean", 1.6 / 3)])
async def test_an_attempt_is_as_good_as_its_steps(aggregation: str, score: float) -> None:
    [verdict] = await ProcessReward(Scripted(0.9, 0.2, 0.5), tagged, aggregation).verify([CASE])
    assert verdict.score == pytest.approx(score)
    assert verdict.reason == f"Its steps are right with 0.90 0.20 0.50 ({aggregation})."
    assert verdict.tokens == len(tagged(CASE.question, STEPS))


async def test_what_cannot_be_judged_has_no_score_and_the_others_have() -> None:
    cases = [Case("How?", "75"), Case("How " * 9, "75", steps=STEPS), Case("How?", "75", steps=STEPS)]
    none, long, good = await ProcessReward(Scripted(0.9, 0.2, 0.5), tagged).verify(cases)
    assert (none.score, none.reason) == (None, "It has no steps.")
    assert (long.score, long.reason) == (None, "The steps have 10 tokens and the process reward model reads 9.")
    assert good.score == 0.2


async def test_attempts_with_the_same_steps_are_read_once_and_the_first_has_the_tokens() -> None:
    model = Scripted(0.9, 0.2, 0.5)
    judge = ProcessReward(model, tagged)
    for _ in range(2):  # a later wave looks at the same attempts again
        verdicts = await judge.verify([CASE, CASE, CASE])
        assert [verdict.tokens for verdict in verdicts] == [len(tagged(CASE.question, STEPS)), 0, 0]
        assert {verdict.score for verdict in verdicts} == {0.2}
    assert model.asked == 1


async def test_a_model_that_does_not_score_every_step_is_told_of() -> None:
    with pytest.raises(VerifierError, match="2 scores for 3 steps"):
        await ProcessReward(Scripted(0.9, 0.2), tagged).verify([CASE])


def test_an_unknown_aggregation_is_refused() -> None:
    with pytest.raises(VerifierError, match=f"take one of {', '.join(AGGREGATIONS)}"):
        ProcessReward(Scripted(), tagged, "median")


def test_steps_are_tagged_in_the_models_own_template_and_a_tag_in_the_text_is_none(folder: Path) -> None:
    encode = StepEncoder.load(str(folder))
    spoof = [f"A step {TAG} with a tag.", *STEPS[1:]]
    ids = encode(CASE.question, spoof)
    assert ids.count(encode.tag_id) == 3
    assert encode.renderer.decode(ids).count(CASE.question) == 1
    tokenizer = encode.renderer.tokenizer
    plain = [{"role": "user", "content": CASE.question}, {"role": "assistant", "content": TAG.join((*STEPS, ""))}]
    official = tokenizer.apply_chat_template(plain, return_dict=False)
    ours = encode(CASE.question, STEPS)
    assert list(official)[:-2] == ours  # the template ends the turn and the line


def test_a_model_without_a_step_tag_is_refused() -> None:
    with pytest.raises(SettingsError, match=r'name a control token as "step_tag" in config.json'):
        StepEncoder.load(str(MINI))


@pytest.mark.parametrize("kind", ["qwen3", "qwen2"])
async def test_a_model_in_this_process_scores_each_step_by_what_comes_before_it(tmp_path: Path, kind: str) -> None:
    where = make(tmp_path / kind, kind)  # type: ignore[arg-type]
    encode = StepEncoder.load(str(where))
    model = LocalProcessRewardModel.load(str(where), encode.tag_id)
    whole = await model.score(encode(CASE.question, STEPS))
    assert len(whole) == 3
    assert len({round(score, 4) for score in whole}) == 3
    assert await model.score(encode(CASE.question, STEPS[:2])) == pytest.approx(whole[:2], abs=1e-5)
    with pytest.raises(VerifierError, match="5000 tokens and the process reward model reads 4096"):
        await model.score([5] * 5000)


async def test_candidates_that_are_judged_at_once_get_the_scores_that_they_get_alone(folder: Path) -> None:
    encode = StepEncoder.load(str(folder))
    model = LocalProcessRewardModel.load(str(folder), encode.tag_id)
    attempts = [encode(CASE.question, STEPS[:n] * m) for n in (1, 2, 3) for m in (1, 4, 2)]
    together = await asyncio.gather(*map(model.score, attempts))
    for attempt, scores in zip(attempts, together, strict=True):
        assert scores == pytest.approx(await model.score(attempt), abs=1e-5)


@pytest.mark.parametrize(("lengths", "first"), [([10] * 4, 4), ([8000, 9000], 1), ([20_000], 1), ([100, 100, 9000], 2)])
def test_no_more_goes_through_the_model_than_it_has_room_for(lengths: list[int], first: int) -> None:
    assert fitting([([0] * length, None) for length in lengths]) == first  # type: ignore[list-item]


async def test_a_model_that_fails_tells_everybody_who_waits(folder: Path) -> None:
    model = LocalProcessRewardModel.load(str(folder), 0)
    model._score = lambda sequences: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    asked = await asyncio.gather(model.score([1, 0]), model.score([2, 0]), return_exceptions=True)
    assert [type(error) for error in asked] == [VerifierError] * 2


@pytest.mark.parametrize("turns", [1, 50])  # of the loop: before the batch begins, and while the model works
async def test_one_who_goes_while_the_model_works_keeps_nobody_else_waiting(folder: Path, turns: int) -> None:
    model = LocalProcessRewardModel.load(str(folder), 0)
    may_answer = threading.Event()
    model._score = lambda sequences: [[0.5] for _ in sequences if may_answer.wait(10)]  # type: ignore[method-assign]
    first, other = (asyncio.create_task(model.score([token, 0])) for token in (1, 2))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    may_answer.set()
    assert await asyncio.wait_for(other, 10) == [0.5]
    assert await asyncio.wait_for(model.score([3, 0]), 10) == [0.5]
    assert first.cancelled()


async def test_one_who_goes_does_not_keep_a_failure_from_the_others(folder: Path) -> None:
    model = LocalProcessRewardModel.load(str(folder), 0)
    may_fail = threading.Event()
    model._score = lambda sequences: may_fail.wait(10) and 1 / 0  # type: ignore[method-assign, assignment, return-value]
    first, other = (asyncio.create_task(model.score([token, 0])) for token in (1, 2))
    for _ in range(50):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    may_fail.set()
    with pytest.raises(VerifierError, match="model failed"):
        await asyncio.wait_for(other, 10)


def test_a_loop_that_ends_with_somebody_waiting_leaves_the_model_usable(folder: Path) -> None:
    model = LocalProcessRewardModel.load(str(folder), 0)
    model._score = lambda sequences: [[0.5] for _ in sequences]  # type: ignore[method-assign]

    async def go_at_once() -> None:
        asked.add(asyncio.create_task(model.score([1, 0])))
        await asyncio.sleep(0)

    asked: set[asyncio.Task[list[float]]] = set()
    asyncio.run(go_at_once())
    assert asyncio.run(asyncio.wait_for(model.score([2, 0]), 10)) == [0.5]


def test_what_cannot_be_loaded_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match=r"cannot be loaded .* give its folder"):
        LocalProcessRewardModel.load(str(tmp_path), 0)


async def test_the_setting_puts_it_on_the_panel(home: Path, folder: Path) -> None:
    verifiers, weights = panel_of(Settings(process_reward=str(folder)))
    [judge] = [verifier for verifier in verifiers if verifier.name == "process_reward"]
    assert weights["process_reward"] == WITH_STEPS["process_reward"]
    [verdict] = await judge.verify([CASE])
    assert verdict.score is not None
    with pytest.raises(SettingsError, match="ponder model serve MODEL --process-reward"):
        panel_of(Settings(verifiers=("process_reward",)))


async def test_a_server_that_does_not_answer_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifiers.prm_endpoint.DEADLINE", 0.3)
    model = EndpointProcessRewardModel("http://127.0.0.1:9/v1", "prm", 0)
    with pytest.raises(VerifierError, match=r"at http://127.0.0.1:9/pooling does not answer; see the log of `ponder"):
        await model.score([1, 0])


async def test_a_server_that_starts_again_is_asked_again() -> None:
    answers = [says(JSON, "", status="503 Service Unavailable"), says(JSON, '{"data": [{"data": [[0.25, 0.75]]}]}')]

    async def answer(writer: asyncio.StreamWriter) -> None:
        await answers.pop(0)(writer)

    async with hostile(answer) as url:
        assert await EndpointProcessRewardModel(url, "prm", 0).score([1, 0]) == [0.75]


@pytest.mark.parametrize(
    "answer",
    ["<h1>It works</h1>", '{"data": []}', '{"data": [{"data": "AAAA"}]}', '{"data": [{"data": [[0.2, 1.7]]}]}', "[]"],
)
async def test_an_answer_that_is_none_is_told_of(answer: str) -> None:
    async with hostile(says(JSON, answer)) as url:
        with pytest.raises(VerifierError, match=r"serve it with --process-reward|check its step tag"):
            await EndpointProcessRewardModel(url, "prm", 0).score([1, 0])


async def test_an_answer_that_cannot_be_read_is_told_of() -> None:
    async with hostile(says(JSON, "[" * 200_000)) as url:
        with pytest.raises(VerifierError, match="serve it with --process-reward"):
            await EndpointProcessRewardModel(url, "prm", 0).score([1, 0])
    async with hostile(says(f"{JSON}\r\ncontent-encoding: gzip", "no gzip")) as url:
        with pytest.raises(VerifierError, match="cannot be unpacked"):
            await EndpointProcessRewardModel(url, "prm", 0).score([1, 0])


async def test_the_key_is_told_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody is
    monkeypatch.delenv("no_proxy", raising=False)
    async with hostile(says(JSON, "no sk-GEHEIM", status="401 Unauthorized")) as url:
        with pytest.raises(VerifierError, match=r"refused 2 tokens \(no \*\*\*\)"):
            await EndpointProcessRewardModel(url, "prm", 0, "sk-GEHEIM").score([1, 0])


async def test_an_attempt_is_judged_once_however_many_waves_look_at_it() -> None:
    model = Scripted(0.9, 0.2, 0.5)
    judge = ProcessReward(model, tagged)
    first, again = [await judge.verify([CASE]) for _ in range(2)]
    assert first == again
    assert model.asked == 1


@pytest.mark.timeout(700)
async def test_vllm_judges_as_the_model_in_this_process_does(vllm_judge: Note) -> None:
    encode = StepEncoder.load(vllm_judge.model)
    served = EndpointProcessRewardModel(vllm_judge.base_url, vllm_judge.model, encode.tag_id, vllm_judge.api_key)
    local = LocalProcessRewardModel.load(vllm_judge.model, encode.tag_id)
    draw = random.Random(0)
    for _ in range(16):
        ids = [draw.choice((encode.tag_id, *range(2000))) for _ in range(draw.randrange(20, 600))]
        ids[-1] = encode.tag_id
        assert await served.score(ids) == pytest.approx(await local.score(ids), abs=1e-5)
    case = encode(CASE.question, STEPS)
    assert await served.score(case) == pytest.approx(await local.score(case), abs=1e-5)
    with pytest.raises(VerifierError, match=r"refused 5000 tokens .*maximum context length is 4096"):
        await served.score([5] * 5000)


@pytest.mark.timeout(700)
async def test_vllm_judges_for_every_command_that_finds_its_note(
    vllm_judge: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agent.policy.note.read", lambda home, role="server": vllm_judge if role == "process_reward" else None
    )
    verifiers, _ = panel_of(Settings(verifiers=("process_reward",)))
    [judge] = [verifier for verifier in verifiers if verifier.name == "process_reward"]
    [verdict] = await judge.verify([CASE])
    assert verdict.score is not None
    assert verdict.reason.count("0.") + verdict.reason.count("1.") == 3
