"""Bare sums, as people type them to try a calculator. Tiers: 1 two numbers; 2 three numbers, or a sum with parentheses."""

from __future__ import annotations

from rl.tasks.stories import ASK_SUM
from rl.tasks.task import Draw, Task, call, direct
from rl.tasks.words import NUMBER_WORDS
from tools.calculator import evaluate
from tools.tool import ToolError

TIERS = range(1, 3)

# How an operation is typed and said, by the sign of the calculator.
SIGNS = {
    "+": ("{a}+{b}", "{a} + {b}", "{a} plus {b}", "{a} and {b} together"),
    "-": ("{a}-{b}", "{a} - {b}", "{a} minus {b}", "{a} less {b}"),
    "*": (
        "{a}*{b}",
        "{a} * {b}",
        "{a} times {b}",
        "{a} x {b}",
        "{a}x{b}",
        "{a} multiplied by {b}",
        "{a} \N{MULTIPLICATION SIGN} {b}",
    ),
    "/": ("{a}/{b}", "{a} / {b}", "{a} divided by {b}", "{a} over {b}", "{a} \N{DIVISION SIGN} {b}"),
}
FORMS = ("{a} {s} {b} {t} {c}", "({a} {s} {b}) {t} {c}", "{a} {s} ({b} {t} {c})")
HIGHEST = (9, 12, 30, 100, 1000, 9999)  # the largest number of a sum: as often small as large


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    while True:
        draw.draft()
        typed, expression = two_numbers(draw) if tier == 1 else three_numbers(draw)
        if (result := exact(expression)) is not None:
            break
    steps = (call("A sum.", "calculator", ("expression", expression), result),
             direct(f"The result is {result}.", f"It is {result}.", result))  # fmt: skip
    return Task(task_id, "sums", tier, draw.phrase(ASK_SUM).format(e=typed), result, steps)


def exact(expression: str) -> str | None:
    """The value where it is a decimal that ends."""
    try:
        result = evaluate(expression)
    except ToolError:  # a division by zero
        return None
    return None if "about" in result else result


def two_numbers(draw: Draw) -> tuple[str, str]:
    """The sum as typed, and as the calculator is asked."""
    high = draw.any(HIGHEST)
    a, b, sign = draw.number(0, high), draw.number(1, high), draw.any(list(SIGNS))
    if sign == "/" and draw.chance(0.7):
        a *= b
    if sign == "-" and draw.chance(0.8):
        a, b = max(a, b), min(a, b)
    wording = draw.any(SIGNS[sign])
    between = wording.format(a="", b="")  # "3x4" and "3 * 4" keep their digits
    in_words = draw.chance(0.4) and " " in between and any(map(str.isalpha, between))
    spoken = [spelled(n) if in_words else str(n) for n in (a, b)]
    return wording.format(a=spoken[0], b=spoken[1]), f"{a} {sign} {b}"


def three_numbers(draw: Draw) -> tuple[str, str]:
    high = draw.any(HIGHEST)
    a, b, c = draw.number(1, high), draw.number(1, high), draw.number(1, min(high, 100))
    form = draw.any(FORMS).format(a=a, b=b, c=c, s=draw.any(list(SIGNS)), t=draw.any(["+", "-", "*"]))
    return form if draw.chance(0.5) else form.replace(" ", ""), form


def spelled(n: int) -> str:
    return NUMBER_WORDS[n] if n < len(NUMBER_WORDS) else str(n)
