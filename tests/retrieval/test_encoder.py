import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from retrieval.encoder import SentenceEncoder, find_model, open_encoder
from retrieval.errors import ModelNotFound


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return open_encoder()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path, repository: str, *names: str) -> Path:
    """Put a repository into a Hugging Face cache as a download would."""
    entry = cache / f"models--{repository.replace('/', '--')}"
    snapshot = entry / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc123")
    for name in names:
        (snapshot / name).write_text("{}")
    return snapshot


def test_the_default_is_found_without_a_network_and_without_loading_it(cache):
    encoder = open_encoder()
    assert (encoder.name, len(encoder.fingerprint)) == ("all-MiniLM-L6-v2", 32)
    assert find_model("sentence-transformers/all-MiniLM-L6-v2") == find_model("all-MiniLM-L6-v2")


def test_a_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert find_model(str(tmp_path)) == tmp_path


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelNotFound, match="holds no sentence-transformers model"):
        find_model(str(tmp_path))


def test_a_model_in_the_local_cache_is_found(cache):
    snapshot = fill(cache, "somebody/encoder", "config.json", "modules.json", "model.safetensors")
    assert find_model("somebody/encoder") == snapshot


def test_a_download_that_was_interrupted_is_no_model(cache):
    fill(cache, "somebody/encoder", "config.json")
    with pytest.raises(ModelNotFound):
        find_model("somebody/encoder")


@pytest.mark.parametrize("name", ["all-MiniLM-L12-v2", "./nowhere", "/nowhere/at/all", "a/b/c", "spaces in it", ""])
def test_a_name_that_is_not_here_is_said_with_what_to_do(cache, name):
    with pytest.raises(ModelNotFound, match=r"name a folder|holds no"):
        find_model(name)


def test_a_hub_model_that_cannot_be_fetched_is_said(cache):
    with pytest.raises(ModelNotFound, match="could not be downloaded; name a folder") as raised:
        find_model("somebody/encoder")
    assert raised.value.__cause__ is not None


def test_the_fingerprint_follows_the_weights_and_settings_not_the_place(tmp_path):
    folder = find_model("all-MiniLM-L6-v2")
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = SentenceEncoder(folder, "a").fingerprint
    assert SentenceEncoder(copy, "b").fingerprint == before
    with (copy / "model.safetensors").open("r+b") as weights:
        weights.seek(4096)
        weights.truncate()
    assert SentenceEncoder(copy, "b").fingerprint != before


def test_broken_weights_are_said(tmp_path):
    copy = shutil.copytree(find_model("all-MiniLM-L6-v2"), tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelNotFound, match="could not be loaded"):
        SentenceEncoder(copy, "broken").encode(["text"])


def test_vectors_are_float32_one_row_per_text_and_near_for_near_meanings(minilm):
    vectors = minilm.encode(["The river has burst its banks.", "A flood came.", "The library opens at nine."])
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert np.allclose(minilm.encode(["A flood came."], query=True)[0], vectors[1], atol=1e-6)


def test_threads_may_share_an_encoder(minilm):
    texts = ["one", "two words", "three words here " * 20]
    expected = np.stack([minilm.encode([text])[0] for text in texts])
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(np.stack([minilm.encode([text])[0] for text in texts])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.allclose(vectors, expected, atol=1e-6) for vectors in found)
