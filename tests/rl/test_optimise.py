"""The loop that every training goes through; ``test_sft`` kills and resumes it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rl.optimise import Course, Learned, Progress, cosine, follow, places, scheduled, trapezoid, warmed_up


def test_rates_warm_up_stay_and_fall_to_nothing() -> None:
    factors = [trapezoid(step, 100, warmup=10, decay=0.3) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[9:71] == [1.0] * 62
    assert factors[70:] == sorted(factors[70:], reverse=True)
    assert factors[85] == pytest.approx(0.5)
    assert factors[100] == 0


def test_a_cosine_warms_up_and_falls_in_half_a_wave() -> None:
    factors = [cosine(step, 100, warmup=10) for step in range(101)]
    assert factors[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert factors[9] == 1
    assert factors[9 + 91 // 2] == pytest.approx(0.5, abs=0.02)
    assert factors[99] > factors[100] == pytest.approx(0)


def test_a_training_of_a_few_steps_does_not_spend_them_on_warming_up() -> None:
    assert [warmed_up(step, 2, warmup=5) for step in range(2)] == [1, 1]
    assert [warmed_up(step, 20, warmup=5) for step in range(3)] == [0.5, 1, 1]
    assert [warmed_up(step, 100, warmup=5) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert cosine(0, 2, warmup=5) == pytest.approx(0.75)


def test_a_schedule_is_chosen_by_its_name() -> None:
    assert scheduled("cosine", 40, 100, 10, 0.3) == cosine(40, 100, 10)
    assert scheduled("trapezoid", 85, 100, 10, 0.3) == trapezoid(85, 100, 10, 0.3) != cosine(85, 100, 10)


def test_an_epoch_has_each_row_once_in_an_order_of_its_own() -> None:
    seen = [place for step in range(15) for place in places(step, 4, 20, seed=1)]
    epochs = [seen[:20], seen[20:40], seen[40:]]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert places(7, 4, 20, seed=1) != places(7, 4, 20, seed=2)


def test_a_step_goes_down_the_gradient_at_its_rate_and_is_told(tmp_path: Path) -> None:
    model: Any = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)

    def learn(target: float) -> Learned:
        loss = 0.5 * (model.weight - target).pow(2).sum()
        loss.backward()
        return Learned(loss.item(), 3, {"target": target})

    course = Course(
        2, batch=lambda step: 0.5 + step, learn=learn, rates=lambda step: [0.1], shape=lambda step, then: {}
    )
    told: list[Progress] = []
    follow(model, [torch.optim.SGD(model.parameters(), 9.0)], course, tmp_path, told.append)
    assert [(p.step, p.tokens, p.loss) for p in told] == [(0, 3, 0.125), (1, 6, pytest.approx(0.5 * 0.55**2))]
    assert [p.gradient_norm for p in told] == pytest.approx([0.5, 0.55])
    assert model.weight.item() == pytest.approx(0.95 + 0.055)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["target"] for line in lines] == [0.5, 1.5]
