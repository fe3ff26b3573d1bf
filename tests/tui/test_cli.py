"""Every command by its edges: what help says, what failing says, and what is not imported for either."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import SettingsError, StoreFull
from retrieval.errors import RetrievalError
from tests.tui.commands import CONTROL, ROOT, one_sentence, ponder
from tools.tool import ToolSetupError
from tui.cli import sentence
from tui.options import print_json

COMMANDS = {
    "ask",
    "bench",
    "calibrate",
    "chat",
    "collect",
    "doctor",
    "eval",
    "improve",
    "index",
    "keys",
    "log",
    "mcp",
    "model",
    "replay",
    "resume",
    "search",
    "serve",
    "train",
}
COMMANDS |= {"promote", "rollback", "trust", "versions"}
HEAVY = {"torch", "transformers", "langgraph", "openai", "pydantic", "rich", "numpy", "faiss", "textual", "fastapi"}


def commands_in(text: str) -> set[str]:
    return set(re.findall(r"^  (\w+) ", text.partition("\nCommands:\n")[2], re.MULTILINE))


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = ponder("--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert commands_in(done.stdout) == COMMANDS


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("log", {"list", "show", "export", "delete", "groups", "feedback", "tag", "consent"}),
        ("train", {"sft", "prm", "grpo", "star", "dpo", "reward", "distill"}),
        ("bench", {"serve", "judge"}),
        ("mcp", {"list", "add", "remove", "test", "login", "logout"}),
    ],
)
def test_a_group_lists_its_commands(tmp_path: Path, group: str, commands: set[str]) -> None:
    assert commands_in(ponder(group, "--help", folder=tmp_path).stdout) == commands


@pytest.mark.parametrize("command", sorted(COMMANDS - {"log", "train"}))
def test_every_command_says_what_it_does(tmp_path: Path, command: str) -> None:
    assert re.match(r"Usage: .*\n\n  [A-Z]", ponder(command, "--help", folder=tmp_path).stdout)


def test_the_bare_command_shows_its_help(tmp_path: Path) -> None:
    done = ponder(folder=tmp_path)
    assert commands_in(done.stdout + done.stderr) == COMMANDS


def test_the_version_is_the_installed_one(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", ponder("--version", folder=tmp_path).stdout)


def test_help_imports_nothing_heavy() -> None:
    program = "import sys, tui.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert not HEAVY & set(loaded.stdout.split())


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ask", "hello", "--effort", "wrong"), 2, "--effort"),
        (("log", "show", "nosuch"), 3, "nosuch"),
        (("log", "delete", "nosuch"), 3, "nosuch"),
        (("log", "delete"), 2, "Say what to delete"),
        (("log", "export", "samples.csv"), 1, ".parquet"),
        (("search", "pens"), 1, "ponder index"),
        (("index", "no/such/folder"), 1, "no/such/folder"),
        (("trust", "."), 2, "ponder.toml"),
        (("bench", "judge"), 2, "no task whose attempts disagree"),
        (("eval", "nosuch"), 2, "nosuch"),
        (("eval", "arithmetic/99"), 2, "arithmetic has no tier 99"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_failure_is_one_sentence_and_its_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = ponder(*arguments, folder=tmp_path)
    assert done.returncode == code
    assert says in one_sentence(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("ask",),
        ("search", "x", "-k", "0"),
        ("log", "delete", "--before", "yesterday"),
        ("log", "list", "-x"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_written_wrongly_is_explained(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = ponder(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_day_that_is_none_deletes_nothing(log: Path, tmp_path: Path) -> None:
    assert ponder("log", "delete", "--before", "yesterday", folder=tmp_path).returncode == 2
    assert len(json.loads(ponder("log", "list", "--json", folder=tmp_path).stdout)["runs"]) == 3


@pytest.mark.parametrize("command", [("log", "list"), ("index", "."), ("trust", ".")], ids=" ".join)
def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "ponder.toml").write_text("passages = 3\n")
    file = tmp_path / "file"
    file.write_text("mine")
    done = ponder(*command, folder=tmp_path, PONDER_HOME=str(file / "home"))
    assert done.returncode in (1, 2, 3)
    assert str(file) in [line for line in done.stderr.splitlines() if "Ignored" not in line][-1]
    assert "Traceback" not in done.stderr
    assert file.read_text() == "mine"


def test_an_environment_that_is_wrong_is_named(tmp_path: Path) -> None:
    done = ponder("log", "list", folder=tmp_path, PONDER_PASSAGES="many")
    assert done.returncode == 2
    assert "PONDER_PASSAGES" in one_sentence(done)


def test_a_reader_that_goes_away_is_no_failure_to_tell_of(log: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from tui.cli import main; main()", "log", "list"]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, timeout=100)
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SettingsError("Set it."), "Set it."),
        (StoreFull("The disk is full."), "The disk is full."),
        (RetrievalError("Index first."), "Index first."),
        (ToolSetupError("Name it."), "Name it."),
        (
            PermissionError(13, "Permission denied", "/x"),
            "/x cannot be used (Permission denied); choose another place.",
        ),
        (OSError(28, "No space left on device"), "A file cannot be used (No space left on device)"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "The package torch is missing"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_a_person_can_act_on_is_told_to_them(error: Exception, says: str) -> None:
    assert (sentence(error) or "").startswith(says)


@pytest.mark.parametrize("defect", [ValueError("x"), KeyError("x"), AssertionError(), OSError("x")])
def test_a_defect_keeps_its_traceback(defect: Exception) -> None:
    assert sentence(defect) is None


# --- trust ------------------------------------------------------------------------------------------------------------


def test_a_settings_file_is_used_only_after_its_folder_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "ponder.toml"
    file.write_text("passages = 0\n")
    ignored = ponder("log", "list", folder=tmp_path)
    assert (ignored.returncode, ignored.stdout) == (0, "")
    assert ignored.stderr == f"Ignored {file}: look through it, then run `ponder trust {tmp_path}` to use it.\n"
    refused = ponder("trust", folder=tmp_path)
    assert refused.returncode == 2
    assert "'passages' is wrong" in one_sentence(refused)
    file.write_text('effort = "low"\nmodel = "nowhere"\n')
    assert ponder("trust", folder=tmp_path).stdout == f"{file} is trusted until it changes.\n"
    used = ponder("ask", "How many?", folder=tmp_path)
    assert used.returncode == 1
    assert "nowhere" in one_sentence(used)
    file.write_text("passages = 4\n")
    assert "Ignored" in ponder("log", "list", folder=tmp_path).stderr


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_is_one_ascii_document_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"answer": "\x1b[2J \x9b \u202e é 🙂 \udcff", "nothing": None}
    print_json(value)
    text = capsys.readouterr().out
    assert text.isascii()
    assert not CONTROL.search(text.removesuffix("\n"))
    assert json.loads(text) == value
