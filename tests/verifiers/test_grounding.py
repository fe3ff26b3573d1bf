"""Grounding: what an answer cites has to be in the passage that it cites."""

import pytest

from retrieval.passage import Passage
from verifiers.grounding import CAP, MOST_CLAIMS, UNCITED, Grounding, best_sentence, claims, terms
from verifiers.verdict import Case


def passage(title: str, text: str) -> Passage:
    return Passage(text, source=f"{title}.txt", start=0, end=len(text), title=title)


TOWER = passage("Kelmora Tower", "The tower stands on a hill. Ana Brisk designed it in 1904. It is 330 metres tall.")
TOWN = passage("Kelmora", "Kelmora is a town in the north. It has a population of 12,400. It is famous for its cheese.")
RIVER = passage("Osk", "The river Osk flows through three towns. Fishing is not allowed there.")
FOUND = (TOWER, TOWN, RIVER)


async def judge(question: str, answer: str, passages: tuple[Passage, ...] = FOUND) -> tuple[float | None, str]:
    (verdict,) = await Grounding().verify([Case(question, answer, passages=passages)])
    assert verdict.reason
    return verdict.score, verdict.reason


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("How tall is it?", "The Kelmora Tower is 330 metres tall [1].\n\nAnswer: 330", "It is 330 metres tall."),
        ("How tall is it?", "The Kelmora Tower is 330 metres tall. [1]\nAnswer: 330", "It is 330 metres tall."),
        ("How tall is it?", "According to [1], the Kelmora Tower is 330 metres tall.", "It is 330 metres tall."),
        ("How tall is it?", "Answer: 330 [1]", "It is 330 metres tall."),
        ("Who built it?", "It was designed by Ana Brisk[1].\nAnswer: Ana Brisk", "Ana Brisk designed it in 1904."),
        ("How many people?", "Kelmora has 12400 people [2].", "It has a population of 12,400."),
        (
            "What is it known for?",
            "The best known product of Kelmora is cheese [2]\nAnswer: cheese",
            "famous for its cheese",
        ),
        ("How many towns?", "The Osk flows through 3 towns [3].", "flows through three towns."),
        ("Both?", "The tower in Kelmora has 330 metres and the town 12,400 people [1, 2].", "12,400"),
    ],
)
async def test_a_supported_claim_passes_with_its_sentence(question: str, answer: str, sentence: str) -> None:
    score, reason = await judge(question, answer)
    assert score is not None
    assert score >= 0.6
    assert sentence in reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("The Kelmora Tower is 303 metres tall [1].", "lacks 303"),
        ("It was designed by Ben Brisk [1].", "lacks ben"),
        ("The Kelmora Tower is 330 metres tall [2].", "lacks tower, 330"),
        ("The best known product of Kelmora is wool [2]\nAnswer: wool", "lacks wool"),
        ("The Kelmora Tower is 330 metres tall [4].", "cites [4], but 3 passages"),
        ("The Kelmora Tower is 330 metres tall [0].", "cites [0], but 3 passages"),
        ("The Kelmora Tower is 330 metres tall.\nAnswer: 330", 'cites no passage; [1] has "It is 330 metres tall."'),
        ("The Kelmora Tower was sold to Egon Falk in 1977.", "cites no passage, and none has"),
        ("", "no answer"),
    ],
)
async def test_a_near_miss_fails_and_the_reason_names_what_is_missing(answer: str, reason: str) -> None:
    score, said = await judge("How tall is the Kelmora Tower?", answer)
    assert score is not None
    assert score <= CAP
    assert reason in said


@pytest.mark.parametrize(("answer", "supported"), [("It leaves at 10:30 [1].", True), ("It leaves at 10 [1].", False)])
async def test_a_time_of_day_is_one_thing(answer: str, supported: bool) -> None:
    score, _ = await judge("When does the boat leave?", answer, (passage("boat", "The boat leaves at 10:30."),))
    assert score is not None
    assert (score > CAP) == supported


async def test_an_answer_is_as_good_as_its_weakest_claim() -> None:
    padding = "The tower is 330 metres tall [1]. " * 5
    score, reason = await judge("?", f"{padding} It was designed by Ben Falk in 1904 [1].")
    assert score == CAP
    assert "ben, falk" in reason


async def test_each_citation_carries_the_words_before_it() -> None:
    answer = "The Kelmora Tower is 330 metres tall [1] and Kelmora has 12,400 people [2], so 12,070.\nAnswer: 12070"
    assert [(claim.text, claim.citations) for claim in claims(answer)] == [
        ("The Kelmora Tower is 330 metres tall", (1,)),
        ("and Kelmora has 12,400 people", (2,)),
    ]
    score, _ = await judge("How many more?", answer)
    assert score is not None
    assert score >= 0.9


@pytest.mark.parametrize(
    "answer",
    [
        "I did not find that in the documents. The closest passage is [1].",
        "Sorry, I could not find the height of the Brel Bridge in the passages.",
    ],
)
async def test_saying_that_nothing_was_found_is_not_scored(answer: str) -> None:
    score, _ = await judge("What is the height of the Brel Bridge?", answer)
    assert score is None


async def test_using_a_passage_without_citing_it_scores_low_but_above_inventing() -> None:
    used, _ = await judge("How tall is it?", "It is 330 metres.\nAnswer: 330")
    invented, _ = await judge("How tall is it?", "It is 512 feet.\nAnswer: 512")
    assert (used, invented) == (UNCITED, 0.0)


async def test_without_passages_there_is_no_score() -> None:
    assert (await judge("How tall is it?", "It is 330 metres tall [1].", passages=()))[0] is None


async def test_an_unfinished_answer_fails() -> None:
    (verdict,) = await Grounding().verify([Case("?", "It is 330 [1].", passages=FOUND, finished=False)])
    assert verdict.score == 0.0


@pytest.mark.parametrize("answer", ["[1]" * 50_000, "[1] " * 5_000 + "x", "a[" * 50_000, "A. " * 50_000, "1," * 50_000])
async def test_a_hostile_answer_of_any_length_gets_a_score(answer: str) -> None:
    await judge("?", answer)


async def test_only_the_weakest_claim_is_looked_for_sentence_by_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr("verifiers.grounding.best_sentence", lambda needed, found: looked.append(found.title) or "It.")
    score, reason = await judge("?", "The tower is 330 metres tall [1]. Kelmora has 5 people [2]. The Osk flows [3].")
    assert looked == ["Kelmora"]
    assert score == CAP
    assert "lacks 5" in reason


async def test_an_answer_that_cites_without_end_is_not_read_to_its_end() -> None:
    score, reason = await judge("?", "Osk [3]. " * (MOST_CLAIMS + 1))
    assert score == 0.0
    assert "may do so 256 times" in reason
    assert (await judge("?", "Osk [3]. " * MOST_CLAIMS))[0] == 1.0


def test_the_sentences_of_a_long_passage_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    long = passage("Long", " ".join(f"The village {number} has a mill." for number in range(600)))
    needed = terms("Village 599")
    assert best_sentence(needed, long) == "The village 599 has a mill."
    monkeypatch.setattr("verifiers.grounding.terms", None)
    assert best_sentence(needed, long) == "The village 599 has a mill."
