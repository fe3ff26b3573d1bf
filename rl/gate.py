"""Whether a new version of the model is promoted: the rule. Pure; ``rl.gating`` asks the questions.

``deciding`` says which answers it wants next and ends with a ``Decision``. Candidate and incumbent answer the same
questions, made for this gate alone. The primary suite has to be better: a one-sided sign-flip test at a few looks that
are fixed beforehand and share ``alpha``. Everything else must not be worse by more than a margin: all guards have to
hold (intersection-union: each at ``alpha``, no correction, Berger 1982). docs/gate.md explains each number.

What ``alpha`` means: a candidate that is no better than the incumbent on the primary suite passes **one** gate with at
most that chance. Each gate is a fresh test on fresh questions. Of k such candidates in a row, k * alpha are promoted on
average at most; each has passed the guards as well, so that what is promoted by chance is not worse by more than the
margin on any of them but for a chance of ``alpha``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np

from rl.gate_records import (
    FORMAT,
    LENGTH,
    Answers,
    Contest,
    Decision,
    GateSettings,
    Guard,
    Look,
    Pair,
    Side,
    Verdict,
    Wanted,
    points,
    span,
)
from rl.intervals import mean_interval
from rl.significance import (
    NORMAL,
    Floats,
    always_valid,
    chance_of_passing,
    drift,
    evidence,
    futility_levels,
    items_needed,
    ratio_interval,
    sign_flip,
    upper_levels,
)

# --- the procedure ----------------------------------------------------------------------------------------------------


def decided(settings: GateSettings, contest: Contest, answer: Callable[[Wanted], Pair]) -> Decision:
    """``deciding``, where the answers are there already: recorded or simulated ones."""
    steps = deciding(settings, contest)
    wanted = next(steps)
    while True:
        try:
            wanted = steps.send(answer(wanted))
        except StopIteration as end:
            return end.value


def deciding(settings: GateSettings, contest: Contest) -> Generator[Wanted, Pair, Decision]:
    """Yields what it wants to know next, takes the answers, and ends with the decision.

    The first thing that refuses ends it: one guard that does not hold is enough.
    """
    asked: list[Pair] = []
    looks: list[Look] = []
    guards: list[Guard] = []
    pair = yield Wanted(settings.primary, 0, settings.first, settings.attempts)
    plan = planned(settings, pair)
    for stop, needed, given_up in plan.looks:
        if stop > pair.items:
            pair = pair.and_then((yield Wanted(settings.primary, pair.items, stop, settings.attempts)))
        looks.append(looked(settings, pair, needed, given_up, stop == plan.items))
        if looks[-1].verdict != "undecided":
            break
    primary = side(pair.candidate, settings), side(pair.incumbent, settings)
    if looks[-1].verdict == "passed":
        guards.append(length_guard(settings, pair))
        if guards[-1].verdict == "passed":
            formed, pair = yield from guarded(settings, Wanted(settings.primary, 0, 0, settings.attempts), FORMAT, pair)
            guards.append(formed)
            others = [(Wanted(suite, 0, 0, 1), suite.name) for suite in settings.guards]
            if settings.best_of:
                others.append((Wanted(settings.primary, 0, 0, 1, settings.best_of), f"best of {settings.best_of}"))
            for wanted, name in others:
                if guards[-1].verdict != "passed":
                    break
                guard, answers = yield from guarded(settings, wanted, name)
                guards.append(guard)
                asked.append(answers)
    asked.append(pair)
    reasons = [*refusal(settings, plan, looks[-1]), *(guard.reason for guard in guards if guard.reason)]
    return Decision(
        promote=not reasons,
        reasons=tuple(reasons) or (f"{settings.primary.name} is better and all {len(guards)} guards hold.",),
        contest=contest,
        planned=plan.items,
        power=plan.power,
        primary=primary,
        looks=tuple(looks),
        guards=tuple(guards),
        items=sum(each.items for each in asked),
        tokens=round(sum(float(a.tokens_N_S.sum()) for each in asked for a in (each.candidate, each.incumbent))),
        settings=settings,
        seeds={suite.name: contest.seed(suite.name) for suite in settings.suites},
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Of the primary suite."""

    items: int
    looks: tuple[tuple[int, float, float], ...]  # questions, the p that passes, the p that gives up
    power: float


def planned(settings: GateSettings, pair: Pair) -> Plan:
    """How many questions it takes, by how much the first ones scatter.

    Only the sizes of their differences come in, not who was better, and under the null the signs are fair coins'
    whatever the sizes: planning by the same questions that are tested costs nothing (a blinded internal pilot: Wittes
    and Brittain 1990). One question that each had alone is added, lest none be taken for proof that there are none.
    """
    square = float((pair.differences() ** 2).sum() + 2.0) / (pair.items + 2)
    wished = drift(settings.looks, settings.alpha, settings.power, settings.hopeless)
    items = items_needed(settings.effect, square, wished, 1.0 / settings.attempts)
    items = min(settings.most, max(settings.first, items))
    fractions = tuple(share for share in settings.looks if math.ceil(share * items) >= settings.first)
    stops = [math.ceil(share * items) for share in fractions]
    sure = round(settings.effect * math.sqrt(items / square), 2)
    power = chance_of_passing(fractions, settings.alpha, settings.hopeless, sure)
    upper = upper_levels(fractions, settings.alpha)
    lower = (*futility_levels(fractions, settings.alpha, settings.power, settings.hopeless), 1.0)
    # whoever is worse as clearly as another would have to be better is given up in any case
    given_up = [min(low, 1.0 - up) for low, up in zip(lower, upper, strict=True)]
    return Plan(items, tuple(zip(stops, upper, given_up, strict=True)), power)


def looked(settings: GateSettings, pair: Pair, needed: float, given_up: float, last: bool) -> Look:
    """At what is in. Making a difference smaller never turns "undecided" or "refused" into more."""
    differences = pair.differences()
    p, mean = sign_flip(np.rint(differences * settings.attempts).astype(np.int64)), float(differences.mean())
    passed = p <= needed and mean >= settings.least - 1e-12
    verdict: Verdict = "passed" if passed else "refused" if last or p > given_up else "undecided"
    seen = np.array([*differences, 1.0, -1.0])  # as in ``results.compare``
    half = NORMAL.inv_cdf(1.0 - needed) * float(seen.std()) / math.sqrt(len(seen))
    return Look(pair.items, mean, (max(-1.0, mean - half), min(1.0, mean + half)), p, needed, given_up, verdict)


def guarded(
    settings: GateSettings, wanted: Wanted, name: str, pair: Pair | None = None
) -> Generator[Wanted, Pair, tuple[Guard, Pair]]:
    """Asks until it is clear, or the most was asked; on from ``pair``, where that was asked already."""
    sizes = [settings.guard_first * 2**k for k in range(32) if settings.guard_first * 2**k < settings.guard_most]
    stops = [size for size in (*sizes, settings.guard_most) if pair is None or size > pair.items]
    if pair is None:
        pair = yield replace(wanted, start=0, stop=stops.pop(0))
    guard = share_guard(settings, name, pair)
    for stop in stops:
        if guard.verdict != "undecided":
            break
        pair = pair.and_then((yield replace(wanted, start=pair.items, stop=stop)))
        guard = share_guard(settings, name, pair)
    return guard, pair


def share_guard(settings: GateSettings, name: str, pair: Pair) -> Guard:
    """Not worse by the margin: shown, refuted, or neither yet. Valid at every size that it is looked at."""
    differences, bound = pair.differences(name), -settings.margin
    enough = 1.0 / settings.alpha
    verdict: Verdict = (
        "passed" if evidence(differences, bound) >= enough
        else "refused" if evidence(-differences, settings.margin) >= enough
        else "undecided"
    )  # fmt: skip
    mean, interval = float(differences.mean()), always_valid(differences, settings.alpha)
    reason = ""
    if verdict == "refused":
        reason = f"{name} got worse by more than {settings.margin:.1%}: {points(mean)}, {span(interval)}."
    elif verdict == "undecided":
        reason = (
            f"{name} could not be shown to be no more than {settings.margin:.1%} worse with {pair.items:,} questions: "
            f"{points(mean)}, {span(interval)}; {more_needed(settings, differences)}."
        )
    one, other = side(pair.candidate, settings, name), side(pair.incumbent, settings, name)
    return Guard(name, pair.items, one, other, mean, interval, bound, verdict, reason)


def more_needed(settings: GateSettings, differences_N: Floats) -> str:
    """By the rate at which the best of all stakes grows, which is half of the mean's square in its own scatter."""
    distance = float(differences_N.mean()) + settings.margin
    if distance <= settings.margin / 10:
        return "more questions (guard_most) would hardly help"
    rate = distance**2 / (2.0 * float(((differences_N + settings.margin) ** 2).mean()))
    return f"about {math.ceil(1.3 * math.log(1.0 / settings.alpha) / rate):,} would do, if that is what it is"


def length_guard(settings: GateSettings, pair: Pair) -> Guard:
    """Of the primary suite's questions, as many as there are: the tokens scatter less than right and wrong do."""
    ones, others = (each.tokens_N_S.mean(axis=1) for each in (pair.candidate, pair.incumbent))
    ratio, interval = float(ones.mean() / max(others.mean(), 1e-9)), ratio_interval(ones, others, settings.alpha)
    passed = interval[1] <= settings.longest
    reason = "" if passed else (
        f"Its attempts may take {interval[1]:.2f} times the tokens ({ratio:.2f} were measured), "
        f"and {settings.longest:.2f} are allowed."
    )  # fmt: skip
    one, other = side(pair.candidate, settings), side(pair.incumbent, settings)
    verdict: Verdict = "passed" if passed else "refused"
    return Guard(LENGTH, pair.items, one, other, ratio, interval, settings.longest, verdict, reason)


# --- in words ---------------------------------------------------------------------------------------------------------


def refusal(settings: GateSettings, plan: Plan, last: Look) -> list[str]:
    """Why the primary suite does not do; nothing where it does."""
    if last.verdict == "passed":
        return []
    if last.p <= last.needed:
        return [f"It is better by {last.difference:.1%}, and {settings.least:.1%} are wanted."]
    if last.items < plan.items:
        return [f"It was given up after {last.items:,} of {plan.items:,} questions: they left no hope of passing."]
    weak = f" These questions find {settings.effect:.1%} with a chance of {plan.power:.0%} only."
    found = f"It is not clearly better: a p of {last.p:.2g} is not the {last.needed:.2g} that is needed."
    return [found + (weak if plan.power < settings.power - 0.05 else "")]


def side(answers: Answers, settings: GateSettings, what: str = "") -> Side:
    shares_N = (answers.formed_N_S if what == FORMAT else answers.right_N_S).mean(axis=1)
    interval = mean_interval(list(map(float, shares_N)), answers.right_N_S.shape[1])
    return Side(float(shares_N.mean()), interval, float(answers.tokens_N_S.mean()))
