"""What clients of the chat completions may send, and what of it becomes a question. Pure.

Names and limits are OpenAI's. What this server cannot do as asked, and what nobody knows, is refused by its name; what
changes no answer (``user``, ``service_tier``) is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import BaseModel, ConfigDict, Field

from agent.doors.errors import ApiError, unsupported
from agent.effort import Effort
from agent.opening import SYSTEM
from agent.records import Supplied
from agent.run import Ask
from agent.search.attempts import BestOfN

MODEL = "ponder"
EFFORTS = {  # OpenAI's names, and ours
    "none": "low", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max",
    "auto": "auto",
}  # fmt: skip
NAME = r"^[A-Za-z0-9_.-]{1,64}$"
Text = Annotated[str, Field(max_length=2_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=1_000)]


class Part(BaseModel):
    """A part of a message's content."""

    type: str
    text: Text | None = None


class Function(BaseModel):
    name: Annotated[str, Field(pattern=NAME)]
    arguments: Text = "{}"


class Call(BaseModel):
    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class Message(BaseModel):
    """One of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[Part], Field(max_length=1_000)] | None = None
    tool_calls: Annotated[list[Call], Field(max_length=128)] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None


class FunctionTool(BaseModel):
    name: Annotated[str, Field(pattern=NAME)]
    description: Annotated[str, Field(max_length=20_000)] | None = None
    parameters: dict[str, Any] | None = None


class CallersTool(BaseModel):
    """A tool that the client has: its calls are given to the client."""

    type: Literal["function"]
    function: FunctionTool


class NamedSchema(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(pattern=NAME)] = "answer"
    description: Text | None = None
    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """In which form the answer is written."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: NamedSchema | None = None


class ChosenFunction(BaseModel):
    name: Annotated[str, Field(pattern=NAME)]


class ChosenTool(BaseModel):
    """One of the client's tools, which has to be called."""

    type: Literal["function"]
    function: ChosenFunction


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """``POST /v1/chat/completions``."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    model: Annotated[str, Field(max_length=256)] = MODEL
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "auto"] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tools: Annotated[list[CallersTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    store: bool | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


OFF: dict[str, Any] = {  # parameters that are not offered, and the values with which they say nothing
    "top_p": (None, 1), "frequency_penalty": (None, 0), "presence_penalty": (None, 0), "logit_bias": (None, {}),
    "logprobs": (None, False), "top_logprobs": (None, 0), "audio": (None,), "modalities": (None, ["text"]),
    "functions": (None, []),
    "function_call": (None, "none", "auto"), "web_search_options": (None,),
}  # fmt: skip


def asked(
    body: ChatRequest, default: Ask, efforts: Mapping[str, Effort], earlier: Sequence[Mapping[str, Any]] = ()
) -> tuple[str, Ask]:
    """The question, and how it is to be answered. ``earlier`` are messages before those of the body.

    Raises ``ApiError``.
    """
    refuse_unsupported(body, OFF, CompletionCreateParamsNonStreaming.__annotations__)
    messages = [*map(dict, earlier), *(plain(message, place) for place, message in enumerate(body.messages))]
    question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    if not question.strip():
        raise ApiError("No message of a user says anything; ask a question.", code="empty_question", param="messages")
    if messages[-1]["role"] not in ("user", "tool", *SYSTEM):
        raise ApiError("The last message is the assistant's; end with a user's.", param="messages")
    tools = [] if body.tool_choice == "none" else body.tools or []
    schemas = tuple(tool.model_dump(exclude_none=True) for tool in tools)
    metadata = dict(default.metadata) | ({"client": dict(body.metadata)} if body.metadata else {})
    metadata |= {"train": "no"} if body.store is False else {}
    effort = effort_of(body, default.effort, efforts)
    supplied = Supplied(tuple(messages), schemas, *form_of(body), body.parallel_tool_calls is False)
    return question, replace(default, effort=effort, seed=body.seed, metadata=metadata, supplied=supplied)


def form_of(body: ChatRequest) -> tuple[str, bool]:
    """The schema that the answer is written by, "" for none; and whether it is that of a call of the client's tools.

    Raises ``ApiError``.
    """
    wanted = callable_tools(body)
    asked = body.response_format
    if not wanted and (asked is None or asked.type == "text"):
        return "", False
    if body.n is not None and body.n > 1:
        raise ApiError("Several choices cannot be written by a schema; leave n out.", code="unsupported", param="n")
    if wanted:
        return json.dumps(checked({"anyOf": [call_schema(tool.function) for tool in wanted]}, "tools")), True
    assert asked is not None
    if asked.type == "json_object":
        return json.dumps({"type": "object"}), False
    if asked.json_schema is None or asked.json_schema.json_schema is None:
        raise ApiError("Give the schema that the answer is to have.", param="response_format.json_schema.schema")
    return json.dumps(checked(asked.json_schema.json_schema, "response_format.json_schema.schema")), False


def checked(schema: dict[str, Any], param: str) -> dict[str, Any]:
    """A schema that is one. Raises ``ApiError``."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        said = getattr(error, "message", "too deep")[:200]
        raise ApiError(f"The schema is no JSON schema: {said}.", param=param) from error
    return schema


def callable_tools(body: ChatRequest) -> list[CallersTool]:
    """Of which one has to be called; none where none has to. Raises ``ApiError``."""
    if body.tool_choice in (None, "none", "auto"):
        return []
    name = body.tool_choice.function.name if isinstance(body.tool_choice, ChosenTool) else None
    found = [tool for tool in body.tools or () if name in (None, tool.function.name)]
    if not found:
        raise ApiError("There is no such tool to be called; send it in tools.", param="tool_choice")
    return found


def call_schema(tool: FunctionTool) -> dict[str, Any]:
    """Of a call of that tool, as a model writes one."""
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": tool.parameters or {"type": "object"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def effort_of(body: ChatRequest, default: Effort, efforts: Mapping[str, Effort]) -> Effort:
    """By ``reasoning_effort``, else by the model's name, else the default; within the request's limits.

    ``n`` choices are that many attempts of one run.
    """
    named = body.model.removeprefix(f"{MODEL}-")
    name = body.reasoning_effort or (named if named in EFFORTS else None)
    effort = efforts[EFFORTS[name]] if name else default
    if body.n is not None and body.n > 1:
        effort = replace(effort, strategy=BestOfN(body.n))
    if body.temperature is not None:
        effort = replace(effort, temperature=body.temperature)
    most = body.max_completion_tokens or body.max_tokens
    return effort if most is None else replace(effort, budget=replace(effort.budget, sample_tokens=most))


def refuse_unsupported(body: BaseModel, off: Mapping[str, Any], known: Collection[str]) -> None:
    """What is not offered, and what OpenAI does not know: a slip in a name would go unseen. Raises ``ApiError``."""
    for name, value in (body.model_extra or {}).items():
        if name not in known:
            raise unsupported(name[:64], "is no parameter of this request; correct its name, or leave it out.")
        if name in off and value not in off[name]:
            raise unsupported(name, "is not offered here; leave it out.")


def plain(message: Message, place: int) -> dict[str, Any]:
    """A message with its content as one text and its calls' arguments as objects. Raises ``ApiError``."""
    shown: dict[str, Any] = {"role": message.role, "content": text_of(message, place)}
    if message.tool_calls:
        made = enumerate(message.tool_calls)
        shown["tool_calls"] = [call_of(call, f"messages.{place}.tool_calls.{i}") for i, call in made]
    if message.tool_call_id is not None:
        shown["tool_call_id"] = message.tool_call_id
    return shown


def text_of(message: Message, place: int) -> str:
    parts: Sequence[Part] = message.content if isinstance(message.content, list) else ()
    for i, part in enumerate(parts):
        if part.type != "text" or part.text is None:
            raise ApiError(
                f"A content of the type {part.type[:40]!r} cannot be read; this model reads text.",
                code="unsupported_content",
                param=f"messages.{place}.content.{i}",
            )
    whole = message.content if isinstance(message.content, str) else ""
    return "\n".join(part.text or "" for part in parts) or whole


def call_of(call: Call, place: str) -> dict[str, Any]:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ApiError("The arguments of a call are not valid JSON.", param=f"{place}.function.arguments") from error
    if not isinstance(arguments, dict):
        raise ApiError("The arguments of a call are no JSON object.", param=f"{place}.function.arguments")
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}
