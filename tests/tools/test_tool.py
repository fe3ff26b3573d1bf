import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from tools.calculator import calculator
from tools.python import python_tool
from tools.sandbox import Sandbox
from tools.search import search_tool
from tools.tool import Tool, ToolOutput, ToolSetupError, tool


class Nobody:
    def search(self, query, k):
        return []


# The embedded model is trained on these very bytes: a change here is a change of its prompt.
SCHEMAS = {
    "calculator": (
        '{"type": "function", "function": {"name": "calculator", "description": "Evaluate an arithmetic expression '
        'exactly.", "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": '
        '["expression"]}}}'
    ),
    "python": (
        '{"type": "function", "function": {"name": "python", "description": "Run a Python program and return what it '
        'prints.", "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}}}'
    ),
    "search": (
        '{"type": "function", "function": {"name": "search", "description": "Search the indexed documents and return '
        'numbered passages.", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, '
        '"required": ["query"]}}}'
    ),
}


@pytest.mark.parametrize(
    "each", [calculator, python_tool(Sandbox()), search_tool(Nobody())], ids=lambda each: each.name
)
def test_the_schemas_of_the_tools_that_ship_have_the_bytes_the_model_was_trained_on(each):
    assert json.dumps(each.function_schema()) == SCHEMAS[each.name]


def test_a_schema_follows_the_signature_and_has_no_titles():
    @tool
    async def weather(city: str, days: Annotated[int, Field(ge=1)] = 1, title: str | None = None) -> str:
        """The weather in a city.

        Not shown to the model.
        """
        return ""

    assert weather.function_schema() == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"default": 1, "minimum": 1, "type": "integer"},
                    "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                },
                "required": ["city"],
            },
        },
    }


def test_a_nested_model_keeps_its_definition_and_its_property_called_title():
    class Book(BaseModel):
        title: str

    @tool
    def shelve(books: list[Book]) -> str:
        """Shelve books."""
        return ", ".join(book.title for book in books)

    parameters = shelve.function_schema()["function"]["parameters"]
    assert parameters["$defs"] == {
        "Book": {"properties": {"title": {"type": "string"}}, "required": ["title"], "type": "object"}
    }


async def test_a_plain_function_and_an_async_one_are_called_alike():
    @tool
    def plain(a: int, b: int = 2) -> str:
        """Add."""
        return str(a + b)

    @tool(name="other", timeout_seconds=5, idempotent=False)
    async def waiting(a: int, b: int = 2) -> ToolOutput:
        """Add."""
        return ToolOutput(str(a + b))

    assert await plain.call(plain.arguments(a=1)) == "3"
    assert await waiting.call(waiting.arguments(a=1, b=4)) == ToolOutput("5")
    assert (waiting.name, waiting.timeout_seconds, waiting.idempotent) == ("other", 5, False)


def test_a_plain_function_that_never_ends_does_not_keep_the_process_from_ending():
    program = (
        "import asyncio, time\n"
        "from tools.tool import tool\n"
        "from tools.toolbox import Toolbox\n"
        "@tool\ndef endless() -> str:\n    'Never end.'\n    time.sleep(3600)\n    return ''\n"
        "print(asyncio.run(Toolbox([endless]).call('endless', {}, 0.1)).error)\n"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=100)
    assert "took longer" in ended.stdout


async def test_parameters_may_be_called_what_pydantic_calls_its_methods():
    @tool
    def store(json: str, copy: int, model_name: str) -> dict[str, object]:
        """Store."""
        return {"json": json, "copy": copy, "model": model_name}

    assert await store.call(store.arguments(json="x", copy=1, model_name="m")) == '{"json":"x","copy":1,"model":"m"}'


def test_a_function_that_cannot_be_described_is_refused_with_a_reason():
    def untyped(x):
        """Do."""

    def many(*xs: int):
        """Do."""

    def undescribed(x: int): ...

    def strange(x: Nobody):
        """Do."""

    for function, reason in (
        (untyped, "needs a type"),
        (many, "plain name"),
        (undescribed, "docstring"),
        (strange, "cannot be described"),
    ):
        with pytest.raises(ToolSetupError, match=reason):
            tool(function)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 65, "naïve", "a\n"])
def test_a_name_that_function_calling_does_not_allow_is_refused(name):
    with pytest.raises(ToolSetupError, match="cannot name a tool"):
        Tool(name, "d", BaseModel, calculator.call)
