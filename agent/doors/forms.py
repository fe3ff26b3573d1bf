"""The forms of what is told, for clients that want to know them before: pydantic models made of records."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

COMMENT = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)


class Told(BaseModel):
    """Of an answer of our own, which has all that is written down here and nothing else."""

    model_config = ConfigDict(extra="forbid")


def told_of(record: type, *hidden: str) -> type[Told]:
    """The form in which a record (a dataclass) is told of: its fields, and what is said of them where they stand."""
    hints = get_type_hints(record)
    meant = {name: said for each in reversed(record.__mro__[:-1]) for name, said in COMMENT.findall(source_of(each))}
    own: dict[str, Any] = {
        each.name: (hints[each.name], Field(description=meant.get(each.name)))
        for each in fields(record)
        if each.name not in hidden
    }
    return create_model(record.__name__, __base__=Told, **own)


def source_of(record: type) -> str:
    try:
        return inspect.getsource(record)
    except OSError:  # of an installation without sources
        return ""
