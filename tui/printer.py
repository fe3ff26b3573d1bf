"""The stream of events as lines of text, for ``ponder ask`` and the plain ``ponder chat``. Not the terminal app.

Every line begins with the candidate it is about, so that attempts that grow side by side stay readable.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from agent import events
from agent.records import Path, Run

AGAIN = 1.0  # seconds in which the same reason to ask again is shown once
SHOWN = 300  # characters of a tool's output that a line shows; the log has all of it


class Printer:
    """Writes events to a console as they come; deltas are held back until their line is whole."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pending: dict[tuple[Path, str], str] = {}
        self.told: dict[str, float] = {}  # why a model is asked again -> until when that is known
        self.asks_nobody = True  # else who asks shows the question, too
        self.waiting: list[events.Event] | None = None  # what is shown when a person has answered

    @contextmanager
    def held(self) -> Iterator[None]:
        """What happens in the block is shown after it."""
        self.flush()
        self.waiting = []
        try:
            yield
        finally:
            late, self.waiting = self.waiting, None
            for event in late:
                self.show(event)

    def show(self, event: events.Event) -> None:
        if self.waiting is not None:
            self.waiting.append(event)
            return
        match event:
            case events.ThreadSummarised(run_id, questions):
                text = f"The first {questions} questions were summed up, to make room (run {run_id})."
                self.console.print(Text(text, "dim"))
            case events.ThoughtDelta(path, text):
                self.delta(path, text, "dim italic")
            case events.AnswerDelta(path, text):
                self.delta(path, text, "")
            case events.ApprovalNeeded(path, _, name, arguments, why) if self.asks_nobody:
                self.flush()
                self.line(path, f"? {name}({arguments_text(arguments)}): {on_a_line(why)}", "yellow")
            case events.ApprovalGiven(path, _, approved, comment):
                said = f": {comment}" if comment else ""
                self.line(path, f"{'agreed' if approved else 'declined'}{said}", "yellow")
            case events.ToolStarted(path, _, name, arguments):
                self.flush()
                self.line(path, f"→ {name}({arguments_text(arguments)})", "cyan")
            case events.ToolFinished(path, _, result):
                tier = f" [{result.sandbox_tier}]" if result.sandbox_tier else ""
                style = "red" if result.error is not None else "green"
                name = f"{on_a_line(result.name)}: " if result.error is not None else ""
                self.line(path, f"← {name}{shortened(result.text)}{tier} ({result.seconds:.2f} s)", style)
                for passage in result.passages:
                    self.line(path, f"   {on_a_line(passage.source)}:{passage.start}-{passage.end}", "blue")
            case events.Repaired(path, ending, note):
                self.flush()
                self.line(path, f"! {ending.value}: {note}", "yellow")
            case events.Retrying(path, reason, seconds):
                self.retrying(path, reason, seconds)
            case events.CandidateFinished(path, ending, _, tokens):
                self.flush()
                self.line(path, f"■ {ending.value}, {tokens} tokens", "bold")
            case events.Scored(path, score, verdicts):
                parts = ", ".join(f"{v.verifier} {scored(v.score)}" for v in verdicts) or "no verdict"
                self.line(path, f"  score {scored(score)} ({parts})", "magenta")
            case events.Selected(path, reason):
                self.line(path, f"✓ chosen: {reason}", "bold green")
            case _:
                pass

    def retrying(self, path: Path, reason: str, seconds: float) -> None:
        """Once in each pause: attempts that grow side by side all have the same to say."""
        now = time.monotonic()
        if now >= self.told.get(reason, now):
            self.told[reason] = now + max(seconds, AGAIN)
            self.flush()
            self.line(path, f"! {reason} Asked again{f' in {seconds:.0f} s' if seconds >= 1 else ''}.", "yellow")

    def delta(self, path: Path, text: str, style: str) -> None:
        *lines, rest = (self.pending.pop((path, style), "") + text).split("\n")
        for whole in lines:
            self.line(path, whole, style)
        if rest:
            self.pending[path, style] = rest

    def flush(self) -> None:
        """Print what no newline has ended yet."""
        for (path, style), text in self.pending.items():
            self.line(path, text, style)
        self.pending.clear()

    def line(self, path: Path, text: str, style: str) -> None:
        if text.strip():
            self.console.print(Text(f"{path[0] + 1:>2}│ ", "dim") + Text(printable(text), style))

    def ending(self, run: Run) -> None:
        """The answer, and what it cost."""
        self.flush()
        if run.answer is not None:
            self.console.print()
            self.console.print(Text(printable(run.answer), "bold"))
        if doubt := doubt_of(run):
            self.console.print(Text(doubt, "yellow"))
        if run.error:
            self.console.print(Text(printable(run.error), "yellow"))
        self.console.print(Text(summary(run), "dim"))


def scored(score: float | None) -> str:
    """That there is none is said, for it does not count as a zero."""
    return "none" if score is None else f"{score:.2f}"


def doubt_of(run: Run) -> str:
    """A sentence where fewer than half of the attempts agree with the answer that was chosen."""
    for verdict in run.verdicts:
        if verdict.verifier == "consensus" and verdict.score is not None and verdict.score < 0.5:
            return f"Probably wrong: {verdict.reason}"
    return ""


def summary(run: Run) -> str:
    """Two lines: what was sampled, how fast it came, and whose it is."""
    usage = run.usage
    rate = f", {usage.sampled_tokens / usage.seconds:.0f} tokens/s" if usage.seconds else ""
    attempts = len({node.path[0] for node in run.nodes})
    cost = (
        f"{usage.sampled_tokens} tokens sampled, {usage.thought_tokens} of them thought, "
        f"in {attempts} attempt{'s' * (attempts != 1)}, {usage.tool_calls} tool call{'s' * (usage.tool_calls != 1)}, "
        f"{usage.seconds:.1f} s{rate}"
    )
    cost += f", {usage.verifier_tokens} tokens read by verifiers" if usage.verifier_tokens else ""
    cost += f", {usage.cost:.4g} in money" if usage.cost else ""
    cost += f"\n{latency(run)}" if usage.sampled_tokens else ""
    return f"{cost} · {printable(str(run.policy))} · run {run.run_id}"


def latency(run: Run) -> str:
    """Time to the first token of the run, and the mean time of every other token of a sample."""
    samples = [node.sample for node in run.nodes if node.sample.token_ids]
    later = sum(len(sample.token_ids) - 1 for sample in samples)
    seconds = sum(sample.total_seconds - sample.first_token_seconds for sample in samples)
    each = f", then {1000 * seconds / later:.1f} ms each" if later else ""
    prompts = f"prompts of {run.usage.prompt_tokens:,} tokens, {run.usage.cached_prompt_tokens:,} of them cached"
    return f"first token after {samples[0].first_token_seconds:.2f} s{each} · {prompts}"


def arguments_text(arguments: Mapping[str, object] | str) -> str:
    if isinstance(arguments, str):
        return shortened(arguments)
    if len(arguments) == 1:
        return shortened(str(next(iter(arguments.values()))))
    return shortened(", ".join(f"{key}={value!r}" for key, value in arguments.items()))


def on_a_line(text: str) -> str:
    """So that what somebody else wrote cannot look like a line of ours."""
    return re.sub(r"[ \t]{2,}", " ", " ⏎ ".join(text.splitlines()))


def shortened(text: str) -> str:
    text = on_a_line(text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… (+{len(text) - SHOWN} characters)"


def printable(text: str) -> str:
    """Without what could move the cursor or restyle the terminal: control, format and private-use characters."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text)
