"""JSON schema: what satisfies it, what does not, and what must neither hang, crash nor fetch anything."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.json_schema import JsonSchema, compare, read_json
from verifiers.verdict import Case, Verdict

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
GOOD = '{"name": "Ada", "age": 36}'


async def verdict_of(answer: str, schema: Any = PERSON, finished: bool = True) -> Verdict:
    (verdict,) = await JsonSchema().verify([Case("Who?", answer, metadata={"schema": schema}, finished=finished)])
    assert verdict.reason.endswith(".")
    return verdict


@pytest.mark.parametrize(
    "answer", [GOOD, f"Here it is:\n\n```json\n{GOOD}\n```\nThat is all.", f"So.\n\nAnswer: {GOOD}"]
)
async def test_an_answer_that_satisfies_the_schema_passes(answer: str) -> None:
    assert (await verdict_of(answer)).score == 1.0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"age": 36}', "At $ the answer breaks the schema: 'name' is a required property"),
        ('{"name": "Ada", "age": -1}', "At $.age"),
        ('{"name": "Ada", "more": 1}', "At $"),
        ("Ada", "no JSON"),
        ('{"name": "Ada", "age": NaN}', "NaN is no number there"),
        (f"```\n{GOOD}\n```\n```\n{GOOD}\n```", "2 fenced blocks instead of one"),
        ("", "gives no answer"),
    ],
)
async def test_an_answer_that_does_not_fails_and_is_told_why(answer: str, says: str) -> None:
    verdict = await verdict_of(answer)
    assert verdict.score == 0.0
    assert says in verdict.reason


async def test_an_unfinished_answer_fails() -> None:
    assert (await verdict_of(GOOD, finished=False)).score == 0.0


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (None, "has no schema"),
        ({"type": "nothing"}, "schema is none"),
        ({"pattern": "("}, "schema is none"),
        ({1, 2}, "schema is no JSON"),
        ({"$ref": "#/$defs/missing"}, "which is not in it"),
    ],
    ids=str,
)
async def test_without_a_schema_that_is_one_there_is_no_score(schema: Any, says: str) -> None:
    verdict = await verdict_of(GOOD, schema)
    assert verdict.score is None
    assert says in verdict.reason


DOUBLING = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)} | {"a40": {}}
NESTED: dict[str, Any] = {"$ref": "#"}
for _ in range(300):
    NESTED = {"allOf": [NESTED]}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"pattern": "^(a+)+$"}, json.dumps("a" * 40 + "!")),
        ({"patternProperties": {"^(a|a)*$": {}}}, json.dumps({"a" * 60 + "!": 1})),
        ({"$ref": "#/$defs/a0", "$defs": DOUBLING}, "1"),
        ({"$ref": "#"}, "1"),
        (NESTED, "1"),
        ({"items": {"$ref": "#"}}, "[" * 900 + "]" * 900),
        (PERSON, "[" * 400_000 + "]" * 400_000),
        (PERSON, '{"a":' * 100_000),
        (PERSON, "9" * 100_000),
        (PERSON, '"' + "x" * 1_000_001),
        ({"uniqueItems": True}, json.dumps([[i] for i in range(100_000)])),
        ({"multipleOf": 1e-308}, "1e308"),
        ({"multipleOf": 0.01}, "1e400"),
        ({"multipleOf": 0.01}, "1" + "0" * 400),
        ({"enum": ["\ud800"]}, json.dumps("\ud800\x1b[2J")),
    ],
    ids=range(15),
)
async def test_what_is_hostile_ends_soon_and_never_passes_by_it(schema: Any, answer: str) -> None:
    began = time.monotonic()
    verdict = await verdict_of(answer, schema)
    assert time.monotonic() - began < 30  # 1 s of processor time, on a machine that has other things to do
    assert verdict.score in (0.0, None) or schema == {"enum": ["\ud800"]} or "uniqueItems" in schema


@pytest.fixture
def visits() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that notes who comes, and its notes."""
    noted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def note() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                noted.append(b"!")
                client.close()

        threading.Thread(target=note, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/schema.json", noted
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("key", ["$ref", "$schema", "$dynamicRef"])
async def test_nothing_is_fetched(visits: tuple[str, list[bytes]], key: str) -> None:
    address, noted = visits
    verdict = await verdict_of(GOOD, {key: address})
    assert verdict.score is None or key == "$schema"
    assert not noted


async def test_a_file_is_not_read_either() -> None:
    assert (await verdict_of(GOOD, {"$ref": "file:///etc/hostname"})).score is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_is_read_and_is_the_constant_that_it_is(value: Any) -> None:
    text = read_json(f"```json\n{json.dumps(value)}\n```")
    assert text is not None
    assert json.loads(text) == value
    assert compare({"const": value}, value)[0] == 1.0


@given(st.text() | st.text('{}[]",:0 \n`'))
def test_any_text_is_json_or_is_refused(text: str) -> None:
    with suppress(ValueError):
        read_json(text)
