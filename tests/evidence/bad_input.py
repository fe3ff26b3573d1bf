"""Bad input, one case after the other, against real commands, a real full disk and a real read-only one.

    unshare -rm python tests/evidence/bad_input.py

Prints a Markdown table: what was done, the exit code, what was said. Before each case the log holds one finished run;
after it the log must hold that run unchanged. Exits with 1 where it does not, or where a command shows a traceback.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from agent.errors import StoreError
from agent.records import Run
from agent.store import Store

PONDER = [sys.executable, "-c", "from tui.cli import main; main()"]
LONG = "Kate has 14 boxes with 6 pens in each. She gives away 9 pens. How many pens does Kate have now?"


class Place:
    """A home with one finished run, and a folder to work in."""

    def __init__(self, folder: Path, log: Path | None) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        if log is not None:
            shutil.copy(log, self.home / "log.sqlite")

    def ponder(self, *arguments: str, stdin: bytes = b"", after: float | bytes | None = None) -> tuple[int, str]:
        """Run a command; press Ctrl-C ``after`` so many seconds, or when it has said that. Its exit code and words."""
        environment = os.environ | {"PONDER_HOME": str(self.home), "PONDER_ENCODER": "none", "NO_COLOR": "1"}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "400"}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [*PONDER, *arguments], cwd=self.folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
        ) as process:
            assert process.stdout is not None
            seen = b""
            if isinstance(after, float):
                time.sleep(after)
            while isinstance(after, bytes) and after not in seen and (more := os.read(process.stdout.fileno(), 4096)):
                seen += more
            if after is not None:
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(stdin, timeout=300)
        return process.returncode, (err + seen + out).decode(errors="replace").strip()

    def mount(self, *options: str) -> None:
        """A file system of the home's own, with what the home holds."""
        kept = self.folder / "kept"
        shutil.copytree(self.home, kept)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", self.home], check=True)
        shutil.copytree(kept, self.home, dirs_exist_ok=True)
        if options:
            subprocess.run(["mount", "-o", f"remount,{','.join(options)}", self.home], check=True)


def empty_question(place: Place) -> tuple[int, str]:
    return place.ponder("ask", "  ")


def question_of_a_megabyte(place: Place) -> tuple[int, str]:
    return place.ponder("ask", "-", stdin=b"pens " * 200_000)


def broken_huge_and_binary_files(place: Place) -> tuple[int, str]:
    docs = place.folder / "docs"
    docs.mkdir()
    (docs / "good.md").write_text("# Pens\n\nPens are blue.\n")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\n" + os.urandom(2000))
    (docs / "broken.docx").write_bytes(b"PK\x03\x04" + os.urandom(2000))
    (docs / "binary.txt").write_bytes(os.urandom(5000))
    with (docs / "huge.txt").open("wb") as huge:
        huge.truncate(2 * 2**30)
    return place.ponder("index", "docs")


def missing_model(place: Place) -> tuple[int, str]:
    return place.ponder("ask", "--model", "no/such/model", LONG)


def missing_server(place: Place) -> tuple[int, str]:
    return place.ponder("ask", "--base-url", "http://127.0.0.1:9", LONG)


def read_only_disk(place: Place) -> tuple[int, str]:
    place.mount("ro")
    return place.ponder("ask", LONG)


def full_disk(place: Place) -> tuple[int, str]:
    place.mount()
    with (place.home / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"\0" * 4096)
    return place.ponder("ask", LONG)


def log_of_a_newer_version(place: Place) -> tuple[int, str]:
    with closing(sqlite3.connect(place.home / "log.sqlite")) as db:
        [before] = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 999")
    said = place.ponder("ask", LONG)
    with closing(sqlite3.connect(place.home / "log.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {before}")
    return said


def settings_in_an_untrusted_folder(place: Place) -> tuple[int, str]:
    (place.folder / "ponder.toml").write_text('tools = ["evil:tool"]\n')
    return place.ponder("log", "list")


def settings_that_are_wrong(place: Place) -> tuple[int, str]:
    (place.folder / "ponder.toml").write_text('passages = "many"\n')
    return place.ponder("trust", ".")


def control_c_while_it_starts(place: Place) -> tuple[int, str]:
    return place.ponder("ask", LONG, after=1.0)


def control_c_while_it_thinks(place: Place) -> tuple[int, str]:
    return place.ponder("ask", "--effort", "high", LONG, after="│".encode())


def control_c_while_it_trains(place: Place) -> tuple[int, str]:
    return place.ponder("train", "sft", "trained", "--steps", "1000", after=40.0)


def control_c_while_it_chats(place: Place) -> tuple[int, str]:
    return place.ponder("chat", after=9.0)


CASES: list[Callable[[Place], tuple[int, str]]] = [
    empty_question, question_of_a_megabyte, broken_huge_and_binary_files, missing_model, missing_server,
    read_only_disk, full_disk, log_of_a_newer_version, settings_in_an_untrusted_folder, settings_that_are_wrong,
    control_c_while_it_starts, control_c_while_it_thinks, control_c_while_it_trains, control_c_while_it_chats,
]  # fmt: skip


def kept(place: Place, before: Run) -> str | None:
    """What is wrong with the log, once the disk has room and can be written; None where the run is as it was."""
    try:
        (place.home / "filler").unlink(missing_ok=True)
        with Store.open(place.home / "log.sqlite") as store:
            return None if store.run(before.run_id) == before else "the run has changed"
    except StoreError as error:
        return str(error)


def main() -> int:
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        (first := Path(folder) / "first").mkdir()
        place = Place(first, None)
        code, said = place.ponder("ask", "--effort", "low", LONG)
        assert code == 0, said
        with Store.open(place.home / "log.sqlite") as store:
            [run] = store.runs()
            run = store.run(run.run_id)
        print("| input | exit | what is said |\n|---|---|---|")
        for case in CASES:
            (here := Path(folder) / case.__name__).mkdir()
            code, said = case(at := Place(here, place.home / "log.sqlite"))
            subprocess.run(["mount", "-o", "remount,rw", at.home], check=False, capture_output=True)
            wrong = kept(at, run) or ("a traceback" if "Traceback" in said else None)
            subprocess.run(["umount", at.home], check=False, capture_output=True)
            failures += wrong is not None
            lines = [line.replace(folder, "…").replace("|", "\\|") for line in said.splitlines() if line.strip()]
            shown = "<br>".join(lines[-5:]) + (f" **{wrong}**" if wrong else "")
            print(f"| {case.__name__.replace('_', ' ')} | {code} | {shown} |", flush=True)
    print(f"\n{len(CASES)} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
