"""Choice: the letter that an answer chooses, however it is written, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.choice import Choice, chosen_letter, letter_of_option
from verifiers.verdict import Case

LETTERS = st.sampled_from("ABCDEFGHIJ")
FORMS = [
    "({})", "{}.", "{})", "**{}**", "[{}]", r"\boxed{{{}}}", r"\boxed{{\text{{({})}}}}", "Answer: {}",
    "Answer: **({})**", "Answer: {}. Paris", "Answer: {}) Paris", "Answer: {} because it is so", "Answer: Option {}",
    r"Answer: $\mathrm{{{}}}$", "The answer is {} because the others are not.", "the correct option is **({})**.",
    "The best choice would be option {}.", "A is not it, as I said.\nThe correct answer is: {}",
    "<think>The answer is Z.</think>\n\n{}", "Because of this:\n\n{}: Paris", "The answer is {}, not Z.",
]  # fmt: skip


async def score_of(answer: str, gold: str | None, finished: bool = True) -> float | None:
    (verdict,) = await Choice().verify([Case("Which?", answer, gold=gold, finished=finished)])
    assert verdict.reason
    return verdict.score


@given(LETTERS, st.sampled_from(FORMS))
def test_the_letter_is_read_in_every_form(letter: str, form: str) -> None:
    assert chosen_letter(form.format(letter)) == letter


@given(LETTERS, LETTERS, st.sampled_from(FORMS))
async def test_only_the_letter_of_the_reference_is_right(letter: str, gold: str, form: str) -> None:
    assert await score_of(form.format(letter), f"({gold.lower()})") == float(letter == gold)


@given(st.text() | st.text("AB()*.:, \n{}\\boxedanswr"))
def test_any_text_chooses_one_letter_or_none(text: str) -> None:
    assert chosen_letter(text) in [None, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


@pytest.mark.parametrize(
    "answer",
    [
        "", "Paris", "Answer: Paris", "Answer: B or C", "Answer: A/B", "A, B", "Answer: (B) and (C)", "Answer: A dog",
        "Answer: I think so", "a dog", "The answer is clear.", "The answer is not B", "<think>Answer: B",
    ],
)  # fmt: skip
def test_what_chooses_no_letter_or_several_chooses_none(answer: str) -> None:
    assert chosen_letter(answer) is None


def test_a_later_remark_about_another_option_does_not_change_the_choice() -> None:
    assert chosen_letter("The answer is (B). Answer A is wrong, and so is option C.") == "B"


@pytest.mark.parametrize("gold", [None, "Paris", ""])
async def test_without_a_letter_as_reference_there_is_no_score(gold: str | None) -> None:
    assert await score_of("Answer: B", gold) is None


@pytest.mark.parametrize(
    ("answer", "letter"), [("Earth", "B"), ("earth.", "B"), ("Mercury", None), ("Pluto", None), ("", None)]
)
def test_the_text_of_one_option_is_its_letter(answer: str, letter: str | None) -> None:
    assert letter_of_option(f"Answer: {answer}", ("Venus", "Earth", "Mercury", "Mercury")) == letter


async def test_a_letter_that_is_written_comes_before_an_option_of_that_text() -> None:
    case = Case("Which?", "Answer: B", gold="B", metadata={"choices": ("B", "A")})
    assert [verdict.score for verdict in await Choice().verify([case])] == [1.0]


async def test_an_unfinished_answer_fails() -> None:
    assert await score_of("Answer: B", "B", finished=False) == 0.0


def test_a_long_answer_is_read_in_no_time() -> None:
    assert chosen_letter("the answer is " * 200_000 + "\nB") == "B"
    assert chosen_letter("Answer: " + "(" * 200_000) is None
