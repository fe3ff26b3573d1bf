"""Sampling within a JSON schema: which tokens may come next, so that the whole is JSON that fits (llguidance).

For models that run in this process; a server has its own. What is sampled so is drawn from a distribution that is not
the model's, and nothing is trained on it.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.policy.policy import PolicyError

if TYPE_CHECKING:
    from agent.policy.renderer import Renderer

CONSTRAINED = "constrained: its tokens were kept within a schema"  # why it is not trainable


class SchemaError(PolicyError):
    """A JSON schema that nothing can be sampled by."""

    exit_code = 2


class Constraints:
    """Of one model's tokens."""

    def __init__(self, renderer: Renderer, vocabulary: int) -> None:
        self._renderer, self._vocabulary = renderer, vocabulary

    @cached_property
    def _tokenizer(self) -> Any:
        import llguidance.hf

        end = self._renderer.stop_token_ids[0]
        return llguidance.hf.from_tokenizer(self._renderer.tokenizer, n_vocab=self._vocabulary, eos_token=end)

    def of(self, schema: str) -> Constraint:
        """At the beginning of a text of that schema. Raises ``SchemaError``."""
        from llguidance import LLMatcher

        grammar = LLMatcher.grammar_from_json_schema(closed(schema), {"whitespace_flexible": False})
        matcher = LLMatcher(self._tokenizer, grammar)
        if matcher.is_error():
            raise SchemaError(f"Nothing can be sampled by this JSON schema ({one_line(matcher.get_error())}).")
        return Constraint(matcher, self._vocabulary)


def closed(schema: str) -> str:
    """The schema whose objects have the properties that it names and no others, where it leaves that open: a model that
    may always add one more seldom ends. What fits it fits the schema too.
    """
    return schema if '"allOf"' in schema else json.dumps(closed_value(json.loads(schema)))


def closed_value(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed_value(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: value if key in ("const", "enum") else closed_value(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and not {"patternProperties", "$ref"} & schema.keys()
    return {"additionalProperties": False, **inside} if named else inside


class Constraint:
    """Where a text stands in its schema."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def copy(self) -> Constraint:
        return Constraint(self._matcher.deep_copy(), self._vocabulary)

    def within(self, logits_V: NDArray[np.floating]) -> NDArray[np.floating]:
        """The logits with minus infinity for what may not come next."""
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        return np.where(bits[: len(logits_V)].astype(bool), logits_V, -np.inf)

    def take(self, token: int) -> None:
        """Go on after a token that was sampled."""
        self._matcher.consume_token(token)


def one_line(text: str) -> str:
    return " ".join(text.split())[:200]
