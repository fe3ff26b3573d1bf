"""Sampling within a schema: whatever the weights, what comes is JSON that fits; and nobody learns from it."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from agent.policy.constraint import CONSTRAINED, SchemaError
from agent.policy.embedded import EmbeddedPolicy
from agent.records import SamplingParams

PARAMS = SamplingParams(max_tokens=600, seed=3)
SCHEMAS: dict[str, dict[str, Any]] = {
    "an object": {
        "type": "object",
        "properties": {"sum": {"type": "integer", "maximum": 9999}, "unit": {"enum": ["pens", "books"]}},
        "required": ["sum", "unit"],
        "additionalProperties": False,
    },
    "an object that says nothing of further properties": {
        "type": "object",
        "properties": {"of": {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 9999}}}},
        "required": ["of"],
    },
    "a list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "one of two": {"anyOf": [{"const": "yes"}, {"type": "null"}]},
    "a short text": {"type": "string", "maxLength": 8},
}


def question(policy: EmbeddedPolicy) -> list[int]:
    return policy.renderer.start([{"role": "user", "content": "How many pens?"}])


def by(schema: dict[str, Any], **changes: Any) -> SamplingParams:
    return replace(PARAMS, json_schema=json.dumps(schema), **changes)


@pytest.mark.parametrize("name", SCHEMAS)
async def test_random_weights_write_what_fits(policy: EmbeddedPolicy, name: str) -> None:
    for sample in await policy.sample(question(policy), by(SCHEMAS[name]), 6):
        assert sample.finish_reason == "stop"
        jsonschema.validate(json.loads(policy.renderer.decode(sample.token_ids)), SCHEMAS[name])
        assert sample.not_trainable == CONSTRAINED


async def test_a_constrained_sample_is_drawn_again_as_it_was(policy: EmbeddedPolicy) -> None:
    for temperature in (1.0, 0.0):
        (sample,) = await policy.sample(question(policy), by(SCHEMAS["an object"], temperature=temperature))
        draws = await policy.draws(sample)
        assert [draw.token for draw in draws] == list(sample.token_ids)
        assert [draw.logprob for draw in draws] == pytest.approx(sample.logprobs, abs=1e-4)


async def test_what_is_sampled_beside_it_is_what_it_is_alone(policy: EmbeddedPolicy) -> None:
    prompt, free = question(policy), replace(PARAMS, max_tokens=40)
    both = [policy.sample(prompt, params, 3) for params in (by(SCHEMAS["an object"]), free)]
    together = await asyncio.gather(*both)
    for samples, params in zip(together, (by(SCHEMAS["an object"]), free), strict=True):
        assert [s.token_ids for s in samples] == [s.token_ids for s in await policy.sample(prompt, params, 3)]


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"type": "string", "pattern": "("}, {"$ref": "#/nowhere"}])
async def test_a_schema_that_cannot_be_sampled_by_is_refused(policy: EmbeddedPolicy, schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="Nothing can be sampled by this JSON schema"):
        await policy.sample(question(policy), by(schema))
    await policy.sample(question(policy), replace(PARAMS, max_tokens=4))
