"""Whether what an answer cites is there: the numbers, names and content words of each claim in the passage it cites.

Lexical, so that it is fast, needs no model and can show the sentence that it found. It sees a changed number or name
and a passage about something else. It does not see a negation, a paraphrase that shares no word, or whether a sum of
two cited numbers is right. Used by search and training wherever a candidate searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from retrieval.passage import Passage
from verifiers.answers import final_answer
from verifiers.verdict import Case, Verdict

LONGEST_ANSWER = 20_000  # characters that are read; a claim after that counts as uncited
UNCITED = 0.2  # the score of an answer that uses a passage and cites none
MOST_CLAIMS = 256  # that are checked; no honest answer cites more often
CAP = 0.3  # the most that a claim scores when a number, a name or its answer is nowhere in what it cites
NUMBER, NAME, WORD = 3.0, 2.0, 0.5  # weights; a paraphrase has other words, but the same numbers and names

_CITATION = re.compile(r"(?:[ \t]*\[\d{1,3}(?:, ?\d{1,3}){0,9}\])+")
_LATE_CITATION = re.compile(rf"([.!?])({_CITATION.pattern})")  # "It is tall. [1]" is "It is tall [1]."
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LABEL = re.compile(r"^\W*(?:final )?answer\W*:", re.IGNORECASE)
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}")  # one term: "10" is not what "10:30" says
_NUMBER = re.compile(r"[0-9]{1,50}(?:,[0-9]{3}){0,9}(?:\.[0-9]{1,50})?")
_TERM = re.compile(rf"{_TIME.pattern}|{_NUMBER.pattern}|[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s", "y", "e")

# Function words, and the words in which an answer speaks of its search instead of the world.
_STOP_WORDS = """
    a about according after all also am an and any are as at be because been before being both but by can could did
    do does doing each either for from further had has have having he her here hers him his how however i if in into
    is it its just me more most my no nor not of off on once only or other our out over own per same she should so
    some such than that the their them then there these they this those thus through to too under until up very was
    we were what when where which while who whom whose why will with would you your one says said states stated
    shows mentions answer answers available cannot contain contains couldn't didn't doesn't document documents don't
    find found give given information know mention mentioned passage passages provide provided search searched sorry
    source sources unable unfortunately yes question closest nearest st nd rd th
"""
_STOPS = frozenset(_STOP_WORDS.split())
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}


@dataclass(frozen=True, slots=True)
class Term:
    """A number, a name or a content word, in the form in which it is compared."""

    key: str
    weight: float
    required: bool  # a claim that has it is not supported by a passage that lacks it


@dataclass(frozen=True, slots=True)
class Claim:
    """What an answer says between two citations, and what it cites for it."""

    text: str
    citations: tuple[int, ...]
    terms: tuple[Term, ...]  # may be empty: "The closest passage is [1]" claims nothing


class Grounding:
    """The support of an answer's weakest cited claim, with the sentence that was found for it.

    The weakest, because a mean could be raised by copying passages around a wrong claim. No passages, no
    score. An answer that cites nothing scores UNCITED where a passage has what it says and 0 where none has; one that
    says nothing new (it declines, or repeats the question) has no score.
    """

    name = "grounding"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Verdict:
        if not case.passages:
            return Verdict(self.name, None, "No passage was found to hold it against.")
        if not case.finished or not case.answer.strip():
            return Verdict(self.name, 0.0, "It gives no answer.")
        answer = case.answer[:LONGEST_ANSWER]
        cited = claims(answer)
        unreal = [number for claim in cited for number in claim.citations if not 1 <= number <= len(case.passages)]
        if unreal:
            return Verdict(self.name, 0.0, f"It cites [{unreal[0]}], but {len(case.passages)} passages were found.")
        if len(cited) > MOST_CLAIMS:
            return Verdict(self.name, 0.0, f"It cites {len(cited)} times; an answer may do so {MOST_CLAIMS} times.")
        weakest = min((c for c in cited if c.terms), key=lambda claim: support(claim, case.passages), default=None)
        if weakest is None:
            return self._judge_uncited(terms(_CITATION.sub("", answer)), case)
        return Verdict(self.name, support(weakest, case.passages), evidence(weakest, case.passages))

    def _judge_uncited(self, said: Sequence[Term], case: Case) -> Verdict:
        asked = _keys(case.question)
        new = [term for term in said if term.key not in asked]
        if not new:
            return Verdict(self.name, None, "It says nothing that a passage could support.")
        source = max(case.passages, key=lambda passage: _share(new, _passage_keys(passage)))
        if _share(new, _passage_keys(source)) < 0.5:
            return Verdict(self.name, 0.0, "It cites no passage, and none has what it says.")
        place = case.passages.index(source) + 1
        return Verdict(self.name, UNCITED, f'It cites no passage; [{place}] has "{best_sentence(new, source)}"')


def claims(answer: str) -> list[Claim]:
    """The cited claims of an answer, in order.

    A claim is the text before its citation, back to the sentence's start or the citation before; where nothing is said
    there ("According to [1], ..."), it is the text after it. The words of the final answer are what a citation is
    for: where a claim has them, it requires them.
    """
    text = _LATE_CITATION.sub(r"\2\1", answer)
    answer_keys = _keys(final_answer(answer) or "")
    found = [claim for sentence in _SENTENCE_END.split(text) for claim in _sentence_claims(sentence)]
    return [replace(claim, terms=tuple(_require(term, answer_keys) for term in claim.terms)) for claim in found]


def _require(term: Term, keys: frozenset[str]) -> Term:
    return Term(term.key, NUMBER, True) if term.key in keys else term


def _sentence_claims(sentence: str) -> Iterable[Claim]:
    marks = list(_CITATION.finditer(sentence))
    ends = [*(mark.start() for mark in marks), len(sentence)][1:]
    start = 0
    for mark, end in zip(marks, ends, strict=True):
        before = _LABEL.sub("", sentence[start : mark.start()])
        text = before if terms(before) else sentence[mark.end() : end]
        numbers = tuple(int(digits) for digits in re.findall(r"\d+", mark[0]))
        yield Claim(text.strip(" ,;:"), numbers, tuple(terms(text)))
        start = mark.end()


def support(claim: Claim, passages: Sequence[Passage]) -> float:
    """How far the passages that a claim cites carry it, in [0, 1]."""
    present = _present(claim, passages)
    return min(_share(claim.terms, present), CAP if _absent(claim, present) else 1.0)


def _present(claim: Claim, passages: Sequence[Passage]) -> frozenset[str]:
    return frozenset[str]().union(*(_passage_keys(passages[number - 1]) for number in claim.citations))


def _absent(claim: Claim, present: frozenset[str]) -> list[str]:
    return [term.key for term in claim.terms if term.required and term.key not in present]


def evidence(claim: Claim, passages: Sequence[Passage]) -> str:
    """A sentence that says why a claim has its support."""
    cited = {number: passages[number - 1] for number in claim.citations}
    absent = _absent(claim, _present(claim, passages))
    place = max(cited, key=lambda number: _share(claim.terms, _passage_keys(cited[number])))
    lacks = f"lacks {', '.join(absent[:5])}; nearest is" if absent else "has"
    return f'For "{claim.text[:120]}" [{place}] {lacks} "{best_sentence(claim.terms, cited[place])}"'


def best_sentence(needed: Sequence[Term], passage: Passage) -> str:
    """The passage's sentence that has most of the terms, at most 240 characters of it."""
    best, _ = max(_sentences(passage), key=lambda sentence: _share(needed, sentence[1]), default=("", frozenset()))
    return best[:240]


@lru_cache(maxsize=64)
def _sentences(passage: Passage) -> list[tuple[str, frozenset[str]]]:
    """The passage's sentences, each with its keys."""
    sentences = filter(None, (sentence.strip() for sentence in _SENTENCE_END.split(passage.text)))
    return [(sentence, frozenset(term.key for term in terms(sentence))) for sentence in sentences]


def terms(text: str) -> list[Term]:
    """The different numbers, names and content words of a text.

    A capitalised word is a name; the first word of the text may be any, so it weighs like a name but is not required.
    """
    found: dict[str, Term] = {}
    for place, match in enumerate(_TERM.finditer(text)):
        term = _term(match[0], at_start=place == 0)
        if term and (term.key not in found or term.required):
            found[term.key] = term
    return list(found.values())


def _term(word: str, at_start: bool) -> Term | None:
    plain = word.casefold().replace("\u2019", "'").removesuffix("'s")
    if _TIME.fullmatch(word):
        return Term(word.removeprefix("0"), NUMBER, True)
    if word[0] in "0123456789":
        return Term(str(Fraction(word.replace(",", ""))), NUMBER, True)
    if plain in _NUMBERS:
        return Term(_NUMBERS[plain], WORD, False)
    is_name = word[0].isupper()
    if plain in _STOPS or (len(plain) < 2 and not is_name):
        return None
    return Term(_stem(plain), NAME if is_name else WORD, is_name and not at_start)


def _stem(word: str) -> str:
    """The word without one common English ending, where at least four letters stay."""
    return next((word[: -len(end)] for end in _ENDINGS if word.endswith(end) and len(word) - len(end) >= 4), word)


def _keys(text: str) -> frozenset[str]:
    return frozenset(term.key for term in terms(text))


@lru_cache(maxsize=512)  # the candidates of a question cite the same passages
def _passage_keys(passage: Passage) -> frozenset[str]:
    return _keys(f"{passage.title}\n{passage.text}")


def _share(needed: Sequence[Term], present: frozenset[str]) -> float:
    """The weight of the terms that are present, of the weight of all."""
    total = sum(term.weight for term in needed)
    return sum(term.weight for term in needed if term.key in present) / total if total else 0.0
