"""A question and what came of it, as a person looks at it: attempts of steps, grown by events or read from the log.

No screen is known here: ``widgets`` draw it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent import events
from agent.records import Ending, Path, Run
from retrieval.passage import Passage
from tools.tool import ToolResult
from verifiers.verdict import Verdict


@dataclass(slots=True)
class Card:
    """A call of a tool."""

    name: str
    arguments: Mapping[str, object] | str
    result: ToolResult | None = None  # None: under way


@dataclass(slots=True)
class Step:
    """A node of the tree."""

    path: Path
    thought: str = ""
    text: str = ""
    cards: dict[int, Card] = field(default_factory=dict)  # by which of the step's calls
    notes: list[str] = field(default_factory=list)  # repairs, and why the model was asked again
    score: float | None = None
    verdicts: tuple[Verdict, ...] = ()
    ending: Ending | None = None  # None: under way


@dataclass(slots=True)
class Attempt:
    """What one leaf of the tree comes to, from the first step on."""

    leaf: Path
    steps: list[Step]

    @property
    def score(self) -> float | None:
        return self.steps[-1].score

    @property
    def answer(self) -> str:
        return self.steps[-1].text

    @property
    def under_way(self) -> bool:
        return self.steps[-1].ending is None

    @property
    def passages(self) -> list[Passage]:
        """What it found, [1] first."""
        results = (card.result for step in self.steps for card in step.cards.values())
        return [passage for result in results if result is not None for passage in result.passages]


@dataclass(slots=True)
class Turn:
    """A question, its tree so far, and how it ended."""

    question: str
    run: Run | None = None  # without nodes while it is under way
    steps: dict[Path, Step] = field(default_factory=dict)
    chosen: Path | None = None
    reason: str = ""  # why that one was chosen
    waiting: dict[str, events.ApprovalNeeded] = field(default_factory=dict)  # for a person's word, by its id
    done: bool = False
    began: float = field(default_factory=time.monotonic)
    first: float | None = None  # when the first token was there
    pieces: int = 0  # of text that came, a token each as a rule

    @classmethod
    def of(cls, run: Run) -> Turn:
        """One that has ended, or was left under way."""
        turn = cls(run.question, run, chosen=run.chosen, done=True)
        for node in sorted(run.nodes, key=lambda node: node.path):
            step = turn.step(node.path)
            step.thought, step.text, step.ending, step.verdicts = node.thought, node.text, node.ending, node.verdicts
            calls = enumerate(node.calls)
            step.cards = {i: Card(call["name"], call["arguments"]) for i, call in calls}
            for i, result in enumerate(node.tool_results):
                step.cards[i] = Card(result.name, result.arguments, result)
            step.notes = [node.note] if node.note else []
        return turn

    def step(self, path: Path) -> Step:
        return self.steps.setdefault(path, Step(path))

    @property
    def attempts(self) -> list[Attempt]:
        """By the order of their paths."""
        inner = {path[:-1] for path in self.steps}
        return [Attempt(path, self._steps_to(path)) for path in sorted(self.steps) if path not in inner]

    def _steps_to(self, leaf: Path) -> list[Step]:
        return [self.steps[leaf[:n]] for n in range(1, len(leaf) + 1) if leaf[:n] in self.steps]

    def take(self, event: events.Event) -> None:
        """What has happened now."""
        match event:
            case events.RunStarted(run):
                self.run = run
            case events.ThoughtDelta(path, text):
                self.step(path).thought += text
                self._came()
            case events.AnswerDelta(path, text):
                self.step(path).text += text
                self._came()
            case events.ToolStarted(path, index, name, arguments):
                self.step(path).cards[index] = Card(name, arguments)
            case events.ToolFinished(path, index, result):
                self.step(path).cards[index] = Card(result.name, result.arguments, result)
            case events.Repaired(path, ending, note):
                self.step(path).notes.append(f"{ending.value}: {note}")
            case events.Retrying(path, reason):
                self.step(path).notes.append(reason)
            case events.ApprovalNeeded(id=question):
                self.waiting[question] = event
            case events.ApprovalGiven(id=question):
                self.waiting.pop(question, None)
            case events.CandidateFinished(path, ending):
                self.step(path).ending = ending
            case events.Scored(path, score, verdicts):
                self.step(path).score, self.step(path).verdicts = score, verdicts
            case events.Selected(path, reason):
                self.chosen, self.reason = path, reason
            case events.Finished(run):
                self.end(run)
            case _:
                pass

    def _came(self) -> None:
        self.pieces += 1
        if self.first is None:
            self.first = time.monotonic()

    def end(self, run: Run) -> None:
        """As it stands in the log, with the scores that were told of."""
        logged = Turn.of(run)
        for path, step in logged.steps.items():
            if path in self.steps:
                step.score = self.steps[path].score
        self.run, self.steps, self.chosen, self.done = run, logged.steps, run.chosen, True
        self.waiting.clear()
