"""What a GPU changes: the same tokens, vectors and scores come out of it. ``pytest -m gpu`` on a machine that has one.

What the suite asks of vLLM it asks of the build that is installed, so that with ``.[gpu]`` it asks the GPU's.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.assemble import MINI
from agent.policy import server
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.note import Note
from agent.policy.steps import StepEncoder
from agent.records import SamplingParams
from rl.tasks.suite import mixture
from tests.process_reward_model import make
from verifiers.prm_local import LocalProcessRewardModel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.timeout(700),
]


async def test_the_embedded_model_says_there_what_it_says_on_a_processor() -> None:
    there, here = EmbeddedPolicy.load(MINI, "cuda"), EmbeddedPolicy.load(MINI, "cpu")
    for i in range(8):
        prompt = here.renderer.start([{"role": "user", "content": mixture(8, i, "held_out").question}])
        params = SamplingParams(0.0, max_tokens=60)
        (a,), (b,) = await there.sample(prompt, params), await here.sample(prompt, params)
        assert a.token_ids == b.token_ids
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3)
    await there.close()
    await here.close()


def test_faiss_finds_there_what_it_finds_on_a_processor() -> None:
    import faiss

    from retrieval.vectors import VectorIndex

    if faiss.get_num_gpus() == 0:
        pytest.skip("this build of FAISS knows no GPU")
    draw = np.random.default_rng(0)
    vectors_N_D = draw.standard_normal((2_000, 384), dtype=np.float32)
    index = VectorIndex(vectors_N_D)
    assert index.device == "gpu"
    unit_N_D = vectors_N_D / np.linalg.norm(vectors_N_D, axis=1, keepdims=True)
    for query_D in draw.standard_normal((20, 384), dtype=np.float32):
        assert index.search(query_D, 5) == np.argsort(-unit_N_D @ query_D)[:5].tolist()


async def test_a_process_reward_model_scores_there_as_on_a_processor(tmp_path: Path) -> None:
    folder = str(make(tmp_path / "prm"))
    encode = StepEncoder.load(folder)
    ids = encode("How many?", ("One.", "Two."))
    there, here = (LocalProcessRewardModel.load(folder, encode.tag_id, device) for device in ("cuda", "cpu"))
    assert await there.score(ids) == pytest.approx(await here.score(ids), abs=1e-3)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_is_the_build_for_this_gpu(vllm: Note) -> None:
    assert server.build() == "gpu"
    assert "GPU KV cache size" in Path(vllm.log).read_text()
