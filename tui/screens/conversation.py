"""The conversation: questions and answers of one thread, and where the next one is typed."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Static

from agent.errors import PonderError
from agent.records import Feedback
from tui import commands
from tui.attaching import with_files
from tui.exporting import blocks_of_code, written
from tui.screens.approval import ApprovalScreen
from tui.screens.help import Help
from tui.screens.passage import PassageScreen
from tui.screens.sessions import Chosen, Sessions
from tui.turns import Turn
from tui.widgets.prompt import Prompt
from tui.widgets.step import plain
from tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from agent.events import Event
    from agent.records import Run
    from tui.source import Source

PAINT = 0.04  # seconds between two drawings of what has come
SHOWN = 50  # turns of a thread that are drawn; the log has all of them
EFFORTS = ("low", "medium", "high", "max", "auto")


class Conversation(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = list(commands.bindings())

    def __init__(self, source: Source, effort: str) -> None:
        super().__init__()
        self.source, self.effort = source, effort
        self.thread, self.learn = uuid.uuid4().hex[:12], True  # learn: whether trainings may take what is asked
        self.version = ""  # of the model that answers; "": it is being loaded
        self.queued: list[str] = []
        self.answering: asyncio.Task[None] | None = None
        self.asking = asyncio.Lock()  # of a person
        self.at: TurnView | None = None  # the turn that a person went to; None: the last

    def compose(self) -> ComposeResult:
        yield VerticalScroll(id="turns")
        yield Static("", id="queued", markup=False)
        yield Static("", id="matching", markup=False)
        yield Prompt()
        yield Static("", id="status", markup=False)

    def on_mount(self) -> None:
        self.turns.anchor()
        self.prompt.focus()
        self.tell()
        self.set_interval(0.25, self.tell)
        self.call_after_refresh(self.load)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def turns(self) -> VerticalScroll:
        return self.query_one("#turns", VerticalScroll)

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """After the first paint: the model takes its time."""
        try:
            self.version = await self.source.open()
        except PonderError as error:
            self.failed(error, 3600)
            return
        self.tell()
        self.next()

    def failed(self, error: Exception, seconds: float = 20) -> None:
        """A sentence where a person can act on it; a defect is raised."""
        if not isinstance(error, PonderError | OSError):
            raise error
        self.notify(str(error), severity="error", timeout=seconds, markup=False)

    # --- asking -------------------------------------------------------------------------------------------------------

    def on_prompt_sent(self, sent: Prompt.Sent) -> None:
        if sent.text.startswith("/"):
            command, argument = commands.read(sent.text)
            if command is None:
                self.notify(f"There is no {sent.text.split()[0]}; F1 shows what there is.", markup=False)
            else:
                self.action_do(command.name, argument)
            return
        self.queued.append(sent.text)
        self.next()

    def on_text_area_changed(self) -> None:
        """What a slash command may become."""
        text = self.prompt.text
        found = commands.matching(text) if text.startswith("/") and "\n" not in text else []
        shown = self.query_one("#matching", Static)
        shown.update(plain("\n".join(f"/{each.name} {each.takes}  {each.said}" for each in found[:6])))
        shown.display = bool(found)

    def next(self) -> None:
        """Ask what waits, where nothing is being answered."""
        if self.version and self.queued and self.answering is None:
            self.answering = asyncio.create_task(self.answer(self.queued.pop(0)))
            self.answering.add_done_callback(self.answered)
        waiting = self.query_one("#queued", Static)
        waiting.update(plain("\n".join(f"waits: {question}" for question in self.queued)))
        waiting.display = bool(self.queued)

    def answered(self, task: asyncio.Task[None]) -> None:
        self.answering = None
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, Exception)
            self.failed(error)
        if self.is_running:
            self.next()

    async def answer(self, question: str) -> None:
        turn = Turn(with_files(question, Path()))
        view = await self.drawn(turn)
        painting = asyncio.create_task(self.painted(view))
        try:
            happening = self.source.ask(turn.question, self.thread, self.effort, self.learn)
            async with aclosing(happening):
                async for event in happening:
                    self.take(turn, event)
        finally:
            painting.cancel()
            if not turn.done and turn.run is not None:
                turn.end(await self.source.run(turn.run.run_id))
            turn.done = True
            turn.waiting.clear()
            self.asked(turn)
            await view.show()
            self.tell()

    async def drawn(self, turn: Turn) -> TurnView:
        view = TurnView(turn)
        await self.turns.mount(view)
        drawn = list(self.query(TurnView))
        for old in drawn[:-SHOWN]:
            await old.remove()
        self.go_to(None)
        return view

    def take(self, turn: Turn, event: Event) -> None:
        known = set(turn.waiting)
        turn.take(event)
        for question in turn.waiting.keys() - known:
            self.ask_person(turn, question)
        if known - turn.waiting.keys():  # one was answered, or taken back
            self.asked(turn)

    @work
    async def ask_person(self, turn: Turn, question: str) -> None:
        """One thing at a time: what comes while another is asked waits."""
        async with self.asking:
            if (needed := turn.waiting.get(question)) is None:
                return
            word = await self.app.push_screen_wait(ApprovalScreen(needed))
            if word is not None:
                self.source.give(question, word)

    def asked(self, turn: Turn) -> None:
        screen = self.app.screen
        if isinstance(screen, ApprovalScreen) and screen.needed.id not in turn.waiting:
            screen.dismiss(None)

    async def painted(self, view: TurnView) -> None:
        """Draws what has come, some times a second: a token at a time would be too much."""
        while True:
            await view.show()
            self.tell()
            await asyncio.sleep(PAINT)

    # --- commands -----------------------------------------------------------------------------------------------------

    @work
    async def action_do(self, name: str, argument: str = "") -> None:
        try:
            await getattr(self, f"do_{name}")(argument)
        except (PonderError, OSError) as error:
            self.failed(error)

    async def do_stop(self, _: str) -> None:
        if self.answering is not None:
            self.answering.cancel()

    async def do_effort(self, name: str) -> None:
        known = [each for each in EFFORTS if each.startswith(name)] if name else []
        self.effort = known[0] if known else EFFORTS[(EFFORTS.index(self.effort) + 1) % len(EFFORTS)]
        self.tell()

    async def do_thought(self, _: str) -> None:
        if (view := self.turn) is not None:
            view.fold()

    async def do_attempt(self, which: str) -> None:
        if (view := self.turn) is None:
            return
        if which in ("+", "-"):
            await view.beside(1 if which == "+" else -1)
        elif not (which.isdigit() and await view.look_at(int(which))):
            self.notify(f"There are {len(view.turn.attempts)} attempts here.")

    async def do_turn(self, which: str) -> None:
        views = list(self.query(TurnView))
        if not views:
            return
        now = views.index(self.turn) if self.turn in views else len(views) - 1
        wanted = (
            now + (1 if which == "+" else -1) if which in ("+", "-") else int(which) - 1 if which.isdigit() else now
        )
        self.go_to(views[min(max(wanted, 0), len(views) - 1)])

    def go_to(self, view: TurnView | None) -> None:
        views = list(self.query(TurnView))
        self.at = None if view is None or view is views[-1] else view
        for each in views:
            each.set_class(each is self.at, "at")
        if view is not None:
            view.scroll_visible(animate=False, top=True)

    @property
    def turn(self) -> TurnView | None:
        """The one that commands are about."""
        views = list(self.query(TurnView))
        return self.at if self.at in views else views[-1] if views else None

    def logged(self) -> Run | None:
        """The run of that turn; None, and said so, where it has none yet."""
        view = self.turn
        if view is None or view.turn.run is None or not view.turn.done:
            self.notify("There is no answer yet.")
            return None
        return view.turn.run

    async def do_source(self, number: str) -> None:
        attempt = self.turn.attempt if self.turn else None
        if attempt is None or not attempt.passages:
            self.notify("This answer looked nothing up.")
            return
        passages = attempt.passages
        documents = await self.source.documents({passage.source for passage in passages})
        self.app.push_screen(PassageScreen(passages, documents, int(number) if number.isdigit() else 1))

    # --- teaching

    async def do_good(self, comment: str) -> None:
        await self.rated(1.0, comment, "Noted: this answer was right.")

    async def do_bad(self, comment: str) -> None:
        await self.rated(-1.0, comment, "Noted: this answer was wrong. /bad WHY says more.")

    async def do_better(self, _: str) -> None:
        run, view = self.logged(), self.turn
        if run is None or view is None or view.attempt is None:
            return
        if view.attempt.leaf == run.chosen:
            self.notify("That is the attempt that was chosen; look at another first (Alt+Right).")
            return
        await self.rated(None, "", "Noted: this attempt was better.", view.attempt.leaf)

    async def rated(
        self, value: float | None, comment: str, said: str, preferred: tuple[int, ...] | None = None
    ) -> None:
        if (run := self.logged()) is not None:
            await self.source.rate(Feedback(run.run_id, value, comment, preferred))
            self.notify(said)

    async def do_keep(self, which: str) -> None:
        self.learn = which == "in" if which else not self.learn
        await self.source.keep(self.thread, out=not self.learn)
        self.tell()

    # --- threads

    async def do_new(self, _: str) -> None:
        await self.opened(uuid.uuid4().hex[:12], [])

    async def do_sessions(self, _: str) -> None:
        chosen: Chosen | None = await self.app.push_screen_wait(Sessions(self.source))
        if chosen is not None:
            how, thread = chosen
            thread = await self.source.fork(thread) if how == "fork" else thread
            await self.opened(thread, await self.source.runs(thread))

    async def do_fork(self, _: str) -> None:
        if (run := self.logged()) is not None:
            thread = await self.source.fork(self.thread, run.started_at)
            await self.opened(thread, await self.source.runs(thread))

    async def do_edit(self, _: str) -> None:
        """In a fork that ends before it."""
        if (run := self.logged()) is None:
            return
        runs = await self.source.runs(self.thread)
        earlier = [each for each in runs if each.started_at < run.started_at]
        thread = await self.source.fork(self.thread, earlier[-1].started_at) if earlier else uuid.uuid4().hex[:12]
        await self.opened(thread, earlier)
        self.prompt.say(run.question)

    async def opened(self, thread: str, runs: list[Run]) -> None:
        """The thread in the place of this one. What was being answered is stopped."""
        if (answering := self.answering) is not None:
            answering.cancel()
            await asyncio.wait({answering})
        self.thread, self.queued = thread, []
        self.learn = not any(run.metadata.get("train") == "no" for run in runs)
        await self.turns.remove_children()
        for run in runs[-SHOWN:]:
            await self.drawn(Turn.of(run))
        self.next()
        self.tell()

    async def do_export(self, name: str) -> None:
        runs = await self.source.runs(self.thread)
        file = await asyncio.to_thread(written, runs, Path(name or f"{self.thread}.md"))
        self.notify(f"{len(runs)} questions are in {file}.", markup=False)

    # --- the rest

    async def do_copy(self, what: str) -> None:
        text = self.turn.attempt.answer if self.turn and self.turn.attempt else ""
        found = blocks_of_code(text)[-1:] if what else [text] if text else []
        for each in found:
            self.app.copy_to_clipboard(each)
        self.notify("Copied." if found else "There is nothing to copy.")

    async def do_theme(self, _: str) -> None:
        self.app.search_themes()

    async def do_help(self, _: str) -> None:
        self.app.push_screen(Help())

    async def do_quit(self, _: str) -> None:
        self.app.exit()

    # --- the status line ----------------------------------------------------------------------------------------------

    def tell(self) -> None:
        learn = "may be learned from" if self.learn else "kept out of trainings"
        parts = [self.version or "loading the model …", f"effort {self.effort}", learn]
        if (view := self.turn) is not None and view.turn.first is not None:
            turn, first = view.turn, view.turn.first
            usage = turn.run.usage if turn.done and turn.run is not None else None
            tokens = usage.sampled_tokens if usage else turn.pieces
            seconds = usage.seconds if usage else time.monotonic() - first
            rate = f"{tokens / seconds:.0f} tokens/s" if seconds else ""
            parts += [f"{tokens} tokens", f"first after {first - turn.began:.2f} s", rate]
        try:
            self.query_one("#status", Static).update(plain(" · ".join(filter(None, parts))))
        except NoMatches:  # it is being left
            return
