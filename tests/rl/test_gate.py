"""What the gate decides, over thousands of simulated gates and in every corner: pure, seeded, no model."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from rl.gate import decided, looked, planned
from rl.gate_records import Answers, Contest, Decision, GateError, GateSettings, Mixture, Pair, Wanted
from rl.significance import Floats, exact_interval

CONTEST = Contest("v2", "v1", 7)
GUARD = Mixture("guard", (("sums", 1),))
ALONE = GateSettings(guards=())  # the primary suite, format and length
GUARDED = GateSettings(guards=(GUARD,))
WIDE = replace(GUARDED, margin=0.05)  # a noisy guard is shown to be so much as good with few questions
Answering = Callable[[Wanted], Pair]


def one(right_N_S: Floats, tokens: float | Floats = 100.0) -> Answers:
    return Answers(right_N_S, np.ones_like(right_N_S), np.ones_like(right_N_S) * tokens)


def simulated(generator: np.random.Generator, gain: float, base: float = 0.7, harm: float = 0.0) -> Answering:
    """Questions hard or easy for both; the candidate is better by ``gain``, and worse by ``harm`` on guards."""

    def answer(wanted: Wanted) -> Pair:
        n, attempts = wanted.stop - wanted.start, wanted.attempts
        change = -harm if wanted.suite.name == GUARD.name else gain
        ease = np.where(generator.random((n, 1)) < 0.5, 0.6, 1.0)  # half of the questions are harder
        level = base / 0.8 * ease
        incumbent = (generator.random((n, attempts)) < level).astype(np.float64)
        candidate = (generator.random((n, attempts)) < level + change).astype(np.float64)
        return Pair(one(candidate), one(incumbent))

    return answer


def gates(settings: GateSettings, count: int, **how: float) -> list[Decision]:
    generator = np.random.default_rng(0)
    return [decided(settings, CONTEST, simulated(generator, **how)) for _ in range(count)]


def swapped(answer: Answering) -> Answering:
    def other(wanted: Wanted) -> Pair:
        pair = answer(wanted)
        return Pair(pair.incumbent, pair.candidate)

    return other


def recorded(differences: Floats) -> Answering:
    """Differences in eighths of one attempt each, the same whenever they are asked for."""

    def answer(wanted: Wanted) -> Pair:
        d = differences[wanted.start : wanted.stop, None]
        return Pair(one(np.maximum(d, 0.0)), one(np.maximum(-d, 0.0)))

    return answer


# --- error rates ------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_of_2000_candidates_that_are_no_better_no_more_than_alpha_pass() -> None:
    through = sum(each.looks[-1].verdict == "passed" for each in gates(ALONE, 2000, gain=0.0))
    low, high = exact_interval(through, 2000)
    assert low <= 0.025, f"{through} of 2000"
    assert high >= 0.01, "a test that hardly ever passes would have no power"


@pytest.mark.timeout(300)
def test_what_is_better_by_the_least_effect_is_found_with_the_power_that_is_planned_and_harm_is_not() -> None:
    better, worse = gates(ALONE, 400, gain=0.04), gates(ALONE, 400, gain=-0.03)
    assert sum(each.promote for each in better) / 400 >= 0.8
    assert sum(each.promote for each in worse) / 400 <= 0.01
    assert np.mean([each.looks[-1].items for each in worse]) < 0.7 * np.mean([each.planned for each in worse])
    assert np.mean([each.looks[-1].items for each in better]) < 0.9 * np.mean([each.planned for each in better])


def test_a_mean_of_zero_without_symmetry_passes_no_more_often() -> None:
    """Many small wins, few whole losses: then the signs are not fair coins'."""
    generator, through = np.random.default_rng(3), 0

    def answer(wanted: Wanted) -> Pair:
        drawn = generator.random((wanted.stop - wanted.start, 1))
        wins = np.hstack([(drawn < 0.2), np.zeros_like(drawn)]).astype(np.float64)
        losses = np.repeat((drawn > 0.9).astype(np.float64), 2, axis=1)
        return Pair(one(wins), one(losses))

    for _ in range(500):
        through += decided(ALONE, CONTEST, answer).looks[-1].verdict == "passed"
    assert exact_interval(through, 500)[0] <= 0.025


def test_a_guard_that_is_worse_by_the_margin_lets_through_no_more_than_alpha() -> None:
    through = sum(d.promote for d in gates(replace(GUARDED, guard_most=1200), 100, gain=0.15, base=0.8, harm=0.02))
    assert exact_interval(through, 100)[0] <= 0.025


# --- invariants -------------------------------------------------------------------------------------------------------

BIASED = st.tuples(st.integers(0, 2**31), st.floats(-0.5, 0.5)).map(
    lambda drawn: np.random.default_rng(drawn[0]).choice(
        [-1.0, 0.0, 1.0], size=400, p=[0.25 - drawn[1] / 2.1, 0.5, 0.25 + drawn[1] / 2.1]
    )
)
SMALL = GateSettings(guards=(), attempts=1, first=40, most=400, effect=0.1)


@examples(max_examples=60)
@given(BIASED, st.sampled_from([0.0, 0.1, 0.3]))
def test_of_two_that_change_places_at_most_one_is_promoted(differences: Floats, hopeless: float) -> None:
    rules = replace(SMALL, hopeless=hopeless)
    decisions = [decided(rules, CONTEST, recorded(each)) for each in (differences, -differences)]
    assert sum(each.looks[-1].verdict == "passed" for each in decisions) <= 1
    assert decisions[0].planned == decisions[1].planned


@examples(max_examples=60)
@given(BIASED, st.data())
def test_harm_never_turns_a_refusal_into_a_promotion(differences: Floats, data: st.DataObject) -> None:
    """Wins that become losses: the whole procedure, its plan included."""
    harmed = differences.copy()
    places = data.draw(st.lists(st.integers(0, len(harmed) - 1), max_size=200))
    harmed[places] = -np.abs(harmed[places])
    before, after = (decided(SMALL, CONTEST, recorded(each)) for each in (differences, harmed))
    assert after.promote <= before.promote
    assert all(late.p >= early.p - 1e-12 for late, early in zip(after.looks, before.looks, strict=False))


@examples(max_examples=60)
@given(BIASED, st.data())
def test_at_a_look_any_harm_at_all_is_never_better(differences: Floats, data: st.DataObject) -> None:
    harmed = differences.copy()
    places = data.draw(st.lists(st.integers(0, len(harmed) - 1), max_size=200))
    harmed[places] = np.maximum(-1.0, harmed[places] - data.draw(st.sampled_from([1.0, 2.0])))
    rank = {"refused": 0, "undecided": 1, "passed": 2}
    pairs = [recorded(each)(Wanted(GUARD, 0, 400, 1)) for each in (differences, harmed)]
    before, after = (looked(SMALL, pair, 0.007, 0.3, False) for pair in pairs)
    assert rank[after.verdict] <= rank[before.verdict]


@examples(max_examples=40)
@given(BIASED, st.integers(0, 2**31))
def test_the_order_of_the_questions_between_two_looks_does_not_matter(differences: Floats, seed: int) -> None:
    pair = recorded(differences)(Wanted(GUARD, 0, 40, 1))
    stops = [0, SMALL.first, *(stop for stop, _, _ in planned(SMALL, pair).looks), len(differences)]
    other = differences.copy()
    for start, stop in pairwise(stops):
        other[start:stop] = np.random.default_rng(seed).permutation(other[start:stop])
    one, two = (decided(SMALL, CONTEST, recorded(each)) for each in (differences, other))
    assert (one.promote, one.planned, one.reasons) == (two.promote, two.planned, two.reasons)
    assert [(look.items, look.p, look.verdict) for look in one.looks] == [(k.items, k.p, k.verdict) for k in two.looks]


def test_the_looks_are_where_they_were_declared_and_none_is_before_the_first_questions() -> None:
    generator = np.random.default_rng(5)
    pair = simulated(generator, 0.0)(Wanted(GUARD, 0, 120, 2))
    plan = planned(ALONE, pair)
    assert [stop for stop, _, _ in plan.looks] == [int(np.ceil(share * plan.items)) for share in (0.4, 0.7, 1.0)]
    alike = Pair(pair.incumbent, pair.incumbent)
    few = planned(ALONE, alike)
    assert (few.items, [stop for stop, _, _ in few.looks]) == (120, [120])
    capped = planned(replace(ALONE, most=200), pair)
    assert capped.items == 200
    assert capped.power < 0.5 < plan.power


# --- guards -----------------------------------------------------------------------------------------------------------


def test_a_guard_grows_until_it_is_clear_and_passes() -> None:
    decision = gates(WIDE, 1, gain=0.2)[0]
    assert decision.promote
    assert [guard.name for guard in decision.guards] == ["length", "format", "guard"]
    guard = decision.guards[-1]
    assert guard.items in [300 * 2**k for k in range(6)]
    assert guard.items > 300
    assert guard.interval[0] > -0.05


def test_a_guard_that_could_not_be_shown_refuses_and_says_how_many_questions_would_do() -> None:
    decision = gates(replace(GUARDED, guard_first=100, guard_most=150), 1, gain=0.2)[0]
    assert not decision.promote
    assert (decision.guards[-1].verdict, decision.guards[-1].items) == ("undecided", 150)
    assert "could not be shown" in decision.reasons[0]
    assert "would do" in decision.reasons[0] or "hardly help" in decision.reasons[0]


def test_clear_harm_to_a_guard_ends_the_gate_early_and_the_guards_after_it_are_not_asked() -> None:
    rules = replace(GUARDED, guards=(GUARD, Mixture("next", (("sums", 2),))))
    decision = gates(rules, 1, gain=0.2, harm=0.3)[0]
    assert [guard.name for guard in decision.guards] == ["length", "format", "guard"]
    assert (decision.guards[-1].verdict, decision.guards[-1].items) == ("refused", 300)
    assert "guard got worse by more than 2.0%" in decision.said()


def test_longer_answers_and_a_worse_form_refuse() -> None:
    base = simulated(np.random.default_rng(1), gain=0.2)

    def longer(wanted: Wanted) -> Pair:
        pair = base(wanted)
        return Pair(replace(pair.candidate, tokens_N_S=pair.candidate.tokens_N_S * 1.4), pair.incumbent)

    def formless(wanted: Wanted) -> Pair:
        pair = base(wanted)
        broken = (np.arange(wanted.stop - wanted.start)[:, None] % 8 > 0) * np.ones((1, wanted.attempts))
        return Pair(replace(pair.candidate, formed_N_S=broken), pair.incumbent)

    assert "1.40 times the tokens" in decided(ALONE, CONTEST, longer).reasons[0]
    assert "format got worse" in decided(ALONE, CONTEST, formless).reasons[0]


def test_the_best_of_several_is_guarded_where_that_is_asked_for() -> None:
    wanted: list[Wanted] = []
    answer = simulated(np.random.default_rng(1), gain=0.2)

    def noted(each: Wanted) -> Pair:
        wanted.append(each)
        return answer(each)

    decision = decided(replace(ALONE, best_of=8), CONTEST, noted)
    assert decision.guards[-1].name == "best of 8"
    assert (wanted[-1].best_of, wanted[-1].attempts, wanted[-1].suite) == (8, 1, ALONE.primary)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_decision_is_json_and_a_table_with_tokens_beside_every_share() -> None:
    decision = gates(WIDE, 1, gain=0.2)[0]
    read = json.loads(json.dumps(decision.summary()))
    assert (read["promote"], read["contest"]["candidate"], read["settings"]["alpha"]) == (True, "v2", 0.025)
    assert read["seeds"] == {"hard": CONTEST.seed("hard"), "guard": CONTEST.seed("guard")}
    rows = decision.table().splitlines()
    assert len(rows) == 2 + 1 + 3
    assert all(row.count(" tokens") == 2 for row in rows[2:])
    assert decision.said().startswith("v2 is promoted: +")
    assert decision.tokens == 100 * 2 * (decision.guards[1].items * 2 + decision.guards[-1].items)


def test_a_refusal_says_why() -> None:
    same = gates(ALONE, 1, gain=0.0)[0]
    assert not same.promote
    assert same.guards == ()
    assert "given up" in same.reasons[0] or "not clearly better" in same.reasons[0]
    few = np.tile([1.0, *[0.0] * 11], 40)  # 1 in 12 is better, none worse
    slight = decided(replace(SMALL, effect=0.2, least=0.1), CONTEST, recorded(few))
    assert slight.reasons == ("It is better by 10.0%, and 15.0% are wanted.",) or not slight.promote


@given(st.integers(0, 10**6), st.text("abc/0.", max_size=8), st.text("abc", max_size=4))
def test_every_gate_and_suite_has_a_seed_that_no_other_has(number: int, candidate: str, suite: str) -> None:
    here = Contest(candidate, "v1", number)
    assert 2**62 <= here.seed(suite) < 2**63
    assert here.seed(suite) == Contest(candidate, "another", number).seed(suite)
    assert len({here.seed(suite), replace(here, number=number + 1).seed(suite), here.seed(suite + "x")}) == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"looks": (0.5, 0.4, 1.0)}, "looks rise and end with 1"),
        ({"looks": (0.5,)}, "looks rise and end with 1"),
        ({"alpha": 0.6}, "alpha below 0.5"),
        ({"least": 0.05}, "least lies from 0 to effect"),
        ({"first": 10}, "first is 30 or more"),
        ({"guard_most": 100}, "no more than guard_most"),
        ({"guards": (GUARD, GUARD)}, "a name of its own"),
        ({"best_of": 1}, "best_of is 0, or 2 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(changed: dict[str, object], says: str) -> None:
    with pytest.raises(GateError, match=says):
        replace(GateSettings(), **changed)  # type: ignore[arg-type]
