"""A server that has what the conformance suite of MCP calls: of the same class as Ponder's own, served the same way.

What each tool, resource and prompt says is laid down by the suite's scenarios. By hand:
``python -m tests.agent.doors.mcp_server.fixture PORT``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    ClientCapabilities,
    Completion,
    CompletionArgument,
    CompletionContext,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    MissingRequiredClientCapabilityErrorData,
    PromptReference,
    ResourceTemplateReference,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import Field
from starlette.applications import Starlette

from agent.doors.keys import Keys
from agent.doors.mcp_server.over_http import over_http
from agent.doors.rest.entrance import Entrance

PAUSE = 0.05  # seconds, between two notifications of one call
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"  # a red pixel
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA=="  # silence
IMAGE = ImageContent(type="image", data=PNG, mime_type="image/png")
SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
DEFAULTS: Mapping[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{number}", "title": f"{nth} Option"} for number, nth in enumerate(("First", "Second"), 1)]
ENUMS: Mapping[str, Any] = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


def create_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("fixture", version="1", log_level="CRITICAL", tools=[described()])
    saying(server)
    telling(server)
    asking(server)
    ending_to_ask(server)
    showing(server)
    prompting(server)
    return server


def create_app(keys: Keys) -> Starlette:
    """The server at ``/mcp``, behind the entrance of the REST door."""
    server = create_server()
    routes = over_http(server, sessions=True)
    answer_what_was_removed(server)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(Entrance, keys=keys, local=True)
    return app


def content(*blocks: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(blocks))


def text(said: str) -> TextContent:
    return TextContent(type="text", text=said)


def resource(uri: str, mime_type: str, said: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=said))


def described() -> Tool:
    """A tool whose form uses what JSON Schema has had since 2020."""

    def json_schema_2020_12_tool() -> CallToolResult:
        """Tool with JSON Schema 2020-12 features"""
        return content(text("Called."))

    return Tool.from_function(json_schema_2020_12_tool).model_copy(update={"parameters": dict(SCHEMA)})


def saying(server: MCPServer[Any]) -> None:
    """Tools that answer at once."""

    @server.tool()
    def test_simple_text() -> CallToolResult:
        """A text."""
        return content(text("This is a simple text response for testing."))

    @server.tool()
    def test_image_content() -> CallToolResult:
        """An image."""
        return content(IMAGE)

    @server.tool()
    def test_audio_content() -> CallToolResult:
        """A sound."""
        return content(AudioContent(type="audio", data=WAV, mime_type="audio/wav"))

    @server.tool()
    def test_embedded_resource() -> CallToolResult:
        """A resource in the answer."""
        return content(resource("test://embedded-resource", "text/plain", "This is an embedded resource content."))

    @server.tool()
    def test_multiple_content_types() -> CallToolResult:
        """All of them."""
        data = json.dumps({"test": "data", "value": 123})
        return content(
            text("Multiple content types test:"),
            IMAGE,
            resource("test://mixed-content-resource", "application/json", data),
        )

    @server.tool()
    def test_error_handling() -> CallToolResult:
        """An error."""
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool()
    def test_header_parameter(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    ) -> CallToolResult:
        """A parameter that is in a header too."""
        return content(text(region))

    @server.tool()
    def test_missing_capability(context: Context) -> CallToolResult:
        """For clients that can sample only."""
        capabilities = context.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            needed = ClientCapabilities(sampling=SamplingCapability())
            data = MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "This tool needs a client that can sample.",
                data.model_dump(by_alias=True, exclude_none=True),
            )
        return content(text("The client can sample."))


def telling(server: MCPServer[Any]) -> None:
    """Tools that tell of something on their way."""

    @server.tool()
    async def test_tool_with_logging(context: Context) -> CallToolResult:
        """Three lines of a log."""
        await context.info("Tool execution started")
        await asyncio.sleep(PAUSE)
        await context.info("Tool processing data")
        await asyncio.sleep(PAUSE)
        await context.info("Tool execution completed")
        return content(text("Three lines were logged."))

    @server.tool()
    async def test_logging_tool(context: Context) -> CallToolResult:
        """A line of a log, for who asked for the log."""
        await context.info("Called")
        return content(text("A line was logged."))

    @server.tool()
    async def test_tool_with_progress(context: Context) -> CallToolResult:
        """Nothing, half, all."""
        await context.report_progress(0, 100)
        await asyncio.sleep(PAUSE)
        await context.report_progress(50, 100)
        await asyncio.sleep(PAUSE)
        await context.report_progress(100, 100)
        return content(text("It is done."))

    @server.tool()
    async def test_trigger_tool_change(context: Context) -> CallToolResult:
        """The tools are said to be others."""
        await context.notify_tools_changed()
        return content(text("It was told."))

    @server.tool()
    async def test_trigger_prompt_change(context: Context) -> CallToolResult:
        """The prompts are said to be others."""
        await context.notify_prompts_changed()
        return content(text("It was told."))


def asking(server: MCPServer[Any]) -> None:
    """Tools that ask the client in the middle of the call, as before 2026-07-28."""

    async def elicited(context: Context, message: str, properties: Mapping[str, Any], required: list[str]) -> str:
        form = {"type": "object", "properties": dict(properties), "required": required}
        said = await context.session.elicit_form(message, form, related_request_id=context.request_id)
        return f"action={said.action}, content={json.dumps(said.content)}"

    @server.tool()
    async def test_sampling(context: Context, prompt: str) -> CallToolResult:
        """What the client's model says."""
        capabilities = context.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            raise ToolError("The client has no model.")
        said = await context.session.create_message(
            [SamplingMessage(role="user", content=text(prompt))],
            max_tokens=100,
            related_request_id=context.request_id,
        )
        return content(text(f"LLM response: {sampled(said)}"))

    @server.tool()
    async def test_elicitation(context: Context, message: str) -> CallToolResult:
        """What the person at the client says."""
        capabilities = context.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            raise ToolError("The client has nobody to ask.")
        properties = {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        }
        return content(text(f"User response: {await elicited(context, message, properties, [*properties])}"))

    @server.tool()
    async def test_elicitation_sep1034_defaults(context: Context) -> CallToolResult:
        """A form that is filled in already."""
        said = await elicited(context, "Is this right?", DEFAULTS, [])
        return content(text(f"Elicitation completed: {said}"))

    @server.tool()
    async def test_elicitation_sep1330_enums(context: Context) -> CallToolResult:
        """A form with every kind of choice."""
        return content(text(f"Elicitation completed: {await elicited(context, 'Choose.', ENUMS, [])}"))


# --- from 2026-07-28 on: a call asks by ending ------------------------------------------------------------------------


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    wanted = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=wanted))


def sample(prompt: str, max_tokens: int) -> CreateMessageRequest:
    said = SamplingMessage(role="user", content=text(prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=max_tokens))


def sampled(given: object) -> str | None:
    if isinstance(given, CreateMessageResult) and isinstance(given.content, TextContent):
        return given.content.text
    return None


def filled(context: Context, key: str, field: str) -> object:
    """What a person wrote into the field of a form; None where they did not."""
    given = (context.input_responses or {}).get(key)
    if isinstance(given, ElicitResult) and given.action == "accept":
        return (given.content or {}).get(field)
    return None


def roots(context: Context, key: str) -> list[str] | None:
    given = (context.input_responses or {}).get(key)
    return [str(root.uri) for root in given.roots] if isinstance(given, ListRootsResult) else None


def wanting(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def ending_to_ask(server: MCPServer[Any]) -> None:
    """Tools that end with what they want to know, and are called again with it."""

    @server.tool()
    def test_input_required_result_elicitation(context: Context) -> CallToolResult | InputRequiredResult:
        """A name is asked for."""
        if (name := filled(context, "user_name", "name")) is None:
            return wanting(user_name=form("What is your name?", "name"))
        return content(text(f"Hello, {name}!"))

    @server.tool()
    def test_streaming_elicitation(context: Context) -> CallToolResult | InputRequiredResult:
        """A name is asked for, and nothing else is in the stream."""
        return test_input_required_result_elicitation(context)

    @server.tool()
    def test_input_required_result_sampling(context: Context) -> CallToolResult | InputRequiredResult:
        """The client's model is asked."""
        if (said := sampled((context.input_responses or {}).get("capital_question"))) is None:
            return wanting(capital_question=sample("What is the capital of France?", 100))
        return content(text(said))

    @server.tool()
    def test_input_required_result_list_roots(context: Context) -> CallToolResult | InputRequiredResult:
        """The client's folders are asked for."""
        if (found := roots(context, "client_roots")) is None:
            return wanting(client_roots=ListRootsRequest())
        return content(text(f"Roots: {', '.join(found)}"))

    @server.tool()
    def test_input_required_result_request_state(context: Context) -> CallToolResult | InputRequiredResult:
        """A state comes back."""
        if context.request_state != "asked" or filled(context, "confirm", "ok") is None:
            return wanting("asked", confirm=form("Please confirm", "ok", "boolean"))
        return content(text("state-ok"))

    @server.tool()
    def test_input_required_result_tampered_state(context: Context) -> CallToolResult | InputRequiredResult:
        """A state that somebody changed does not come so far."""
        return test_input_required_result_request_state(context)

    @server.tool()
    def test_input_required_result_multiple_inputs(context: Context) -> CallToolResult | InputRequiredResult:
        """Three things are asked at once."""
        name, found = filled(context, "user_name", "name"), roots(context, "client_roots")
        greeting = sampled((context.input_responses or {}).get("greeting"))
        if name is None or greeting is None or found is None:
            return wanting(
                "asked",
                user_name=form("What is your name?", "name"),
                greeting=sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return content(text(f"{greeting} {name}, of {', '.join(found)}"))

    @server.tool()
    def test_input_required_result_multi_round(context: Context) -> CallToolResult | InputRequiredResult:
        """Two things are asked, one after the other."""
        name, color = filled(context, "step1", "name"), filled(context, "step2", "color")
        if context.request_state is not None and color is not None:
            return content(text(f"{json.loads(context.request_state)['name']} likes {color}."))
        if name is not None:
            step = form("Step 2: What is your favorite color?", "color")
            return wanting(json.dumps({"round": 2, "name": name}), step2=step)
        return wanting(json.dumps({"round": 1}), step1=form("Step 1: What is your name?", "name"))

    @server.tool()
    def test_input_required_result_capabilities(context: Context) -> CallToolResult | InputRequiredResult:
        """What the client can do is asked of it, nothing else."""
        capabilities = context.client_capabilities or ClientCapabilities()
        wanted: dict[str, InputRequest] = {}
        if capabilities.elicitation is not None:
            wanted["user_name"] = form("What is your name?", "name")
        if capabilities.sampling is not None:
            wanted["greeting"] = sample("Generate a greeting", 50)
        if not wanted or context.input_responses:
            return content(text("There is nothing to ask."))
        return InputRequiredResult(input_requests=wanted)

    @server.prompt()
    def test_input_required_result_prompt(context: Context) -> str | InputRequiredResult:
        """A prompt that asks for its context."""
        if (said := filled(context, "user_context", "context")) is None:
            return wanting(user_context=form("What context should the prompt use?", "context"))
        return f"Use this context: {said}"


# --- resources, prompts, and what 2026-07-28 removed ------------------------------------------------------------------


def showing(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """An image."""
        return b64decode(PNG)

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """A text to subscribe to."""
        return "This is the content of the watched resource."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        """A text made of a part of its address."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def prompting(server: MCPServer[Any]) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """A text."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """A text with what it is given."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:
        """A resource."""
        given = resource(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(given), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[Message]:
        """An image."""
        return [UserMessage(IMAGE), UserMessage("Please analyze the image above.")]

    @server.completion()
    async def completed(
        ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, _: CompletionContext | None
    ) -> Completion:
        found = [word for word in ("paris", "park", "party") if word.startswith(argument.value)]
        return Completion(values=found, total=len(found), has_more=False)


def answer_what_was_removed(server: MCPServer[Any]) -> None:
    """The methods of the older handshake, which the server's class has no decorators for."""
    watched: set[str] = set()

    async def set_level(_: object, __: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    async def subscribe(_: object, params: SubscribeRequestParams) -> EmptyResult:
        watched.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(_: object, params: UnsubscribeRequestParams) -> EmptyResult:
        watched.discard(str(params.uri))
        return EmptyResult()

    beneath = server.session_manager.app
    beneath.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    beneath.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    beneath.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        uvicorn.run(create_app(Keys(Path(folder))), port=int(sys.argv[1]), log_level="warning")
