"""Groups of independent samples, read from trees that are in the log: what GRPO learns from.

A group is what was grown from one node, drawn from one distribution: all attempts of a best-of-N, all children of a
node of a beam or of a tree search. A member goes from its first token to where the tree branches again, or ends; its
reward is the mean of the attempts through it. What cannot be learned from is left out, and counted by its reason.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.records import FORM, Ending, Node, Path, PolicyVersion, Run, Sample, group_key

Rewards = Mapping[Path, float | None]  # by the path of an attempt's last node; None: nobody could say
# By the path of a node: after how many of its sampled tokens each of its steps ends, and how good that step is.
StepRewards = Mapping[Path, Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Member:
    """One sample of a group, with everything that came after it up to the next branch."""

    path: Path  # of its first node
    token_ids: tuple[int, ...]  # the prompt, what was sampled, what tools gave
    learn: tuple[bool, ...]  # which of them were sampled by this member
    logprobs: tuple[float, ...]  # natural log, under the distribution sampled from; 0 for the others
    reward: float
    steps: tuple[tuple[int, float], ...] = ()  # where each one's last token stands, and its reward; (): nobody said

    @property
    def sampled(self) -> int:
        return sum(self.learn)


@dataclass(frozen=True, slots=True)
class Group:
    """Members that differ in nothing but chance."""

    run_id: str
    parent: Path  # of the node that they were grown from
    policy: PolicyVersion
    temperature: float
    seed: int  # of its first draw: what equal prompts, policies and seeds give is the same draw
    members: tuple[Member, ...]
    reference: bool  # drawn whole, with nothing stopped early


@dataclass(frozen=True, slots=True)
class Found:
    """What a log, or a run of it, has to learn from."""

    groups: tuple[Group, ...]
    left_out: Counter[str]  # samples by the reason why nothing can be learned from them


def groups_of(run: Run, rewards: Rewards, steps: StepRewards | None = None) -> Found:
    """The groups of one run's tree, in the order of their parents."""
    left_out: Counter[str] = Counter()
    children: dict[Path, list[Node]] = defaultdict(list)
    for node in sorted((node for node in run.nodes if node.bridge != FORM), key=lambda node: node.path):
        children[node.parent].append(node)
    groups = []
    for parent in sorted(children):
        if len(children[parent]) == 1 and parent:
            continue  # the only way on: a part of the member above
        alike: dict[object, list[Member]] = defaultdict(list)
        for first in children[parent]:
            member, why = member_of(first, children, rewards, steps or {})
            if member is None:
                left_out[why] += 1
            else:
                alike[group_key(first), first.bridge].append(member)
        for members in alike.values():
            if len(members) == 1:
                left_out["it has nothing to be compared with"] += 1
                continue
            drawn, place = children[parent][0].sample.params, children[parent][0].path[-1]
            groups.append(
                Group(
                    run.run_id, parent, run.policy, drawn.temperature, drawn.seed - place, tuple(members), run.reference
                )
            )
    return Found(tuple(groups), left_out)


def member_of(
    first: Node, children: Mapping[Path, Sequence[Node]], rewards: Rewards, steps: StepRewards
) -> tuple[Member | None, str]:
    """The member that begins with that node, or why there is none."""
    chain = [first]
    while len(below := children.get(chain[-1].path, ())) == 1:
        chain.append(below[0])
    if why := next(filter(None, map(refused, chain)), None):
        return None, why
    earned = [rewards.get(leaf) for leaf in leaves(chain[-1].path, children)]
    known = [value for value in earned if value is not None]
    if len(known) < len(earned) or not all(map(math.isfinite, known)):
        return None, "nobody could judge it"
    whole = chained([node.sample for node in chain])
    if whole is None:
        return None, "its prompts are not beginnings of one another"
    return Member(first.path, *whole, math.fsum(known) / len(known), judged_steps(chain, steps)), ""


def judged_steps(chain: Sequence[Node], steps: StepRewards) -> tuple[tuple[int, float], ...]:
    """Of a whole chain; nothing where one of its nodes was not judged."""
    if not all(node.path in steps for node in chain):
        return ()
    starts = [len(node.sample.prompt_token_ids) for node in chain]
    return tuple(
        (start + end - 1, reward) for start, node in zip(starts, chain, strict=True) for end, reward in steps[node.path]
    )


def refused(node: Node) -> str | None:
    """Why no gradient may come from it; None where it may."""
    sample = node.sample
    if sample.not_trainable is not None:
        return sample.not_trainable
    if node.ending in (Ending.CANCELLED, Ending.ERROR):
        return f"it ended in {node.ending}"
    if sample.params.temperature == 0:
        return "it is greedy"
    if sample.params.top_p < 1 or sample.params.top_k > 0:
        return "its distribution was cut off (top_p, top_k)"
    if not sample.token_ids:
        return "it has no token"
    return None if all(map(math.isfinite, sample.logprobs)) else "a log-probability is not a finite number"


def leaves(path: Path, children: Mapping[Path, Sequence[Node]]) -> Iterator[Path]:
    below = children.get(path, ())
    if not below:
        yield path
    for node in below:
        yield from leaves(node.path, children)


def chained(samples: Sequence[Sample]) -> tuple[tuple[int, ...], tuple[bool, ...], tuple[float, ...]] | None:
    """Samples of one chain as one sequence: its ids, which were sampled, and their log-probabilities.

    None where a prompt does not begin with the prompt before it and what was sampled then.
    """
    last = samples[-1]
    token_ids = (*last.prompt_token_ids, *last.token_ids)
    learn, logprobs = [False] * len(token_ids), [0.0] * len(token_ids)
    for sample in samples:
        start = len(sample.prompt_token_ids)
        stop = start + len(sample.token_ids)
        if token_ids[:stop] != (*sample.prompt_token_ids, *sample.token_ids):
            return None
        learn[start:stop] = [True] * (stop - start)
        logprobs[start:stop] = sample.logprobs
    return token_ids, tuple(learn), tuple(logprobs)
