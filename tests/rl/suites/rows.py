"""One row of each format, made up here."""

from typing import Any

GSM8K = {
    "question": "Tom has 3 boxes with 4 pens in each and buys 5 more. How many pens does Tom have?",
    "answer": "He has 3*4=<<3*4=12>>12 pens.\nThen 12+5=<<12+5=17>>17.\n#### 1,017",
}
MATH = {
    "problem": "What is $x$ if $2x = 1$?",
    "solution": r"Divide: $x = \frac{1}{2}$, that is $\boxed{\frac{1}{2}}$.",
    "level": "Level 3",
    "subject": "Algebra",
}
MMLU = {
    "question": "Which planet is closest to the Sun?",
    "choices": ["Venus", "Earth", "Mercury", "Mars"],
    "answer": 2,
    "subject": "astronomy",
}
GPQA = {
    "Question": "Which of these numbers is prime?",
    "Correct Answer": "ninety-seven",
    "Incorrect Answer 1": "ninety-one",
    "Incorrect Answer 2": "ninety-three",
    "Incorrect Answer 3": "ninety-nine",
}
HUMANEVAL = {
    "task_id": "made/0",
    "prompt": 'from typing import List\n\n\ndef total(values: List[int]) -> int:\n    """The sum of the values."""\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(values)\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1, 2]) == 3\n"
    "    assert candidate([]) == 0, 'empty'\n    assert True, 'prints'\n",
}
TOLERANT: dict[str, Any] = {
    "prompt": 'def half(x: float) -> float:\n    """Half of x."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "test": "def check(candidate):\n    for i in range(9):\n        assert abs(candidate(i) - i * 0.5) < 1e-6\n",
}
HELPED: dict[str, Any] = {
    "prompt": "def twice(s):\n    return s + s\n\n\ndef once(s: str) -> str:\n    '''Undo twice.'''\n",
    "entry_point": "once",
    "canonical_solution": "    return s[: len(s) // 2]\n",
    "test": "def check(candidate):\n    assert candidate(twice('ab')) == 'ab'\n",
}
OWN = {"question": "What is the capital of France?", "gold": "Paris"}


def function(row: dict[str, Any]) -> str:
    """The answer of a model that copies the canonical solution, without what stands before its function."""
    prompt, name = row["prompt"], row["entry_point"]
    return f"So:\n\n```python\n{prompt[prompt.index(f'def {name}') :]}{row['canonical_solution']}```\n"
