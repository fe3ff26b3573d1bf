"""The OpenAPI document says of every answer what is in it, and answers are so."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from agent.doors.forms import told_of
from agent.doors.keys import Keys
from agent.doors.rest.app import create_app
from agent.doors.telling import NAMES, Happening


@dataclass(frozen=True)
class Stone:
    weight: float  # kg

    @property
    def heavy(self) -> bool:
        return self.weight > 10


@dataclass(frozen=True)
class Gem(Stone):
    """A stone that shines."""

    price: int  # in cents
    owner: str  # who is not told of


def document() -> dict[str, Any]:
    app: FastAPI = create_app(cast(Any, None), cast(Keys, None))
    return app.openapi()


def test_a_record_is_told_of_by_its_fields_and_what_their_comments_say() -> None:
    form = told_of(Gem, "owner").model_json_schema()
    assert {name: each["description"] for name, each in form["properties"].items()} == {
        "weight": "kg",
        "price": "in cents",
    }
    assert form["required"] == ["weight", "price"]


def test_an_answer_with_more_than_its_form_says_is_no_such_answer() -> None:
    with pytest.raises(ValidationError, match="owner"):
        told_of(Gem, "owner").model_validate({"weight": 1, "price": 1, "owner": "Ann"})


def test_every_operation_says_what_its_answer_has() -> None:
    loose = []
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                forms = [each.get("schema", each.get("itemSchema", {})) for each in answer["content"].values()]
                if any(form.get("additionalProperties") is True for form in forms) or not any(forms):
                    loose.append(f"{method} {path} {status}")
    assert loose == []


def test_every_event_has_a_form_of_its_name() -> None:
    known = {name for form in Happening.__args__ for name in form.model_fields["type"].annotation.__args__}
    assert known == {*NAMES.values(), "run.interrupted"}
