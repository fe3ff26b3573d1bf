"""A person who can be asked in the middle of a call: tools that want to know something find one here, or None.

``toolbox`` puts one here for each call, whose time stands still meanwhile; who it is, the agent's doors know.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

PATIENCE = 600.0  # seconds that a person has
MAX_FORM = 20_000  # characters of a form's schema
MAX_ASKED = 10  # times in one call
ABOUT = ("type", "title", "description", "default", "format")
LIMITS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")
PLAIN = {"string", "number", "integer", "boolean", "array"}  # what a field of a form can be (MCP's elicitation)

# A message and the JSON schema of a form -> what was filled in, or None: it was declined.
Form = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]

PERSON: ContextVar[Form | None] = ContextVar("person", default=None)


def form_of(schema: Any) -> dict[str, Any] | None:
    """The part of a server's schema that makes a form of plain fields; None where a person cannot be shown it.

    Only the words that MCP's elicitation knows are taken: a pattern could take for ever, a reference lead elsewhere.
    """
    from jsonschema import Draft202012Validator, SchemaError

    try:
        fields = {str(name): _field(field) for name, field in schema["properties"].items()}
        required = [name for name in schema.get("required", []) if name in fields]
        form = {"type": "object", "properties": fields, "required": required}
        if len(json.dumps(form)) > MAX_FORM:
            return None
        Draft202012Validator.check_schema(form)
    except (SchemaError, RecursionError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return form


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ``ValueError`` and the like for what is no plain field."""
    if field["type"] not in PLAIN:
        raise ValueError(field["type"])
    known = {key: field[key] for key in (*ABOUT, *LIMITS) if key in field} | _choices(field, "oneOf")
    if field["type"] == "array":
        known["items"] = {"type": "string"} | _choices(field["items"], "anyOf")
    return known


def _choices(field: Mapping[str, Any], titled: str) -> dict[str, Any]:
    """What can be chosen, as it stands there; ``titled`` has each choice with a title."""
    listed = {"enum": [str(each) for each in field["enum"]]} if "enum" in field else {}
    named = [{key: str(each[key]) for key in ("const", "title") if key in each} for each in field.get(titled, [])]
    return listed | ({titled: named} if named else {})


def unfit(schema: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Why that does not fill the form, in a sentence; "" where it does."""
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(dict(schema)).iter_errors(dict(content)):
        place = ".".join(map(str, error.absolute_path))
        return f"{place + ': ' if place else ''}{error.message[:200]}."
    return ""


def with_defaults(schema: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """What was filled in, and the form's own values where nothing was (MCP's SEP-1034)."""
    return {name: field["default"] for name, field in schema["properties"].items() if "default" in field} | {**content}
