"""A language model as a judge, in two ways: answers against each other, or each against a rubric (Zheng et al., 2023,
"Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena").

A judge likes what it reads first, and what is long. So each pair is read in both orders, and a verdict that changes
with the order is a tie; ``rl.judging`` reports how often that is. What a candidate wrote is data: no tag survives in
it, and a verdict counts only where the judge's reply ends with it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, Protocol

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict, VerifierError

PROMPTS = Path(__file__).parent / "prompts"
MOST_ANSWERS = 4  # different ones that are compared with each other: at most 6 pairs, 12 calls
MOST_TOKENS = 1024  # that a judge may write for one verdict
LONGEST_ATTEMPT = 8_000  # characters that are shown, the beginning and the end
KNOWN = 1024  # replies that are kept

# "x < 3" stays as it is. Two signs that are full or small forms of "<" count as one, and what is unseen in a tag does
# not hide it.
_TAG = re.compile("[<\uff1c\ufe64](?=[^\\w<\uff1c\ufe64=]*[^\\W\\d])")
_PLACE = re.compile(r"<verdict>\s*(A|B|TIE)\s*</verdict>[\s.*`]*\Z", re.IGNORECASE)
_MARK = re.compile(r"<mark>\s*([1-5])\s*</mark>[\s.*`]*\Z", re.IGNORECASE)

Pair = tuple[int, int]
Parts = Mapping[str, str]
Place = Literal["first", "second", "tie"]
_PLACES: Mapping[str, Place] = {"A": "first", "B": "second", "TIE": "tie"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said."""

    text: str  # without its thought
    tokens: int  # read and written
    error: str = ""  # one sentence, where it could not be asked


class Judging(Protocol):
    """A language model that is asked one thing at a time."""

    async def ask(self, prompt: str, most_tokens: int) -> Reply:
        """Its reply, the likeliest. Raises ``VerifierError`` where it cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two cases that one judge read in both orders. Their numbers are places in the sequence of cases."""

    one: int
    other: int
    places: tuple[
        Place | None, Place | None
    ]  # who won where `one` stood first, and where `other` did; None: unreadable
    tokens: tuple[int, int]  # read and written in those two calls
    reason: str = ""  # where a reply could not be had or read, why

    @property
    def won(self) -> float | None:
        """1 where `one` won in both orders, 0 where `other` did, else one half; None where a reply was unreadable."""
        if None in self.places:
            return None
        return {("first", "second"): 1.0, ("second", "first"): 0.0}.get(self.places, 0.5)  # type: ignore[arg-type]


class _Asking:
    """A judge and its prompt. Replies are kept: later waves of a search look at the same attempts again."""

    def __init__(self, model: Judging, prompt: str) -> None:
        self._model = model
        self._prompt = (PROMPTS / prompt).read_text()
        self._known: dict[tuple[str, ...], Reply] = {}

    async def ask(self, parts: Parts) -> Reply:
        """The reply to the prompt with these parts in it; one without text where the judge could not be asked."""
        key = tuple(parts.values())
        if key in self._known:
            return self._known[key]
        try:
            reply = await self._model.ask(self._prompt.format(**parts), MOST_TOKENS)
        except VerifierError as error:
            return Reply("", 0, str(error))
        self._known[key] = reply
        while len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return reply

    def knows(self, parts: Parts) -> bool:
        return tuple(parts.values()) in self._known


class PairwiseJudge:
    """The share of its comparisons that a candidate's answer won, a tie as one half.

    Candidates with equal final answers are one: the first of them is shown. The four answers that most candidates gave
    are compared, each with each. Rarer ones have no score: what nobody judged is not a zero, one lucky comparison with
    the leader is not a one, and agreement has counted how rare they are. Neither has anybody where all agree.
    """

    name = "judge"

    def __init__(self, model: Judging) -> None:
        self._judge = _Asking(model, "pairwise.txt")

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        now, earlier = self._pairs(cases)
        compared, before = await self._compare_all(cases, now), await self._compare_all(cases, earlier)
        tokens: Counter[int] = Counter()
        for each in (*compared, *before):  # a call counts for the candidate that it shows first, so that it counts once
            tokens.update({each.one: each.tokens[0]})
            tokens.update({each.other: each.tokens[1]})
        answers = [_answer(case) for case in cases]
        judged = {answer: _scored(answer, answers, compared) for answer in set(answers)}
        return [Verdict(self.name, *judged[answer], tokens=tokens[i]) for i, answer in enumerate(answers)]

    async def compare(self, cases: Sequence[Case]) -> list[Comparison]:
        """Every comparison that counts among the candidates of one question."""
        return await self._compare_all(cases, self._pairs(cases)[0])

    def _pairs(self, cases: Sequence[Case]) -> tuple[list[Pair], list[Pair]]:
        """Those that count, and those that counted in an earlier wave and cost what they cost."""
        votes = Counter(filter(None, map(_answer, cases)))  # in the order of their first candidates
        firsts = {answer: next(i for i, case in enumerate(cases) if _answer(case) == answer) for answer in votes}
        leading = {firsts[answer] for answer, _ in votes.most_common(MOST_ANSWERS)}
        now, rest = [], []
        for pair in combinations(firsts.values(), 2):
            (now if leading.issuperset(pair) else rest).append(pair)
        return now, [pair for pair in rest if all(self._judge.knows(parts) for parts in _orders(cases, pair))]

    async def _compare_all(self, cases: Sequence[Case], pairs: Iterable[Pair]) -> list[Comparison]:
        return list(await asyncio.gather(*(self._compare(cases, pair) for pair in pairs)))

    async def _compare(self, cases: Sequence[Case], pair: Pair) -> Comparison:
        there, back = await asyncio.gather(*map(self._judge.ask, _orders(cases, pair)))
        places = (read_place(there.text), read_place(back.text))
        reason = there.error or back.error or ("" if all(places) else "The judge's reply ended without a verdict.")
        return Comparison(*pair, places, (there.tokens, back.tokens), reason)


def _orders(cases: Sequence[Case], pair: Pair) -> tuple[Parts, Parts]:
    """What the judge is shown of a pair, in each order."""
    question, one, other = fenced(cases[pair[0]].question), *(attempt_text(cases[i]) for i in pair)
    return {"question": question, "first": one, "second": other}, {"question": question, "first": other, "second": one}


class PointwiseJudge:
    """A judge's mark by a rubric, 1 to 5, as a score from 0 to 1. One call for each different attempt."""

    name = "judge_pointwise"

    def __init__(self, model: Judging, rubric: str | None = None) -> None:
        """``rubric`` says what each mark means; by default that of ``prompts/rubric.txt``."""
        self._judge = _Asking(model, "pointwise.txt")
        self._rubric = (rubric or (PROMPTS / "rubric.txt").read_text()).strip()

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        attempts = [(fenced(case.question), attempt_text(case)) if _answer(case) else None for case in cases]
        different = list(dict.fromkeys(filter(None, attempts)))
        replies = dict(zip(different, await asyncio.gather(*map(self._mark, different)), strict=True))
        tokens = {attempts.index(attempt): reply.tokens for attempt, reply in replies.items()}  # each call counts once
        marks = [_marked(replies[attempt]) if attempt else (0.0, "It gives no answer.") for attempt in attempts]
        return [Verdict(self.name, *mark, tokens=tokens.get(i, 0)) for i, mark in enumerate(marks)]

    async def _mark(self, attempt: tuple[str, str]) -> Reply:
        return await self._judge.ask({"rubric": self._rubric, "question": attempt[0], "attempt": attempt[1]})


def _marked(reply: Reply) -> tuple[float | None, str]:
    mark = read_mark(reply.text)
    if mark is None:
        return None, reply.error or "The judge's reply ended without a mark."
    return (mark - 1) / 4, f"The judge's mark is {mark} of 5."


def _scored(answer: str, answers: Sequence[str], compared: Iterable[Comparison]) -> tuple[float | None, str]:
    """Score and reason of every candidate with that answer."""
    if not answer:
        return 0.0, "It gives no answer."
    if len(set(answers) - {""}) < 2:
        return None, "There are no two different answers to compare."
    own = [each for each in compared if answer in (answers[each.one], answers[each.other])]
    if not own:
        return None, f"It was not compared: {MOST_ANSWERS} other answers are more frequent."
    points = [each.won if answers[each.one] == answer else 1.0 - each.won for each in own if each.won is not None]
    if not points:
        return None, own[0].reason
    won, tied = points.count(1.0), points.count(0.5)
    unread = f"; {len(own) - len(points)} could not be read" if len(own) > len(points) else ""
    return sum(points) / len(points), f"It won {won} of {len(points)} comparisons and tied {tied}{unread}."


def _answer(case: Case) -> str:
    """What candidates with an equal answer have in common; "" where there is none."""
    return canonical(final_answer(case.answer) or case.answer, case.question) if case.finished else ""


def attempt_text(case: Case) -> str:
    """What a judge reads of a candidate: its steps and its answer."""
    steps = [step for step in case.steps if step.strip() != case.answer.strip()] or [case.thought]
    return fenced("\n\n".join(filter(None, (*steps, case.answer.strip()))))


def fenced(text: str) -> str:
    """The text without its middle where it is too long, and without a tag that could end the one around it."""
    if len(text) > LONGEST_ATTEMPT:
        half = LONGEST_ATTEMPT // 2
        text = f"{text[:half]}\n[{len(text) - 2 * half} characters are left out here]\n{text[-half:]}"
    return _TAG.sub("&lt;", text)


def read_place(reply: str) -> Place | None:
    """Who won, by the verdict that a reply ends with; None where it does not end with one."""
    found = _PLACE.search(reply)
    return _PLACES[found[1].upper()] if found else None


def read_mark(reply: str) -> int | None:
    found = _MARK.search(reply)
    return int(found[1]) if found else None
