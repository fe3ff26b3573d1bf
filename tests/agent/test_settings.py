"""Settings: which place wins, who is trusted, and what a wrong one says."""

import stat
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings import McpServer, is_trusted, read_settings, trust


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose ponder.toml sets two things, not yet trusted."""
    (tmp_path / "ponder.toml").write_text('effort = "low"\npassages = 7\n')
    return tmp_path


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(folder)
    monkeypatch.setenv("PONDER_EFFORT", "medium")
    monkeypatch.setenv("PONDER_MODEL", "qwen")
    settings, notice = read_settings(folder, {"model": "mini", "effort": None})
    assert (settings.model, settings.effort, settings.passages, settings.sandbox) == ("mini", "medium", 7, "monty")
    assert notice is None


def test_a_file_that_nobody_trusted_is_ignored_with_one_sentence_that_says_how_to_trust_it(folder: Path) -> None:
    settings, notice = read_settings(folder)
    assert settings.passages == 3
    assert notice == f"Ignored {folder}/ponder.toml: look through it, then run `ponder trust {folder}` to use it."


def test_trust_ends_when_the_file_changes(folder: Path) -> None:
    trust(folder)
    assert is_trusted(folder)
    (folder / "ponder.toml").write_text('mcp_servers.evil.command = "sh"')
    assert not is_trusted(folder)
    assert read_settings(folder)[0].mcp_servers == {}


def test_trust_does_not_follow_a_file_to_another_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    trust(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "ponder.toml").write_bytes((folder / "ponder.toml").read_bytes())
    assert not is_trusted(elsewhere)


def test_trusting_one_folder_keeps_the_others(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "ponder.toml").write_text("passages = 2")
    trust(folder)
    trust(other)
    assert is_trusted(folder)
    assert is_trusted(other)


def test_what_is_trusted_is_written_for_its_owner_only(folder: Path, home: Path) -> None:
    trust(folder)
    assert stat.S_IMODE((home / "trusted.json").stat().st_mode) == 0o600


def test_the_nearest_file_above_the_folder_is_found(folder: Path) -> None:
    trust(folder)
    (folder / "a/b").mkdir(parents=True)
    assert read_settings(folder / "a/b")[0].passages == 7


def test_a_folder_reached_by_a_link_is_the_same_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("links") / "here"
    link.symlink_to(folder)
    trust(link)
    assert is_trusted(folder)


def test_an_mcp_server_is_read_with_its_arguments(folder: Path) -> None:
    (folder / "ponder.toml").write_text('[mcp_servers.files]\ncommand = "npx"\nargs = ["server", "/srv"]')
    trust(folder)
    expected = McpServer(command="npx", args=("server", "/srv"), folder=folder)
    assert read_settings(folder)[0].mcp_servers == {"files": expected}


def test_what_a_file_names_stands_beside_it_and_not_where_the_command_is_run(folder: Path) -> None:
    text = (
        'model = "weights"\nprompt = "mine.txt"\nencoder = "all-MiniLM-L6-v2"\njudge = "weights"\n'
        'rewards = ["mine.toml", "own:WEIGHTS"]\n[mcp_servers.ours]\ncommand = "python3"\nfolder = "servers"'
    )
    (folder / "ponder.toml").write_text(text)
    trust(folder)
    for place in (folder / "weights", folder / "vendor" / "weights"):
        place.mkdir(parents=True)
    (folder / "mine.txt").write_text("You are mine.")
    settings, _ = read_settings(folder / "vendor")
    assert settings.model == str(folder / "weights")
    assert settings.judge == str(folder / "weights")
    assert settings.rewards == (str(folder / "mine.toml"), "own:WEIGHTS")
    assert settings.prompt == str(folder / "mine.txt")
    assert settings.encoder == "all-MiniLM-L6-v2", "no folder of that name: a name on the hub"
    assert settings.mcp_servers["ours"].folder == folder / "servers"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("passages = ", "is not valid TOML"),
        ("home = '/tmp'", "'home' can only be set as PONDER_HOME"),
        ("passage = 3", "ponder.toml: 'passage' is not a setting."),
        ("passages = 0", "ponder.toml: 'passages' is wrong: Input should be greater than or equal to 1."),
        ("[mcp_servers.x]\ncmd = 'y'", "ponder.toml: 'mcp_servers.x.cmd' is not a setting."),
    ],
)
def test_a_wrong_file_is_named_with_its_key(folder: Path, text: str, sentence: str) -> None:
    (folder / "ponder.toml").write_text(text)
    with pytest.raises(SettingsError) as failure:
        trust(folder)
    assert sentence in str(failure.value)
    assert str(folder) in str(failure.value)
    assert not is_trusted(folder)


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_EFFORT", "huge")
    with pytest.raises(SettingsError, match=r"The variable PONDER_EFFORT is wrong: .*'high'"):
        read_settings(tmp_path)


def test_a_variable_that_is_not_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_MCP_SERVERS", "{")
    with pytest.raises(SettingsError, match="mcp_servers"):
        read_settings(tmp_path)


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="The flag --reference-share is wrong"):
        read_settings(tmp_path, {"reference_share": 2})


def test_trusting_a_folder_without_a_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ponder\.toml cannot be read: No such file"):
        trust(tmp_path)


def test_a_damaged_list_of_trusted_folders_is_an_error_and_not_trust(folder: Path, home: Path) -> None:
    (home / "trusted.json").write_text("[1")
    with pytest.raises(SettingsError, match=r"trusted\.json cannot be read"):
        read_settings(folder)


def test_a_key_never_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_API_KEY", "sk-secret")
    settings, _ = read_settings(tmp_path)
    assert "sk-secret" not in repr(settings)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-secret"


def test_the_home_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PONDER_HOME", "~/here")
    assert read_settings(tmp_path)[0].home == tmp_path / "here"
    monkeypatch.delenv("PONDER_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert read_settings(tmp_path)[0].home == tmp_path / "data/ponder"
