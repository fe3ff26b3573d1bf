"""What clients of the Responses API may send, as the chat request that it comes to. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.doors.errors import ApiError
from agent.doors.rest.requests import MODEL, NAME, ChatRequest, NamedSchema, Text, refuse_unsupported
from tools.toolbox import without_surrogates

RESPONSE_ID = r"^resp_[A-Za-z0-9_-]{1,64}$"
Id = Annotated[str, Field(max_length=256)]
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "developer"}
READ = ("input_text", "output_text", "text", "refusal")  # types of content that this model reads


class Item(BaseModel):
    """One of the conversation: a message, a call, what a call came to, or a thought."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=64)] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Text | Annotated[list[dict[str, Any]], Field(max_length=1_000)] | None = None
    call_id: Id = ""
    name: Annotated[str, Field(max_length=256)] = ""
    arguments: Text = "{}"
    output: Text | Annotated[list[dict[str, Any]], Field(max_length=1_000)] | None = None


class Tool(BaseModel):
    """A function of the client's."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(pattern=NAME)] | None = None
    description: Annotated[str, Field(max_length=20_000)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChosenTool(BaseModel):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=NAME)]


class Format(NamedSchema):
    type: Literal["text", "json_object", "json_schema"] = "text"


class TextConfig(BaseModel):
    model_config = ConfigDict(extra="allow")

    format: Format | None = None


class Reasoning(BaseModel):
    model_config = ConfigDict(extra="allow")

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "auto"] | None = None


class ResponseRequest(BaseModel):
    """``POST /v1/responses``."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _to_be_said_again(cls, value: Any) -> Any:
        """A response repeats what was asked, which has to be writable."""
        return without_surrogates(value)

    model: Annotated[str, Field(max_length=256)] = MODEL
    input: Text | Annotated[list[Item], Field(min_length=1, max_length=10_000)]
    instructions: Text | None = None
    previous_response_id: Annotated[str, Field(pattern=RESPONSE_ID)] | None = None
    background: bool | None = None  # go on when the client has gone
    stream: bool | None = None
    store: bool | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None  # not OpenAI's
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None

    def echoed(self) -> dict[str, Any]:
        """What a response repeats of its request."""
        repeated = ("model", "instructions", "previous_response_id", "background", "store", "tool_choice", "text",
                    "reasoning", "max_output_tokens", "temperature", "metadata", "tools",
                    "parallel_tool_calls")  # fmt: skip
        return {name: value for name, value in self.model_dump(by_alias=True).items() if name in repeated}


OFF: dict[str, Any] = {  # parameters that are not offered, and the values with which they say nothing
    "top_p": (None, 1), "top_logprobs": (None, 0), "conversation": (None,), "prompt": (None,),
    "truncation": (None, "disabled"), "max_tool_calls": (None,),
    "context_management": (None, []),
}  # fmt: skip


def as_chat(body: ResponseRequest) -> ChatRequest:
    """The same question as a chat request, without the instructions. Raises ``ApiError``."""
    refuse_unsupported(body, OFF, ResponseCreateParamsNonStreaming.__annotations__)
    form = body.text.format if body.text else None
    asked: dict[str, Any] = {
        "model": body.model,
        "messages": messages_of(body.input),
        "tools": [tool_of(tool, place) for place, tool in enumerate(body.tools)] if body.tools else None,
        "tool_choice": choice_of(body.tool_choice),
        "response_format": form and {"type": form.type, "json_schema": form.model_dump(by_alias=True)},
        "reasoning_effort": body.reasoning and body.reasoning.effort,
        "max_completion_tokens": body.max_output_tokens,
    }
    kept = ("temperature", "seed", "store", "metadata", "parallel_tool_calls")
    try:
        return ChatRequest.model_validate(asked | {name: getattr(body, name) for name in kept})
    except ValidationError as error:  # the name of a call, which an item has only if it is one
        raise ApiError(f"input: {error.errors()[0]['msg']}.", code="invalid_value", param="input") from error


def choice_of(chosen: str | ChosenTool | None) -> str | dict[str, Any] | None:
    if isinstance(chosen, ChosenTool):
        return {"type": "function", "function": {"name": chosen.name}}
    return chosen


def tool_of(tool: Tool, place: int) -> dict[str, Any]:
    if tool.type != "function" or tool.name is None:
        raise ApiError(
            f"A tool of the type {tool.type[:40]!r} is not offered; there are the agent's own, and functions of yours.",
            code="unsupported_tool",
            param=f"tools.{place}",
        )
    return {"type": "function", "function": tool.model_dump(include={"name", "description", "parameters"})}


def messages_of(sent: str | Sequence[Item]) -> list[dict[str, Any]]:
    """The items as messages: calls go to the message of the assistant before them; thoughts are not read again."""
    if isinstance(sent, str):
        return [{"role": "user", "content": sent}]
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(sent):
        match item.type:
            case "message" if item.role is not None:
                messages.append({"role": item.role, "content": read(item.content, f"input.{place}.content")})
            case "function_call":
                if not messages or messages[-1]["role"] != "assistant":
                    messages.append({"role": "assistant", "content": None})
                messages[-1].setdefault("tool_calls", []).append(call_of(item, place))
            case "function_call_output":
                said = read(item.output, f"input.{place}.output")
                messages.append({"role": "tool", "tool_call_id": item.call_id, "content": said})
            case "reasoning":
                pass
            case _:
                raise ApiError(
                    f"An item of the type {item.type[:40]!r} cannot be read, or lacks its role.",
                    code="unsupported_item",
                    param=f"input.{place}",
                )
    return messages


def call_of(item: Item, place: int) -> dict[str, Any]:
    try:
        arguments = json.loads(item.arguments)
    except (ValueError, RecursionError) as error:
        raise ApiError("The arguments are not valid JSON.", param=f"input.{place}.arguments") from error
    if not isinstance(arguments, dict):
        raise ApiError("The arguments are no JSON object.", param=f"input.{place}.arguments")
    return {"id": item.call_id, "function": {"name": item.name, "arguments": item.arguments}}


def read(content: str | Iterable[Mapping[str, Any]] | None, place: str) -> str:
    """The text of a content. Raises ``ApiError``."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for index, part in enumerate(content):
        text = part.get("text", part.get("refusal"))
        if part.get("type") not in READ or not isinstance(text, str):
            raise ApiError(
                f"A content of the type {str(part.get('type'))[:40]!r} cannot be read; this model reads text.",
                code="unsupported_content",
                param=f"{place}.{index}",
            )
        texts.append(text)
    return "\n".join(texts)
