"""Whether the final answer is the letter of the right choice, or that choice itself. For ``metadata["choices"]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from verifiers.answers import canonical, final_answer
from verifiers.verdict import Case, Verdict

_LETTER = re.compile(r"[(\[]?([A-Z])(?:[)\].:,](?:\s.*)?)?", re.DOTALL)  # B, (B), B) Paris, B: Paris


class Choice:
    """1 where the final answer is the reference's letter, else 0; no reference, no score."""

    name = "choice"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Verdict:
        if case.gold is None:
            return Verdict(self.name, None, "There is no reference answer.")
        answer = (final_answer(case.answer) if case.finished else None) or ""
        letter = letter_of(answer, case.metadata.get("choices", ()))
        right = letter == case.gold.strip().upper()
        return Verdict(self.name, float(right), f"The final answer is {letter or 'no letter'}.")


def letter_of(answer: str, choices: object) -> str | None:
    r"""The letter that an answer is, or that of the only choice which it is word for word."""
    bare = re.sub(r"^\\text\{(.*)\}$", r"\1", answer.strip().strip("*$ ").rstrip("."))
    if match := _LETTER.fullmatch(bare.upper() if len(bare) == 1 else bare):
        return match[1]
    texts = [canonical(str(each)) for each in choices] if isinstance(choices, list | tuple) else []
    return ascii_uppercase[texts.index(canonical(bare))] if texts.count(canonical(bare)) == 1 else None
