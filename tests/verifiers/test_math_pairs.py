"""A table of reference answers and answers, of every kind that a benchmark asks for, and what each verdict must be.

A pair that is marked ``missed`` means the same and is not seen to: what the verifier is known not to do.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from verifiers.math_answers import MathAnswers
from verifiers.verdict import Case

PAIRS = [json.loads(line) for line in (Path(__file__).parent / "math_pairs.jsonl").read_text().splitlines()]
KINDS = {kind: list(pairs) for kind, pairs in groupby(sorted(PAIRS, key=lambda p: p["kind"]), key=lambda p: p["kind"])}


@pytest.fixture(scope="module")
def math() -> Iterator[MathAnswers]:
    verifier = MathAnswers()
    yield verifier
    verifier.close()


def test_the_table_has_three_hundred_pairs_right_and_wrong_ones_of_every_kind() -> None:
    assert len(PAIRS) >= 300
    assert len({(pair["gold"], pair["answer"]) for pair in PAIRS}) == len(PAIRS)
    assert all({pair["right"] for pair in KINDS[kind]} == {True, False} for kind in KINDS.keys() - {"hostile"})


@pytest.mark.parametrize("kind", KINDS)
async def test_every_pair_gets_its_verdict(math: MathAnswers, kind: str) -> None:
    cases = [Case("", f"So it is.\n\nAnswer: {pair['answer']}", gold=pair["gold"]) for pair in KINDS[kind]]
    verdicts = await math.verify(cases)
    wrong = [
        (pair["gold"], pair["answer"][:80], verdict.reason)
        for pair, verdict in zip(KINDS[kind], verdicts, strict=True)
        if bool(verdict.score) != (pair["right"] and not pair.get("missed"))
    ]
    assert not wrong
