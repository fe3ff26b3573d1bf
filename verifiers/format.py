"""Whether a candidate has the form that the agent promises: a closed thought, then an answer that is only an answer.

Looks at form alone; whether the answer is right is for the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from verifiers.answers import ANSWER_LINE
from verifiers.verdict import Case, Verdict

_CONTROL = re.compile(r"</?(?:think|tool_call|tool_response|tools)>|<\|[a-z_]{1,32}\|>")
_QUOTED = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)  # a person may ask what <tool_call> means


class Format:
    """1 where nothing is wrong with the form, else 0 and what is wrong.

    The last line has to be ``Answer: X`` where the case has a reference; the metadata ``answer_line``, True or False,
    overrules that.
    """

    name = "format"

    async def verify(self, cases: Sequence[Case]) -> list[Verdict]:
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Verdict:
        found = faults(case)
        reason = f"The form is wrong: {'; '.join(found)}." if found else "The form is right."
        return Verdict(self.name, 0.0 if found else 1.0, reason)


def faults(case: Case) -> list[str]:
    """What is wrong with the form of a candidate, each in a few words; empty where nothing is."""
    if case.outcome == "unclosed_thought":
        return ["the thought was never closed"]
    if not case.finished:
        return [f"it ended before its answer ({case.outcome})"]
    if not case.answer.strip():
        return ["the answer is empty"]
    found = []
    if stray := _CONTROL.search(_QUOTED.sub("", case.answer)):
        found.append(f"{stray[0]} stands in the answer")
    if case.metadata.get("answer_line", case.gold is not None) and not _ends_with_answer_line(case.answer):
        found.append("the last line is not `Answer: ...`")
    return found


def _ends_with_answer_line(text: str) -> bool:
    line = ANSWER_LINE.fullmatch(text.rstrip().rpartition("\n")[2])
    return line is not None and bool(line[1].strip("* "))
