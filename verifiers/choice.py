r"""Whether the letter that an answer chooses is the reference, for questions with lettered options.

Reads the forms that models write: ``(B)``, ``B.``, ``Answer: B``, ``The answer is B because``, ``**B**`` and
``\boxed{B}``.
The text of an option, word for word, is its letter where ``metadata["choices"]`` has the options in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict

LONGEST_STATEMENT = 2_000  # characters of the end of an answer that are searched for a statement

_COMMAND = re.compile(r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|mathsf|boxed)\s*(?=\{)|\\[()\[\]]|[\[\]{}$*`]")
_NOUN = r"(?:the )?(?:(?:correct|right|best|final) )?(?:answer|option|choice)"
_STATED = re.compile(
    rf"\b{_NOUN}(?: (?:is|would be|should be|must be)|:)(?: (?:option|choice))?[: ]+(\(?[A-Za-z]\)?)(?![\w'])",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?:(?:the )?(?:option|choice|answer)(?: is)?:? )?\(?([A-Za-z])\)?(?![\w'])(.*)", re.IGNORECASE)
# After "A" and "I" a word may follow because they are words themselves: "A dog" chooses nothing.
_REASON = re.compile(r" (?:because|since|as|for|which|is)\b")
_ANOTHER = re.compile(r"\s*(?:,|/|&|\+|\bor\b|\band\b)\s*(?:or |and )?\(?(?:[A-Z]|[b-hj-z])\)?(?![\w'])")


class Choice:
    """1 where the answer chooses the reference's letter and no other, else 0; no letter as reference, no score."""

    name = "choice"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Verdict:
        gold = read_option(case.gold or "")
        if gold is None:
            return Verdict(self.name, None, "There is no letter as reference.")
        said = case.answer if case.finished else ""
        letter = chosen_letter(said) or letter_of_option(said, case.metadata.get("choices"))
        if letter is None:
            return Verdict(self.name, 0.0, "It chooses no letter.")
        return Verdict(self.name, float(letter == gold), f"It chooses {letter}, the reference is {gold}.")


def letter_of_option(text: str, options: object) -> str | None:
    """The letter of the only option that the final answer is, word for word; "A" is the first."""
    texts = [canonical(str(each)) for each in options] if isinstance(options, list | tuple) else []
    stated = final_answer(text)
    said = None if stated is None else canonical(stated)
    return ascii_uppercase[texts.index(said)] if said is not None and texts.count(said) == 1 else None


def chosen_letter(text: str) -> str | None:
    """The letter that a text chooses, in upper case; None where it chooses none, or several.

    Its final answer counts (``answers.final_answer``); where it has none, the last statement like "the answer is B",
    else its last line. Thoughts are never read.
    """
    if stated := final_answer(text):
        return read_option(stated)
    spoken = text.rpartition("</think>")[2].partition("<think>")[0].strip()[-LONGEST_STATEMENT:]
    bare = _COMMAND.sub("", spoken)
    if statements := list(_STATED.finditer(bare)):
        return read_option(bare[statements[-1].start(1) :].partition("\n")[0])
    return read_option(spoken.rpartition("\n")[2])


def read_option(text: str) -> str | None:
    """The letter that a short text begins with as an option, in upper case: ``(b)``, ``B. Paris``, ``option B``."""
    match = _OPTION.match(" ".join(_COMMAND.sub("", text).split()))
    if match is None or _ANOTHER.match(match[2]):
        return None
    letter, rest = match.groups()
    bracketed = match[0][match.end(1) : match.start(2)] == ")" or match[0][match.start(1) - 1 : match.start(1)] == "("
    named = match.start(1) > 1  # "option B"
    alone = not rest or rest[0] in ".:,;)-\u2013\u2014" or (rest.startswith(" ") and rest[1:2] in "-\u2013\u2014(=")
    reasoned = letter.isupper() and (_REASON.match(rest) is not None or letter not in "AI")
    return letter.upper() if alone or bracketed or named or reasoned else None
