"""Who is asked in the middle of a call: their time is not the call's, and what they fill in fills the form."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tools.person import MAX_ASKED, MAX_FORM, PERSON, form_of, unfit, with_defaults
from tools.tool import tool
from tools.toolbox import Toolbox

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "Ann"},
        "age": {"type": "integer", "minimum": 0},
        "colours": {"type": "array", "items": {"enum": ["red", "blue"]}, "default": ["red"]},
    },
    "required": ["name", "age"],
}


@tool(timeout_seconds=0.3)
async def greet() -> str:
    """Greet whoever is there."""
    if (person := PERSON.get()) is None:
        return "Nobody."
    first, second = await asyncio.gather(person("Name?", FORM), person("Again?", FORM))
    return f"{first} {second}"


@tool(timeout_seconds=0.3)
async def greet_slowly() -> str:
    """Greet, and then take too long."""
    person = PERSON.get()
    assert person is not None
    await person("Name?", FORM)
    await asyncio.sleep(30)
    return "late"


async def slow(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Somebody who takes longer than the call may."""
    await asyncio.sleep(0.5)
    return {"said": message}


async def test_the_time_of_who_is_asked_is_not_the_calls() -> None:
    result = await Toolbox([greet]).call("greet", {}, 5, slow)
    assert result.output == "{'said': 'Name?'} {'said': 'Again?'}"


async def test_the_calls_own_time_runs_on_afterwards() -> None:
    result = await Toolbox([greet_slowly]).call("greet_slowly", {}, 5, slow)
    assert "longer than 0.3 seconds" in (result.error or "")


async def test_a_question_is_taken_back_when_its_call_has_ended() -> None:
    """As where a server asks, and answers before anybody has."""
    given_up = asyncio.Event()

    async def thinking(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            await asyncio.sleep(30)
        finally:
            given_up.set()

    @tool
    async def impatient() -> str:
        """Ask, and do not wait."""
        person = PERSON.get()
        assert person is not None
        asked.append(asyncio.create_task(person("Name?", FORM)))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        return "done"

    asked: list[asyncio.Task[Any]] = []
    result = await Toolbox([impatient]).call("impatient", {}, 5, thinking)
    assert (result.output, await asked[0]) == ("done", None)
    assert given_up.is_set()


async def test_where_there_is_nobody_a_tool_finds_nobody() -> None:
    assert (await Toolbox([greet]).call("greet", {}, 5)).output == "Nobody."
    assert PERSON.get() is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"age": 7}, ""),
        ({"age": -1}, "age: -1 is less than the minimum of 0."),
        ({"age": "seven"}, "age: 'seven' is not of type 'integer'."),
        ({"age": 7, "colours": ["green"]}, "colours.0: 'green' is not one of ['red', 'blue']."),
        ({}, "'age' is a required property."),
    ],
)
def test_what_does_not_fill_the_form_is_said(content: Mapping[str, Any], why: str) -> None:
    assert unfit(FORM, with_defaults(FORM, content)) == why


def test_what_was_filled_in_comes_before_the_forms_own_values() -> None:
    assert with_defaults(FORM, {"age": 7, "name": "Bo"}) == {"name": "Bo", "age": 7, "colours": ["red"]}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"properties": {"a": {}}},
        {"properties": {"a": {"type": "object"}}},
        {"properties": {"a": {"type": 7}}},
        {"properties": {"a": {"type": ["string"]}}},
        {"properties": {"a": {"type": "array"}}},
        {"properties": {"a": {"type": "string", "minLength": "many"}}},
        {"properties": {"a": {"type": "string", "description": "x" * MAX_FORM}}},
        {"properties": ["a"]},
        "a form",
    ],
)
def test_what_nobody_could_fill_in_is_no_form(schema: Any) -> None:
    assert form_of(schema) is None


def test_a_form_has_what_a_person_can_be_shown_and_nothing_that_a_server_could_hide_in_it() -> None:
    evil = {"pattern": "(a+)+$", "$ref": "https://example.org", "not": {}, "properties": {"b": {"type": "string"}}}
    schema = {
        "properties": {
            "a": {"type": "string", "title": "A", "maxLength": 3, **evil},
            "b": {"type": "string", "oneOf": [{"const": "x", "title": "X", **evil}]},
            "c": {"type": "array", "items": {"anyOf": [{"const": "y", **evil}], **evil}},
        },
        "required": ["a", "z"],
        "patternProperties": {"(a+)+$": False},
        **{key: value for key, value in evil.items() if key != "properties"},
    }
    assert form_of(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "title": "A", "maxLength": 3},
            "b": {"type": "string", "oneOf": [{"const": "x", "title": "X"}]},
            "c": {"type": "array", "items": {"type": "string", "anyOf": [{"const": "y"}]}},
        },
        "required": ["a"],
    }


@pytest.mark.parametrize(("declining", "asked"), [(True, 1), (False, MAX_ASKED)])
async def test_a_tool_that_asks_again_and_again_is_answered_for_a_while(declining: bool, asked: int) -> None:
    count = 0

    async def person(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        nonlocal count
        count += 1
        return None if declining else {}

    @tool
    async def insist() -> str:
        """Ask for ever."""
        who = PERSON.get()
        assert who is not None
        return str([await who("Name?", FORM) for _ in range(100)].count(None))

    result = await Toolbox([insist]).call("insist", {}, 5, person)
    assert count == asked
    assert result.output == str(100 - (0 if declining else asked))
