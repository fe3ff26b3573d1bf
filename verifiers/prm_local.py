"""A process reward model in this process, with Transformers: the same numbers as vLLM's to 1e-5 in float32."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from verifiers.verdict import VerifierError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LocalProcessRewardModel:
    """Implements ``ProcessRewardModel`` on a body with a head ``score`` for each token."""

    def __init__(self, model: PreTrainedModel, step_tag_id: int) -> None:
        self.step_tag_id = step_tag_id
        self._model = model.eval()
        self._body, self._head = model.base_model, model.get_submodule("score")

    @classmethod
    def load(cls, path_or_hub_name: str, step_tag_id: int, device: str | None = None) -> LocalProcessRewardModel:
        """On ``device``, by default the GPU where there is one. Raises ``VerifierError``."""
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification

        try:
            config = AutoConfig.from_pretrained(path_or_hub_name)
            two_layers = "Qwen2ForProcessRewardModel" in (config.architectures or ())
            kind: Any = qwen2_class() if two_layers else AutoModelForSequenceClassification
            model = kind.from_pretrained(path_or_hub_name, dtype="float32")
            return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), step_tag_id)
        except Exception as error:  # damaged files raise what they like
            sentence = f"The process reward model {path_or_hub_name} cannot be loaded ({error}); give its folder."
            raise VerifierError(sentence) from error

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        longest = self._model.config.max_position_embeddings
        if len(token_ids) > longest:
            raise VerifierError(f"The steps have {len(token_ids)} tokens and the process reward model reads {longest}.")
        return await asyncio.to_thread(self._score, list(token_ids))

    def _score(self, token_ids: list[int]) -> list[float]:
        import torch

        with torch.inference_mode():
            ids = torch.tensor([token_ids], device=self._model.device)
            hidden = self._body(input_ids=ids, use_cache=False).last_hidden_state[0]  # [tokens, hidden size]
            logits = self._head(hidden[ids[0] == self.step_tag_id])  # [steps, 1 or 2]
            return (logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1))[:, -1].tolist()


def qwen2_class() -> type[PreTrainedModel]:
    """The class of Qwen2.5-Math-PRM, which Transformers does not have: two layers where others have one."""
    from torch import nn
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    class Qwen2ForProcessRewardModel(Qwen2ForSequenceClassification):
        def __init__(self, config: Qwen2Config) -> None:
            super().__init__(config)
            size = config.hidden_size
            self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
            self.post_init()

    return Qwen2ForProcessRewardModel
