"""What a gate is set to, what it is told and what it finds: plain values for ``rl.gate`` and ``rl.gating``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from agent.errors import PonderError
from rl.significance import Floats
from rl.tasks.suite import HARD_TIERS
from rl.tasks.task import digest

Verdict = Literal["passed", "refused", "undecided"]
FORMAT, LENGTH = "format", "length"


class GateError(PonderError):
    """A gate cannot be run as it was asked for."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Generated questions: each of one of these families and tiers, all as likely."""

    name: str
    kinds: tuple[tuple[str, int], ...]  # (family, tier)


HARD = Mixture("hard", tuple((family, tier) for family, tiers in HARD_TIERS.items() for tier in tiers))
GUARDED = (
    Mixture("injection", (("injection", 1), ("injection", 2))),
    Mixture("smalltalk", (("smalltalk", 1),)),  # most of it requests that have to be declined
    Mixture("sums", (("sums", 1), ("sums", 2))),
    Mixture("programs", (("programs", 1), ("programs", 2), ("programs", 3))),
    Mixture("units", (("units", 1), ("units", 2))),
    Mixture("arithmetic", tuple(("arithmetic", tier) for tier in range(1, 6))),  # the others are in the primary suite
    Mixture("lookup", (("lookup", 1), ("lookup", 2), ("lookup", 3))),
    Mixture("strings", (("strings", 1), ("strings", 2), ("strings", 3), ("strings", 4))),
)


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Declared before anything is asked. Shares are of 1: 0.02 is two points. Raises ``GateError``."""

    primary: Mixture = HARD
    guards: tuple[Mixture, ...] = GUARDED
    alpha: float = 0.025  # one-sided, of the primary suite over all looks, and of each guard
    power: float = 0.8  # that a candidate has which is better by ``effect``
    effect: float = 0.04  # the least that is worth finding: so many questions are planned
    least: float = 0.02  # the difference that is observed has to reach this as well
    looks: tuple[float, ...] = (0.4, 0.7, 1.0)  # when the primary suite is looked at, of the questions planned
    hopeless: float = 0.1  # given up at a look where passing has less chance than this, were the effect true; 0: never
    attempts: int = 2  # sampling seeds of a question of the primary suite; one of the guards'
    first: int = 120  # questions by whose scatter the rest is planned
    most: int = 2000  # questions of the primary suite
    margin: float = 0.02  # by which a guard must be shown not to be worse
    guard_first: int = 300  # questions of a guard; twice as many, and again, while it is undecided
    guard_most: int = 9600  # then it counts as not shown, and the candidate is refused
    longest: float = 1.3  # times the tokens of an attempt that the candidate may take
    best_of: int = 0  # also guard the best of so many attempts on the primary suite; 0: do not
    temperature: float = 0.3

    def __post_init__(self) -> None:
        shares = (self.alpha, self.power, self.effect, self.margin)
        rules = {
            "alpha, power, effect and margin lie between 0 and 1, and alpha below 0.5": all(0 < s < 1 for s in shares)
            and self.alpha < 0.5,
            "looks rise and end with 1": list(self.looks) == sorted({*self.looks, 1.0}) and self.looks[0] > 0,
            "hopeless lies from 0 to below 0.5": 0 <= self.hopeless < 0.5,
            "least lies from 0 to effect": 0 <= self.least <= self.effect,
            "first is 30 or more, and no more than most": 30 <= self.first <= self.most,
            "guard_first is 30 or more, and no more than guard_most": 30 <= self.guard_first <= self.guard_most,
            "attempts are 1 or more": self.attempts >= 1,
            "longest is above 1": self.longest > 1,
            "best_of is 0, or 2 or more": self.best_of == 0 or self.best_of >= 2,
            "every suite has kinds of questions, and a name of its own": all(m.kinds for m in self.suites)
            and len({m.name for m in self.suites}) == len(self.suites),
        }
        if broken := [rule for rule, holds in rules.items() if not holds]:
            raise GateError(f"A gate needs other settings: {'; '.join(broken)}.")

    @property
    def suites(self) -> tuple[Mixture, ...]:
        return (self.primary, *self.guards)


@dataclass(frozen=True, slots=True)
class Contest:
    """Who meets whom, for which time."""

    candidate: str
    incumbent: str
    number: int  # of the gate: counted up, so that no gate has the questions of an earlier one

    def seed(self, suite: str) -> int:
        """Of its questions: a pure function, 2^62 or more, which no report and no frozen set uses."""
        return digest(f"gate/{self.number}/{self.candidate}/{suite}") >> 2 | 1 << 62


@dataclass(frozen=True, slots=True)
class Wanted:
    """The answers of both that are wanted next."""

    suite: Mixture
    start: int
    stop: int
    attempts: int
    best_of: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's, by question and attempt: 1 or 0, 1 or 0, and how many tokens."""

    right_N_S: Floats
    formed_N_S: Floats
    tokens_N_S: Floats

    def and_then(self, more: Answers) -> Answers:
        return Answers(
            np.concatenate([self.right_N_S, more.right_N_S]),
            np.concatenate([self.formed_N_S, more.formed_N_S]),
            np.concatenate([self.tokens_N_S, more.tokens_N_S]),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of both to the same questions."""

    candidate: Answers
    incumbent: Answers

    def and_then(self, more: Pair) -> Pair:
        return Pair(self.candidate.and_then(more.candidate), self.incumbent.and_then(more.incumbent))

    @property
    def items(self) -> int:
        return len(self.candidate.right_N_S)

    def differences(self, what: str = "right") -> Floats:
        """Of each question, in the mean over its attempts: candidate less incumbent."""
        ones, others = ((a.formed_N_S if what == FORMAT else a.right_N_S) for a in (self.candidate, self.incumbent))
        return (ones - others).mean(axis=1)


@dataclass(frozen=True, slots=True)
class Side:
    """One model on one suite."""

    share: float  # of right answers, or of those in the right form
    interval: tuple[float, float]  # 95 %
    tokens: float  # of an attempt, sampled or read by verifiers


@dataclass(frozen=True, slots=True)
class Look:
    """At the primary suite, with so many questions in."""

    items: int
    difference: float
    interval: tuple[float, float]  # 1 - 2 alpha, right whenever the gate ends (repeated: Jennison and Turnbull 1989)
    p: float  # exact, one-sided, of this look alone
    needed: float  # the p that passes here
    given_up: float  # the p above which it is hopeless here; 1: never
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Guard:
    """What must not get worse."""

    name: str
    items: int
    candidate: Side
    incumbent: Side
    difference: float  # of the shares; of the length the ratio of the tokens
    interval: tuple[float, float]  # each side at alpha; of shares right however often it was looked at
    bound: float  # which the lower end has to be above; of the length the upper end below
    verdict: Verdict
    reason: str = ""  # why it does not hold


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a gate, and everything that was measured."""

    promote: bool
    reasons: tuple[str, ...]
    contest: Contest
    planned: int  # questions of the primary suite
    power: float  # that those have to find the effect that was planned for
    primary: tuple[Side, Side]  # candidate, incumbent
    looks: tuple[Look, ...]
    guards: tuple[Guard, ...]
    items: int  # questions asked of each in all suites
    tokens: int  # of both, in all suites
    settings: GateSettings
    seeds: dict[str, int] = field(default_factory=dict)  # of the questions, by suite

    def said(self) -> str:
        """In one sentence."""
        last = self.looks[-1]
        what = f"{points(last.difference)} on {self.settings.primary.name}, {span(last.interval)}, p = {last.p:.2g}"
        asked = f"{self.items:,} questions, {self.tokens:,} tokens of both"
        if self.promote:
            return f"{self.contest.candidate} is promoted: {what}, and no guard was hurt ({asked})."
        return f"{self.contest.candidate} is not promoted: {' '.join(self.reasons)} ({what}; {asked}.)"

    def summary(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"said": self.said(), **asdict(self)}

    def table(self) -> str:
        """A Markdown table: every share beside its tokens an attempt."""
        look, (one, other) = self.looks[-1], self.primary
        head = ["suite", "questions", "incumbent", "candidate", "difference", "wanted", "verdict"]
        wanted = f"p at most {look.needed:.2g}, {points(self.settings.least)}"
        difference = f"{points(look.difference)}, {span(look.interval)}, p = {look.p:.2g}"
        rows = [[self.settings.primary.name, look.items, cell(other), cell(one), difference, wanted, look.verdict]]
        for g in self.guards:
            length = g.name == LENGTH
            difference = f"{g.difference:.2f} times" if length else f"{points(g.difference)}, {span(g.interval)}"
            allowed = f"at most {g.bound:.2f} times" if length else f"above {points(g.bound)}"
            difference += f", {g.interval[0]:.2f} to {g.interval[1]:.2f}" if length else ""
            rows.append([g.name, g.items, cell(g.incumbent), cell(g.candidate), difference, allowed, g.verdict])
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


# --- in words ---------------------------------------------------------------------------------------------------------


def points(share: float) -> str:
    return f"{100 * share:+.1f} points"


def span(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"


def cell(one: Side) -> str:
    return f"{one.share:.3f} ({one.interval[0]:.3f} to {one.interval[1]:.3f}), {one.tokens:.0f} tokens"
