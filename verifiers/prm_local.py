"""A process reward model in this process, with Transformers: the same numbers as vLLM's to 1e-5 in float32."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from verifiers.verdict import VerifierError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


AT_ONCE = 16_384  # tokens, padding included, that go through the model together
Waiting = list[tuple[Sequence[int], "asyncio.Future[list[float]]"]]


class LocalProcessRewardModel:
    """Implements ``ProcessRewardModel`` on a body with a head ``score`` for each token."""

    def __init__(self, model: PreTrainedModel, step_tag_id: int) -> None:
        self.step_tag_id = step_tag_id
        self._model = model.eval()
        self._body, self._head = model.base_model, model.get_submodule("score")
        self._waiting: Waiting = []
        self._batches: set[asyncio.Task[None]] = set()  # a loop by itself does not keep its tasks

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
        """What is asked at once (the candidates of a question) goes through the model as one batch."""
        longest = self._model.config.max_position_embeddings
        if len(token_ids) > longest:
            raise VerifierError(f"The steps have {len(token_ids)} tokens and the process reward model reads {longest}.")
        scores: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._waiting = [asked for asked in self._waiting if not asked[1].done()]  # who asked may have gone
        self._waiting.append((token_ids, scores))
        if len(self._waiting) == 1:
            # A task of nobody's, because whoever asks may be cancelled. It begins when all who ask now have asked.
            batch = asyncio.create_task(self._answer())
            self._batches.add(batch)
            batch.add_done_callback(self._batches.discard)
        return await scores

    async def _answer(self) -> None:
        waiting, self._waiting = sorted(self._waiting, key=lambda asked: len(asked[0])), []
        while waiting:
            part, waiting = waiting[: fitting(waiting)], waiting[fitting(waiting) :]
            try:
                found = await asyncio.to_thread(self._score, [list(token_ids) for token_ids, _ in part])
            except Exception as error:  # the model's libraries raise what they like
                failed = VerifierError(f"The process reward model failed ({error}); give another one.")
                failed.__cause__ = error
                for _, scores in [*part, *waiting]:
                    if not scores.done():
                        scores.set_exception(failed)
                return
            for (_, scores), row in zip(part, found, strict=True):
                if not scores.done():
                    scores.set_result(row)

    def _score(self, sequences: Sequence[list[int]]) -> list[list[float]]:
        """Rows are padded on the right: causal attention keeps the padding out of sight of every tag."""
        import torch

        longest = max(map(len, sequences))
        with torch.inference_mode():
            padded = [sequence + [0] * (longest - len(sequence)) for sequence in sequences]
            ids_B_T = torch.tensor(padded, device=self._model.device)
            hidden_B_T_D = self._body(input_ids=ids_B_T, use_cache=False).last_hidden_state
            found = []
            for sequence, hidden_T_D in zip(sequences, hidden_B_T_D, strict=True):
                ids_T = torch.tensor(sequence, device=self._model.device)
                logits = self._head(hidden_T_D[: len(sequence)][ids_T == self.step_tag_id])  # [steps, 1 or 2]
                found.append((logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(-1))[:, -1].tolist())
            return found


def fitting(waiting: Waiting) -> int:
    """How many of these, the shortest first, go through the model at once."""
    sizes = range(1, len(waiting) + 1)
    return max((size for size in sizes if size * len(waiting[size - 1][0]) <= AT_ONCE), default=1)


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
