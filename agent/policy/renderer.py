"""Messages to ids and ids to messages, with a model's own chat template. The one place where text becomes tokens.

Text of people, documents, tools and clients never becomes a control token. Before the template sees a content, every
spelling of a control token in it is replaced by an unguessable stand-in; so the control tokens in the rendered text are
all the template's. It is cut at those, the stand-ins are put back, and what lies between is encoded by a copy of the
tokenizer that has no added tokens. Innocent messages get exactly the ids of ``apply_chat_template``: that too encodes
stretch by stretch between control tokens.

A trajectory is never rendered twice: its next prompt is the last one, plus the ids that were sampled, plus what
``tool_results`` or ``user_turn`` give. Not here: what a turn means (``reading``), and what to put in a prompt.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from agent.policy.policy import PolicyError
from agent.policy.reading import Marks, Reading, Splitter, read, runs

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

ROLES = ("system", "developer", "user", "assistant", "tool")
Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]


class RendererError(PolicyError):
    """The tokenizer cannot be used, or a message is not one."""


class TemplateError(RendererError):
    """The chat template fails, loses what it is given, or does not end turns with a control token."""


class Renderer:
    """A tokenizer and its chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        if not tokenizer.is_fast:
            raise RendererError("The model has no tokenizer.json; save its tokenizer in that format and load it again.")
        self.tokenizer = tokenizer
        self._plain = _without_added_tokens(tokenizer)
        self.controls: dict[str, int] = {token.content: id for id, token in tokenizer.added_tokens_decoder.items()}
        self._control_ids = frozenset(self.controls.values())
        self._at_controls = re.compile(f"({'|'.join(map(re.escape, sorted(self.controls, key=len, reverse=True)))})")
        self._parts = _Parts.of(self.controls)
        found = self.controls.get
        self.marks = Marks(found("<think>"), found("</think>"), found("<tool_call>"), found("</tool_call>"))
        self.marks = replace(self.marks, opens_thought=self._opens_thought())
        self.stop_token_ids = self._stops()
        self._ending_with: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, path_or_hub_name: str | PathLike[str]) -> Renderer:
        """The renderer of a model's folder, or of a name on the hub. Raises ``RendererError``."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(path_or_hub_name))
        except Exception as error:  # for a damaged file the tokenizers library raises just that
            sentence = (
                f"No tokenizer could be loaded from {path_or_hub_name}; give the folder or the hub name of the model"
            )
            raise RendererError(f"{sentence} (the hub is asked where there is no such folder).") from error
        return cls(tokenizer)

    # --- messages to ids ----------------------------------------------------------------------------------------------

    def start(self, messages: Messages, tools: Tools = ()) -> list[int]:
        """The prompt of a conversation, generation prompt included.

        A message has ``role`` and ``content``, an assistant's also ``reasoning_content`` and ``tool_calls`` as in
        OpenAI's API. Raises ``RendererError`` and ``TemplateError``.
        """
        guard = self._guard()
        return self._encode(self._render(guard, messages, tools), guard)

    def tool_results(self, texts: Sequence[str], after: Sequence[int] | None = None) -> list[int]:
        """What follows a sampled turn that called tools: the results in order, and the next generation prompt.

        ``after`` is the sampled turn; where it does not end with the end-of-turn token (it was cut, or stopped on
        another token), that comes first. Without ``after`` it is taken to end properly.
        """
        guard = self._guard()
        call = {"id": "call00000", "type": "function", "function": {"name": guard.mark, "arguments": {}}}
        results = [{"role": "tool", "content": text, "tool_call_id": "call00000"} for text in texts]
        return self._follow(guard, [{"role": "assistant", "tool_calls": [call]}, *results], after)

    def user_turn(self, text: str, after: Sequence[int] | None = None) -> list[int]:
        """What follows a sampled turn when a person, or a repair, speaks next; ``after`` as in ``tool_results``."""
        guard = self._guard()
        return self._follow(guard, [_marked_turn(guard), {"role": "user", "content": text}], after)

    def encode(self, text: str) -> list[int]:
        """The ids of a content; no control token whatever it spells."""
        return self._encode_plain(_encodable(text))

    def template_hash(self, tools: Tools = ()) -> str:
        """16 hex digits of the chat template and the tool schemas."""
        template = self.tokenizer.get_chat_template(tools=[dict(tool) for tool in tools] or None)
        return hashlib.sha256(json.dumps([template, list(tools)], sort_keys=True).encode()).hexdigest()[:16]

    # --- ids to messages ----------------------------------------------------------------------------------------------

    def read(self, token_ids: Sequence[int]) -> Reading:
        """Thought, text and calls of one sampled turn."""
        return read(token_ids, self.marks, self.decode)

    def thought_tokens(self, token_ids: Sequence[int], turn: Sequence[int] = ()) -> int:
        """How many sampled tokens are the turn's thought, without the marks around it; ``turn`` came before them."""
        before = self.thought_tokens(turn) if turn else 0
        whole = [*turn, *token_ids] if turn else token_ids
        return sum(len(run.token_ids) for run in runs(whole, self.marks) if run.kind == "thought") - before

    def thinking(self, token_ids: Sequence[int]) -> bool:
        """Whether a turn that has begun with these ids is inside its thought, or has none yet."""
        begun = runs(token_ids, self.marks)
        return begun[-1].kind == "thought" or (len(begun) == 1 and not self.decode(begun[0].token_ids).strip())

    def splitter(self, turn: Sequence[int] = ()) -> Splitter:
        """A decoder for one turn as it streams; ``turn`` is what has been streamed of it already."""
        splitter = Splitter(self.marks, self.decode)
        if turn:
            splitter.feed(turn)
        return splitter

    def ending_with(self, delimiter: str) -> tuple[int, ...]:
        """The ids of all tokens whose text ends with ``delimiter``, control tokens left out."""
        if delimiter not in self._ending_with:
            texts = ((id, self.decode([id])) for id in sorted(self.tokenizer.get_vocab().values()))
            ids = tuple(id for id, text in texts if text.endswith(delimiter) and id not in self._control_ids)
            self._ending_with[delimiter] = ids
        return self._ending_with[delimiter]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of ids, without the special tokens among them."""
        return self.tokenizer.backend_tokenizer.decode(list(token_ids), skip_special_tokens=True)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _render(self, guard: _Guard, messages: Messages, tools: Tools = (), prompt: bool = True) -> str:
        from jinja2 import TemplateError as JinjaError

        shown = [_message(message, guard) for message in messages]
        schemas = [guard.hide_inside(tool) for tool in tools]
        try:
            text = self.tokenizer.apply_chat_template(
                shown, tools=schemas or None, add_generation_prompt=prompt, tokenize=False
            )
        except (JinjaError, TypeError, ValueError) as error:
            raise TemplateError(f"The model's chat template refused the conversation ({error}).") from error
        assert isinstance(text, str)
        guard.check(text)
        if lost := [name for schema in schemas if (name := schema.get("function", schema).get("name", "")) not in text]:
            raise TemplateError(f"The model's chat template does not show tools ({lost[0]}); ask without tools.")
        return text

    def _guard(self) -> _Guard:
        return _Guard(self._at_controls, self._parts)

    def _follow(self, guard: _Guard, turns: Messages, after: Sequence[int] | None) -> list[int]:
        text = self._render(guard, [_QUESTION, *turns])
        ids = self._encode(text[self._turn_end(text, guard).start() :], guard)
        ended = after is None or list(after[-1:]) == ids[:1]
        return ids[1:] if ended else ids

    def _turn_end(self, text: str, guard: _Guard) -> re.Match[str]:
        """Where the control token stands that ends the turn in which the guard's mark stands."""
        marks = {self.marks.think, self.marks.end_think, self.marks.call, self.marks.end_call}
        place = text.find(guard.mark)
        for match in self._at_controls.finditer(text, place if place >= 0 else len(text)):
            if self.controls[match[0]] not in marks:
                return match
        raise TemplateError("The model's chat template does not end a turn with a control token; use another model.")

    def _encode(self, text: str, guard: _Guard) -> list[int]:
        ids: list[int] = []
        for place, stretch in enumerate(self._at_controls.split(text)):
            ids += [self.controls[stretch]] if place % 2 else self._encode_plain(guard.restore(stretch))
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        ids = self._plain.encode(text, add_special_tokens=False).ids
        if not self._control_ids.isdisjoint(ids):
            raise RendererError("This model's tokenizer makes control tokens out of plain text; use another model.")
        return ids

    def _opens_thought(self) -> bool:
        """Whether the generation prompt does so; on the way the template is checked on an innocent question."""
        ids = self.start([_QUESTION])
        if ids != self.tokenizer.apply_chat_template([_QUESTION], add_generation_prompt=True, return_dict=False):
            raise TemplateError(
                "This model's tokenizer does not encode a prompt stretch by stretch; use another model."
            )
        asked = self._render(self._guard(), [_QUESTION], prompt=False)
        opening = self._render(self._guard(), [_QUESTION])[len(asked) :]
        return self.marks.think is not None and opening.rfind("<think>") > opening.rfind("</think>")

    def _stops(self) -> tuple[int, ...]:
        """What ends an assistant's turn in the template, and the tokenizer's end of text."""
        guard = self._guard()
        text = self._render(guard, [_QUESTION, _marked_turn(guard)], prompt=False)
        ends = [self.controls[self._turn_end(text, guard)[0]], self.tokenizer.eos_token_id]
        return tuple(dict.fromkeys(id for id in ends if isinstance(id, int)))


# --- contents ---------------------------------------------------------------------------------------------------------

_QUESTION = {"role": "user", "content": "Is it so?"}


def _marked_turn(guard: _Guard) -> Mapping[str, Any]:
    return {"role": "assistant", "content": guard.mark}


class _Parts:
    """The pieces of control tokens that, at the edge of a content, could make one with the text beside it."""

    def __init__(self, beginnings: set[str], ends: set[str], inner: set[str]) -> None:
        self.beginnings, self.ends, self.inner = beginnings, ends, inner
        self.longest = max(map(len, inner), default=0)

    @classmethod
    def of(cls, controls: Mapping[str, int]) -> _Parts:
        beginnings = {token[:size] for token in controls for size in range(1, len(token))}
        ends = {token[size:] for token in controls for size in range(1, len(token))}
        return cls(beginnings, ends, {end[:size] for end in ends for size in range(1, len(end) + 1)} | beginnings)


class _Guard:
    """Stand-ins for what must not be read as a control token, for one rendering."""

    def __init__(self, at_controls: re.Pattern[str], parts: _Parts) -> None:
        self._at_controls = at_controls
        self._parts = parts
        self._nonce = _nonce()
        self._hidden: list[str] = []
        self._required: set[int] = set()
        self.mark = _nonce()  # stands in the turn whose end is looked for

    def hide(self, text: str, required: bool = True) -> str:
        """The text with stand-ins; where ``required`` the template may not leave them out."""
        text = _encodable(text)
        if text in self._parts.inner:
            return self._stand_in(text, required)
        sizes = range(min(len(text), self._parts.longest), 0, -1)
        head = next((size for size in sizes if text[:size] in self._parts.ends), 0)
        tail = next((size for size in sizes if text[-size:] in self._parts.beginnings), 0)
        middle = text[head : len(text) - tail]
        return "".join((
            self._stand_in(text[:head], required) if head else "",
            self._at_controls.sub(lambda match: self._stand_in(match[0], required), middle),
            self._stand_in(text[len(text) - tail :], required) if tail else "",
        ))  # fmt: skip

    def hide_inside(self, value: Any) -> Any:
        """``hide`` for every string in a JSON value, keys included."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide_inside(key): self.hide_inside(inner) for key, inner in value.items()}
        return [self.hide_inside(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def restore(self, text: str) -> str:
        first, *rest = text.split(self._nonce)
        return first + "".join(self._hidden[int(part[:_DIGITS])] + part[_DIGITS:] for part in rest)

    def check(self, text: str) -> None:
        """Raise ``TemplateError`` where the template did not leave the stand-ins as they were."""
        numbers = [part[:_DIGITS] for part in text.split(self._nonce)[1:]]
        whole = all(len(number) == _DIGITS and number.isdecimal() for number in numbers)
        if not whole or not self._required.issubset(map(int, numbers)):
            sentence = "The model's chat template leaves out or rewrites a part of the conversation; use another one."
            raise TemplateError(sentence)

    def _stand_in(self, original: str, required: bool) -> str:
        if required:
            self._required.add(len(self._hidden))
        self._hidden.append(original)
        return f"{self._nonce}{len(self._hidden) - 1:0{_DIGITS}d}"


_DIGITS = 9  # of a stand-in's number, after the nonce


def _nonce() -> str:
    """Digits: they survive case changes, trimming, JSON and HTML."""
    return str(secrets.randbits(128)).zfill(39)


def _message(message: Mapping[str, Any], guard: _Guard) -> dict[str, Any]:
    """The message with its contents guarded, and nothing in it that a template could take from elsewhere."""
    if message.get("role") not in ROLES:
        raise RendererError(f"A message's role is {message.get('role')!r}; it must be one of {', '.join(ROLES)}.")
    shown: dict[str, Any] = {"role": message["role"], "content": guard.hide(_text(message, "content"))}
    if message.get("reasoning_content"):  # templates drop old thoughts
        shown["reasoning_content"] = guard.hide(_text(message, "reasoning_content"), required=False)
    if message.get("tool_calls"):
        shown["tool_calls"] = [_tool_call(call, guard) for call in message["tool_calls"]]
    if message.get("tool_call_id"):
        shown["tool_call_id"] = guard.hide(_text(message, "tool_call_id"), required=False)
    return shown


def _tool_call(call: Mapping[str, Any], guard: _Guard) -> dict[str, Any]:
    function = call.get("function") or call
    hidden = {
        "name": guard.hide(_text(function, "name")),
        "arguments": guard.hide_inside(function.get("arguments", {})),
    }
    return {"id": guard.hide(str(call.get("id", "")), required=False), "type": "function", "function": hidden}


def _text(message: Mapping[str, Any], key: str) -> str:
    text = message.get(key)
    if text is not None and not isinstance(text, str):
        raise RendererError(f"A message's {key} is a {type(text).__name__}; it must be a string.")
    return text or ""


def _encodable(text: str) -> str:
    """Lone surrogates, which file names can hold and UTF-8 cannot, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _without_added_tokens(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    from tokenizers import Tokenizer

    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    definition["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(definition))
