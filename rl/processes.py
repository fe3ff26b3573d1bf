"""Several processes that train one model: each takes its share of a step, and their gradients are added up.

``accelerate launch`` starts them and says which is which; every process has all weights. One process is the ordinary
case, and needs none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """Which one this is, of how many."""

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and speaks."""
        return self.index == 0

    def share(self, parts: Sequence[T]) -> Sequence[T]:
        """This process's parts of a step."""
        return parts[self.index :: self.count]

    def gathered(self, found: Sequence[T]) -> list[T]:
        """What all processes made of their shares, in the order of the parts: the same in each process."""
        if self.count == 1:
            return list(found)
        from accelerate.utils import gather_object

        shares = gather_object([list(found)])
        return [shares[place % self.count][place // self.count] for place in range(sum(map(len, shares)))]

    def add_up(self, model: PreTrainedModel, sums: Mapping[str, float]) -> Counter[str]:
        """The sums of all processes; their gradients are added up in place, so that each then takes the same step."""
        if self.count == 1:
            return Counter(sums)
        from accelerate.utils import gather_object, reduce

        for parameter in (p for p in model.parameters() if p.requires_grad):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(torch.as_tensor(reduce(parameter.grad, "sum")))
        total: Counter[str] = Counter()
        for each in gather_object([dict(sums)]):
            total.update(each)
        return total


ALONE = Processes()


def launched() -> Processes:
    """As ``accelerate launch`` started this process, or alone."""
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes)
