"""Candidates for tests/evidence/gate.py, each trained for real on one log: 20 that gain nothing, and 3 that do harm.

    python tests/evidence/gate_candidates.py HOME OUT

HOME has a log of training questions asked of the miniature (``ponder collect``). OUT/null-* are: 8 copies with noise of
1 % in their weights; 6 that learned from rewards shuffled within each group, by GRPO; 6 that learned a random attempt
of each group by heart (self-distillation). OUT/harmful-* are: GRPO with an attempt's length as its reward
(length hacking); with an answer line after as little thought as possible (format gaming); and winners without
the mark that ends a thought, learned by heart (a broken template). Goes on where it stopped.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.assemble import MINI
from agent.policy.renderer import Renderer
from agent.settings import Settings
from rl.engine import EngineSettings
from rl.groups import Found, Group, Member
from rl.grpo import GRPOSettings
from rl.optimise import Progress
from rl.selection import Wanted
from rl.staleness import Limits
from rl.teach import Watch, teach
from rl.trainee import whole
from rl.winners import Winners, learn
from tests.evidence.gate import noise
from tests.evidence.stale_data import quiet
from tui.choosing import Lesson, collected, prepared

NOISE, NOISY, SHUFFLED, DISTILLED = 0.01, 8, 6, 6
HARMED = 320  # groups that each harmful candidate learns from
Rewarded = Callable[[Group], Sequence[float]]  # a reward for each member


def by(reward: Rewarded, groups: Sequence[Group]) -> Found:
    """The same groups, rewarded otherwise."""
    new = [
        replace(group, members=tuple(replace(m, reward=float(r)) for m, r in zip(group.members, own, strict=True)))
        for group, own in ((group, reward(group)) for group in groups)
    ]
    return Found(tuple(new), Counter())


def shuffled(seed: int) -> Rewarded:
    draw = random.Random(seed)
    return lambda group: draw.sample([member.reward for member in group.members], len(group.members))


def long(group: Group) -> Sequence[float]:
    """The more tokens the better."""
    return [member.sampled for member in group.members]


def thought(member: Member, end: int) -> int:
    """Tokens up to the last mark that ends a thought; all of them where there is none."""
    sampled = [token for token, own in zip(member.token_ids, member.learn, strict=True) if own]
    return len(sampled) - sampled[::-1].index(end) if end in sampled else len(sampled)


def terse(end: int) -> Rewarded:
    """An answer, whichever, after as little thought as possible."""
    return lambda group: [-thought(member, end) for member in group.members]


def unmarked(member: Member, end: int) -> Member:
    """Without the marks that end its thoughts."""
    kept = np.array(member.token_ids) != end
    token_ids, learned, logprobs = (
        tuple(np.array(values)[kept].tolist()) for values in (member.token_ids, member.learn, member.logprobs)
    )
    return replace(member, token_ids=token_ids, learn=learned, logprobs=logprobs)


def by_grpo(out: Path, groups: Found, how: GRPOSettings) -> None:
    def say(steps: int, progress: Progress) -> None:
        print(f"{out.name}: step {progress.step + 1} of {steps}, loss {progress.loss:.4f}", flush=True)

    if not out.is_dir():
        work = out.parent.with_suffix(".work") / out.name
        teach(whole(str(MINI)), groups, how, work, Limits(), Watch(training=say))
        (work / "model").rename(out)


def by_heart(out: Path, members: Sequence[Member], how: EngineSettings) -> None:
    if not out.is_dir():
        work = out.parent.with_suffix(".work") / out.name
        learn(whole(str(MINI)), Winners(tuple(members), Counter()), how, work)
        print(f"{out.name}: {len(members)} attempts learned by heart", flush=True)
        (work / "model").rename(out)


def main(home: str, place: str) -> None:
    prepared(1)
    out = Path(place)
    out.mkdir(parents=True, exist_ok=True)
    found = collected(Settings(home=Path(home)), Lesson(Wanted(), "with_gold"), quiet)
    groups = [group for group in found.groups if not group.parent]
    telling = [group for group in groups if len({member.reward for member in group.members}) > 1]
    end = Renderer.load(MINI).marks.end_think
    assert end is not None

    harm = GRPOSettings(epochs=3.0, learning_rate=4e-4)
    by_grpo(out / "harmful-long", by(long, groups[:HARMED]), harm)
    by_grpo(out / "harmful-terse", by(terse(end), groups[:HARMED]), harm)
    right = [member for group in groups[:HARMED] for member in group.members if member.reward > 0]
    by_heart(out / "harmful-template", [unmarked(m, end) for m in right[::4]], EngineSettings(learning_rate=3e-4))

    if not (out / f"null-noise-{NOISY - 1}").is_dir():
        noise(str(MINI), out, NOISY, NOISE)
        for index in range(NOISY):
            (out / f"null-{index}").rename(out / f"null-noise-{index}")
    for seed in range(SHUFFLED):
        how = GRPOSettings(epochs=1.0, learning_rate=2e-5, seed=seed)
        by_grpo(out / f"null-shuffled-{seed}", by(shuffled(seed), telling), how)
    for seed in range(DISTILLED):
        own = [random.Random(f"{seed}/{group.run_id}").choice(group.members) for group in groups]
        by_heart(out / f"null-distilled-{seed}", own[:HARMED], EngineSettings(learning_rate=2e-5, seed=seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
