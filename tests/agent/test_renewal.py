"""An agent that stays open takes what is there now: another promoted version, and documents that were indexed."""

import asyncio
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from agent.assemble import MINI, index_folder
from agent.effort import EFFORTS
from agent.policy import registry
from agent.policy.registry import Origin
from agent.renewal import assembled
from agent.run import ask, asked_by
from agent.settings import Settings
from retrieval.indexing import index

QUESTION = "What is 37 * 43?"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The miniature with one number changed."""
    folder = tmp_path / "other"
    shutil.copytree(MINI, folder)
    weights = load_file(folder / "model.safetensors")
    name = min(weights)
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] += 0.01
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


async def test_the_next_question_is_answered_by_what_was_promoted_and_the_last_by_what_it_went_back_to(
    home: Path, other: Path
) -> None:
    settings = Settings(encoder="none")
    how = asked_by(settings, EFFORTS["low"])
    async with assembled(settings) as renewed:
        before = await renewed.now()
        assert await renewed.now() is before
        version = registry.add(home, other, Origin(base=str(MINI)))
        registry.promote(home, version.id)
        asking = asyncio.create_task(ask(before, QUESTION, how))
        run = await ask(await renewed.now(), QUESTION, how)
        assert f"ponder-{run.policy.version}" == version.id
        assert (await asking).policy == before.policy.version
        registry.rollback(home)
        assert (await ask(await renewed.now(), QUESTION, how)).policy == before.policy.version


async def test_a_first_index_brings_the_search_and_later_ones_what_it_finds(home: Path, tmp_path: Path) -> None:
    settings = Settings(encoder="none")
    async with assembled(settings) as renewed:
        assert (await renewed.now()).toolbox.find("search") is None
        for text in ("Varnholt lies by the sea.", "Varnholt lies in the hills."):
            (tmp_path / "town.txt").write_text(text)
            index([tmp_path / "town.txt"], index_folder(settings), None)
            found = await (await renewed.now()).toolbox.call("search", {"query": "Varnholt"}, 10)
            assert text in found.text


async def test_several_questions_at_once_load_what_is_new_once(home: Path, other: Path) -> None:
    async with assembled(Settings(encoder="none")) as renewed:
        registry.promote(home, registry.add(home, other, Origin(base=str(MINI))).id)
        agents = await asyncio.gather(*(renewed.now() for _ in range(4)))
        assert len({id(agent.policy) for agent in agents}) == 1
