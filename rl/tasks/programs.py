"""Small programs, written and run with the python tool. Tiers: 1 one loop or built-in; 2 number theory and sequences; 3 two conditions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from rl.tasks.task import Draw, Step, Task, call, direct, phrased

TIERS = range(1, 4)

Made = tuple[str, str, str]  # question, code, what it prints

ASK = phrased(
    "[What is|What's|What would be] {x}[?| please?]", "[Compute|Find|Calculate|Determine|Work out|Print] {x}[.|]", "[Tell me|Give me|I need|I want] {x}[.|]",
    "[Write|Run] [a program|a little program|some Python] that prints {x}[, and tell me the result|].", "[Use Python|Use a program] to [find|compute|work out] {x}.",
    "[Please|Can you|Could you] [give me|find|compute|work out] {x}[.|?]",
)  # fmt: skip
SUM_RANGE = phrased(
    "the sum of [the|all|all the|all the whole] numbers from {a} to {b}", "the [total|sum] of [the|all] [integers|whole numbers] [from|between] {a} [to|and] {b}",
)  # fmt: skip
SUM_SQUARES = phrased(
    "the sum of [the|all] [squares|square numbers] [from|of the numbers from|of all numbers from] {a} to {b}"
)
LARGEST = phrased(
    "the [largest|biggest|greatest] [of|number of|number among] {x}",
    "the maximum of [the list|the numbers|these numbers:|] {x}",
)
SMALLEST = phrased(
    "the [smallest|lowest|least] [of|number of|number among] {x}",
    "the minimum of [the list|the numbers|these numbers:|] {x}",
)
IN_ORDER = phrased(
    "the [numbers|list|values] {x} in [ascending|increasing|sorted] order",
    "the [numbers|values] {x} [sorted|in order] from smallest to largest",
)
TOTAL = phrased("the [sum|total] of [the list|the numbers|these numbers:|all of] {x}")
FACTORIAL = phrased("[the factorial of {n}|{n} factorial|{n}!|the value of {n}!]")
PRIMES = phrased("the [number|count] of [primes|prime numbers] [there are |]below {n}")
FIBONACCI = phrased(
    "[Fibonacci number {n}|the Fibonacci number {n}|number {n} of the Fibonacci numbers|the {n}. Fibonacci number], counting F(1) = F(2) = 1"
)
DIVISOR = phrased("the [greatest|largest|biggest] [common divisor|common factor] of {a} and {b}")
MULTIPLE = phrased("the [least|smallest|lowest] common multiple of [the numbers |]{a} and {b}")
DIGITS = phrased("[the sum of the digits|the digit sum|the sum of all digits|the total of the digits] of {n}")
MEDIAN = phrased("the median of [the list|the numbers|these numbers:|] {x}")
DIVISIBLE = phrased(
    "[numbers|whole numbers|integers] from {a} to {b} [that are divisible|divisible|that can be divided] by {k} but not by {m}"
)
EITHER = phrased(
    "the sum of the [numbers|whole numbers|integers] from {a} to {b} [that are divisible|divisible|that can be divided] by {k} or by {m}"
)
SQUARES_OF = phrased(
    "the sum of the squares of the [numbers|whole numbers|integers] from {a} to {b} [that are divisible|divisible|that can be divided] by {k}"
)


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    what, code, gold = draw.any(MAKERS[tier])(draw)
    question = draw.phrase(ASK).format(x=what)
    steps: list[Step] = []
    thought = "A program."
    if draw.chance(0.05):
        steps.append(mistake(draw, thought, code))
        thought = "The program failed. I correct it."
    steps.append(call(thought, "python", ("code", code), gold))
    steps.append(direct(f"It printed {gold}.", f"The answer is {gold}.", gold))
    return Task(task_id, "programs", tier, question, gold, tuple(steps))


def mistake(draw: Draw, thought: str, code: str) -> Step:
    """A slip that is shown with its error and not learned; what is learned is the correction after it."""
    if draw.chance(0.5):
        broken, error = code.replace("print(", "print((", 1), "Error: SyntaxError: '(' was never closed (line 1)"
    else:
        broken, error = (
            code.replace("print(", "prnt(", 1),
            "Error: NameError: name 'prnt' is not defined. Did you mean: 'print'?",
        )
    step = call(thought, "python", ("code", broken), error)
    return Step(step.thought, calls=step.calls, results=step.results, learn=False)


def interval(draw: Draw) -> tuple[int, int]:
    low = draw.number(1, 60)
    return low, draw.number(low + 8, low + 120)


def numbers(draw: Draw) -> list[int]:
    return [draw.number(1, 99) for _ in range(draw.random.randint(4, 8))]


def listed(values: list[int]) -> str:
    return ", ".join(map(str, values))


def sum_range(draw: Draw) -> Made:
    a, b = interval(draw)
    return draw.phrase(SUM_RANGE).format(a=a, b=b), f"print(sum(range({a}, {b} + 1)))", str(sum(range(a, b + 1)))


def sum_squares(draw: Draw) -> Made:
    a, b = interval(draw)
    code = f"print(sum(n * n for n in range({a}, {b} + 1)))"
    return draw.phrase(SUM_SQUARES).format(a=a, b=b), code, str(sum(n * n for n in range(a, b + 1)))


def largest(draw: Draw) -> Made:
    values = numbers(draw)
    return draw.phrase(LARGEST).format(x=listed(values)), f"print(max([{listed(values)}]))", str(max(values))


def smallest(draw: Draw) -> Made:
    values = numbers(draw)
    return draw.phrase(SMALLEST).format(x=listed(values)), f"print(min([{listed(values)}]))", str(min(values))


def in_order(draw: Draw) -> Made:
    values = sorted(set(numbers(draw)))
    shuffled = draw.random.sample(values, len(values))
    code = f'print(", ".join(map(str, sorted([{listed(shuffled)}]))))'
    return draw.phrase(IN_ORDER).format(x=listed(shuffled)), code, listed(values)


def total(draw: Draw) -> Made:
    values = numbers(draw)
    return draw.phrase(TOTAL).format(x=listed(values)), f"print(sum([{listed(values)}]))", str(sum(values))


def factorial(draw: Draw) -> Made:
    n = draw.number(4, 20)
    return draw.phrase(FACTORIAL).format(n=n), f"import math\nprint(math.factorial({n}))", str(math.factorial(n))


def primes_below(draw: Draw) -> Made:
    n = draw.number(20, 300)
    code = f"print(sum(all(n % d for d in range(2, n)) for n in range(2, {n})))"
    return draw.phrase(PRIMES).format(n=n), code, str(sum(all(m % d for d in range(2, m)) for m in range(2, n)))


def fibonacci(draw: Draw) -> Made:
    n = draw.number(6, 40)
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    code = f"a, b = 0, 1\nfor _ in range({n}):\n    a, b = b, a + b\nprint(a)"
    return draw.phrase(FIBONACCI).format(n=n), code, str(a)


def greatest_divisor(draw: Draw) -> Made:
    a, b = draw.numeric(lambda: multiples(draw))
    draw.numbers |= {a, b}
    what = draw.phrase(DIVISOR).format(a=a, b=b)
    return what, f"import math\nprint(math.gcd({a}, {b}))", str(math.gcd(a, b))


def multiples(draw: Draw) -> tuple[int, int]:
    """Two numbers with a common divisor."""
    k = draw.random.randint(2, 12)
    return k * draw.random.randint(4, 60), k * draw.random.randint(4, 60)


def least_multiple(draw: Draw) -> Made:
    a, b = draw.number(4, 60), draw.number(4, 60)
    return draw.phrase(MULTIPLE).format(a=a, b=b), f"import math\nprint(math.lcm({a}, {b}))", str(math.lcm(a, b))


def digit_sum(draw: Draw) -> Made:
    n = draw.number(1000, 99_999_999)
    return draw.phrase(DIGITS).format(n=n), f'print(sum(int(d) for d in "{n}"))', str(sum(map(int, str(n))))


def median(draw: Draw) -> Made:
    values = numbers(draw)
    values = values if len(values) % 2 else values[1:]
    code = f"import statistics\nprint(statistics.median([{listed(values)}]))"
    return draw.phrase(MEDIAN).format(x=listed(values)), code, str(statistics.median(values))


def two_conditions(draw: Draw) -> Made:
    (a, b), k, m = interval(draw), draw.number(2, 9), draw.number(2, 9)
    kept = [n for n in range(a, b + 1) if n % k == 0 and n % m]
    condition = f"for n in range({a}, {b} + 1) if n % {k} == 0 and n % {m} != 0"
    what = draw.phrase(DIVISIBLE).format(a=a, b=b, k=k, m=m)
    if draw.chance(0.5):
        return f"the sum of the {what}", f"print(sum(n {condition}))", str(sum(kept))
    return f"how many {what} there are", f"print(sum(1 {condition}))", str(len(kept))


def either(draw: Draw) -> Made:
    (a, b), k, m = interval(draw), draw.number(2, 9), draw.number(2, 9)
    kept = [n for n in range(a, b + 1) if n % k == 0 or n % m == 0]
    code = f"print(sum(n for n in range({a}, {b} + 1) if n % {k} == 0 or n % {m} == 0))"
    return draw.phrase(EITHER).format(a=a, b=b, k=k, m=m), code, str(sum(kept))


def squares_of(draw: Draw) -> Made:
    (a, b), k = interval(draw), draw.number(2, 9)
    code = f"print(sum(n * n for n in range({a}, {b} + 1) if n % {k} == 0))"
    what = draw.phrase(SQUARES_OF).format(a=a, b=b, k=k)
    return what, code, str(sum(n * n for n in range(a, b + 1) if n % k == 0))


MAKERS: dict[int, list[Callable[[Draw], Made]]] = {
    1: [sum_range, sum_squares, largest, smallest, in_order, total],
    2: [factorial, primes_below, fibonacci, greatest_divisor, least_multiple, digit_sum, median],
    3: [two_conditions, either, squares_of],
}
