"""Adapters: named by what is in them, loaded into a real vLLM, never mixed."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from agent.assemble import policy_of
from agent.errors import PonderError, SettingsError
from agent.policy import adapters, note
from agent.policy.adapters import CONFIG, WEIGHTS, AdapterError, Loaded
from agent.policy.connect import connect
from agent.policy.endpoint import Adapters, EndpointPolicy
from agent.policy.note import Note
from agent.policy.policy import OtherVersion
from agent.policy.wire import EndpointBusy, EndpointUnknown
from agent.records import PolicyVersion, SamplingParams
from agent.settings import Settings
from tests.adapters import adapted, difference, random_adapter
from tests.agent.policy.servers import hostile, says

PARAMS = SamplingParams(max_tokens=40, seed=5)
waits_for_vllm = pytest.mark.timeout(700)


@pytest.fixture
def adapter(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An adapter that no other test has, so that tests that share a server do not meet."""
    return random_adapter(tmp_path / "adapter", seed=zlib.crc32(request.node.nodeid.encode()))


def test_a_version_is_named_by_what_is_in_it_and_kept_where_nobody_changes_it(home: Path, adapter: Path) -> None:
    place, name = adapters.kept(home, adapter, "ponder")
    assert (place / WEIGHTS).read_bytes() == (adapter / WEIGHTS).read_bytes()
    assert adapters.kept(home, adapter, "ponder") == (place, name)
    (adapter / CONFIG).write_text(json.dumps(json.loads((adapter / CONFIG).read_text()) | {"lora_alpha": 4}))
    other, changed = adapters.kept(home, adapter, "ponder")
    assert changed != name
    assert (place / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    assert not list(place.parent.glob("tmp*"))


def test_a_folder_that_is_no_adapter_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="is no adapter"):
        adapters.kept(home, tmp_path, "ponder")


@pytest.mark.parametrize("name", ["/../x", "../../../../evil", "", ".", "-x", "a b", "a\n", "x" * 101])
async def test_a_name_that_is_no_part_of_a_path_is_refused(home: Path, adapter: Path, name: str) -> None:
    with pytest.raises(AdapterError, match="cannot be an adapter's name; take letters, digits"):
        await adapters.load(home, Note("http://127.0.0.1:9/v1", "k", "m", 1, "vllm.log"), adapter, name)
    assert not (home / "server").exists()


@pytest.mark.parametrize(("known", "name"), [(["a-1", "b-2"], "a"), (["a-1", "a-2"], "a-2"), (["x-a-1", "a-1"], "a")])
def test_an_adapter_may_be_named_without_its_digest_where_it_is_the_only_one(known: list[str], name: str) -> None:
    assert adapters._only(known, name) in known
    assert adapters._only(known, name).startswith(name)


@pytest.mark.parametrize(("known", "sentence"), [([], "No adapter 'a' is loaded"), (["a-1", "a-2"], "one of a-1, a-2")])
def test_a_name_of_several_adapters_or_of_none_is_refused(known: list[str], sentence: str) -> None:
    with pytest.raises(AdapterError, match=sentence):
        adapters._only(known, "a")


async def test_the_adapters_of_another_base_model_are_forgotten(home: Path) -> None:
    adapters.remember(home, Loaded({"ponder-1": "/a"}, "ponder-1", "qwen"))
    async with hostile(says("application/json", '{"data": [{"id": "m"}]}')) as url:
        [problem] = await adapters.load_again(home, Note(url, "k", "m", 1, "vllm.log"))
    assert problem == "ponder-1: forgotten, since loaded for qwen; load those of this model."
    assert adapters.loaded(home) == Loaded({})


async def test_a_copy_that_a_server_refuses_is_not_kept_and_its_reason_is_told_without_json(
    home: Path, adapter: Path
) -> None:
    async def refuses(writer: asyncio.StreamWriter) -> None:
        answers = [says("application/json", '{"data": []}')]
        answers.append(says("application/json", '{"error": {"message": "no"}}', status="400 Bad Request"))
        asked.append(None)
        await answers[len(asked) - 1](writer)

    asked: list[None] = []
    async with hostile(refuses) as url:
        with pytest.raises(AdapterError, match=r"refused: no$"):
            await adapters.load(home, Note(url, "k", "m", 1, "vllm.log"), adapter)
    assert not list((home / "server" / "adapters").iterdir())
    assert adapters.loaded(home) == Loaded({})


def test_a_list_of_adapters_that_cannot_be_read_says_what_to_do(home: Path) -> None:
    assert adapters.loaded(home) == Loaded({})
    adapters.remember(home, Loaded({"a": "/a"}, "a"))
    assert adapters.loaded(home) == Loaded({"a": "/a"}, "a")
    (home / "server" / "adapters.json").write_text("{")
    with pytest.raises(AdapterError, match="delete it"):
        adapters.loaded(home)


async def test_a_server_that_is_gone_has_a_name(home: Path, adapter: Path) -> None:
    gone = Note("http://127.0.0.1:9/v1", "k", "m", 1, "vllm.log")
    with pytest.raises(AdapterError, match=r"does not answer .* see vllm\.log"):
        await adapters.load(home, gone, adapter)
    assert adapters.loaded(home) == Loaded({})


@waits_for_vllm
async def test_new_runs_take_a_version_that_vllm_has_just_loaded_and_others_keep_theirs(
    home: Path, vllm: Note, adapter: Path
) -> None:
    kept_by = Adapters(current=lambda: adapters.loaded(home).current)
    policy = await connect(vllm.base_url, vllm.model, vllm.api_key, adapters=kept_by)
    assert isinstance(policy, EndpointPolicy)
    prompt = policy.renderer.start([{"role": "user", "content": "What is 12 * 7?"}])
    begun = policy.at(None)
    try:
        name = await adapters.load(home, vllm, adapter)
        newest, kept = policy.at(None), begun.at(begun.version)
        assert newest.version == PolicyVersion(vllm.model, name, name.removeprefix("ponder-"))
        assert kept.version == PolicyVersion(vllm.model)
        (new,) = await newest.sample(prompt, PARAMS)
        (old,) = await kept.sample(prompt, PARAMS)
        assert (new.policy, old.policy) == (newest.version, kept.version)
        assert difference(adapted(adapter), new) < 1e-4
        assert difference(adapted(adapter), old) > 1e-2
        assert name in await adapters.served(vllm)
        await adapters.unload(home, vllm, name)
        assert name not in await adapters.served(vllm)
        assert policy.at(None).version == PolicyVersion(vllm.model)
        with pytest.raises(PonderError, match="does not exist"):
            await newest.sample(prompt, PARAMS)
    finally:
        await policy.close()


@waits_for_vllm
async def test_an_adapter_can_be_asked_for_by_its_name_in_vllm(home: Path, vllm: Note, adapter: Path) -> None:
    name = await adapters.load(home, vllm, adapter, "mine")
    policy = await connect(vllm.base_url, name, vllm.api_key)
    try:
        assert policy.version == PolicyVersion(vllm.model, name, name.removeprefix("mine-"))
        assert policy.at(None) is policy
        (sample,) = await policy.sample(policy.renderer.start([{"role": "user", "content": "Hi"}]), PARAMS)
        assert difference(adapted(adapter), sample) < 1e-4
    finally:
        await policy.close()
        await adapters.unload(home, vllm, name)


@waits_for_vllm
async def test_while_an_adapter_is_offered_vllm_has_it_by_its_name_and_new_runs_go_on_as_before(
    home: Path, vllm: Note, adapter: Path
) -> None:
    async with adapters.offered(home, vllm, adapter) as name:
        assert name in await adapters.served(vllm)
        assert adapters.current_of(home, vllm) is None
        policy = await connect(vllm.base_url, name, vllm.api_key)
        try:
            (sample,) = await policy.sample(policy.renderer.start([{"role": "user", "content": "Hi"}]), PARAMS)
        finally:
            await policy.close()
        assert difference(adapted(adapter), sample) < 1e-4
    assert name not in await adapters.served(vllm)
    await adapters.load(home, vllm, adapter)
    try:
        async with adapters.offered(home, vllm, adapter):
            pass
        assert adapters.current_of(home, vllm) == name
        assert name in await adapters.served(vllm)
    finally:
        await adapters.unload(home, vllm, name)


@waits_for_vllm
async def test_what_vllm_refuses_is_told_and_not_remembered(home: Path, vllm: Note, adapter: Path) -> None:
    (adapter / WEIGHTS).write_bytes(b"not a tensor")
    with pytest.raises(AdapterError, match="refused"):
        await adapters.load(home, vllm, adapter)
    assert adapters.loaded(home) == Loaded({})
    with pytest.raises(AdapterError, match="No adapter 'x' is loaded"):
        await adapters.unload(home, vllm, "x")


@waits_for_vllm
async def test_after_a_crash_vllm_gets_its_adapters_again_except_those_that_it_no_longer_takes(
    home: Path, vllm: Note, adapter: Path
) -> None:
    good = await adapters.load(home, vllm, adapter)
    await adapters.unload(home, vllm, good)  # as if the server had lost it
    place = note.folder(home) / "adapters" / good
    adapters.remember(home, Loaded({good: str(place), "ponder-gone": str(home / "gone")}, "ponder-gone"))
    [problem] = await adapters.load_again(home, vllm)
    assert problem.startswith("ponder-gone could not be loaded again and is forgotten: ")
    assert adapters.loaded(home).folders == {good: str(place)}
    assert good in await adapters.served(vllm)
    await adapters.unload(home, vllm, good)


@waits_for_vllm
async def test_a_model_that_vllm_does_not_have_is_refused_before_anything_is_asked(
    home: Path, vllm: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(note, "read", lambda home, role="server": vllm)
    with pytest.raises(SettingsError, match=f"'qwen' is neither a folder .* served are {vllm.model}"):
        await policy_of(Settings(model="qwen"))
    policy = await policy_of(Settings())
    assert policy.version == PolicyVersion(vllm.model)
    await policy.close()


@waits_for_vllm
async def test_a_run_waits_for_an_adapter_that_vllm_gets_again_and_is_refused_one_that_is_gone(
    vllm: Note, adapter: Path
) -> None:
    loaded = {"ponder-0123"}
    policy = await connect(vllm.base_url, vllm.model, vllm.api_key, adapters=Adapters(known=lambda: loaded))
    wanted = PolicyVersion(vllm.model, "ponder-0123", "0123")
    try:
        begun = policy.at(wanted)
        prompt = policy.renderer.start([{"role": "user", "content": "Hi"}])
        with pytest.raises(EndpointBusy, match="has not loaded ponder-0123 yet") as raised:
            await begun.sample(prompt, PARAMS)
        assert raised.value.passing
        loaded.clear()
        with pytest.raises(EndpointUnknown):
            await begun.sample(prompt, PARAMS)
        with pytest.raises(OtherVersion, match=r"begun by .*ponder-0123"):
            policy.at(wanted)
    finally:
        await policy.close()


@waits_for_vllm
async def test_what_vllm_and_the_file_disagree_about_is_put_right(home: Path, vllm: Note, adapter: Path) -> None:
    name = await adapters.load(home, vllm, adapter)
    adapters.remember(home, Loaded({}))  # killed before it could remember
    assert await adapters.load(home, vllm, adapter) == name
    assert adapters.loaded(home).current == name
    remembered = adapters.loaded(home)
    await adapters.unload(home, vllm, name)
    adapters.remember(home, remembered)  # killed before it could forget
    assert await adapters.load(home, vllm, adapter) == name
    assert name in await adapters.served(vllm)
    await adapters.unload(home, vllm, name)
    adapters.remember(home, remembered)
    await adapters.unload(home, vllm, name)
    assert adapters.loaded(home) == Loaded({}, None, vllm.model)


async def test_a_server_that_is_not_up_yet_is_said_to_be_starting() -> None:
    starting = Note("http://127.0.0.1:9/v1", "k", "m", 1, "vllm.log", starting_since=time.time() - 28)
    with pytest.raises(AdapterError, match=r"is still starting, 28 s so far; see vllm\.log\.$"):
        await adapters.served(starting)


async def test_a_server_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 600:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(0.05)

    monkeypatch.setattr(adapters, "LISTING", 0.3)
    async with hostile(drip) as url, asyncio.timeout(5):
        with pytest.raises(AdapterError, match=r"does not answer \(no reply in 0\.3 s\)"):
            await adapters.served(Note(url, "k", "m", 1, "vllm.log"))


async def test_a_proxy_of_the_environment_is_not_asked_for_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with hostile(says("application/json", '{"data": [{"id": "m"}]}')) as url:
        assert await adapters.served(Note(url, "k", "m", 1, "vllm.log")) == ["m"]


async def test_where_nobody_or_somebody_else_answers_nothing_is_forgotten(home: Path) -> None:
    adapters.remember(home, Loaded({"ponder-1": "/a"}, "ponder-1"))
    for answer in (says("text/html", "<h1>It works</h1>"), says("application/json", "{}", status="401 Unauthorized")):
        async with hostile(answer) as url:
            with pytest.raises(AdapterError, match=r"is no model server|lets nobody in \(401\)"):
                await adapters.load_again(home, Note(url, "k", "m", 1, "vllm.log"))
    with pytest.raises(AdapterError, match="does not answer"):
        await adapters.load_again(home, Note(url, "k", "m", 1, "vllm.log"))
    assert adapters.loaded(home) == Loaded({"ponder-1": "/a"}, "ponder-1")
