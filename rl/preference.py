"""Pairs of attempts of which one was better: what DPO and a reward model learn from.

They come from rewards (the best and the worst of a group) and from people: a candidate that somebody preferred to the
chosen one, and what was said of two runs of one question. The sides of a pair have the very same prompt, as token ids.
Who drew them does not matter here, and neither does how: a pair is judged, not weighed by its probability.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from agent.records import Ending, Node, Path, Run
from agent.store import Store
from rl.contamination import Finder
from rl.groups import Group, Member, chained
from rl.selection import Wanted, chosen, liked
from rl.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Side:
    """What was written after the prompt."""

    run_id: str
    path: Path  # of its first node
    token_ids: tuple[int, ...]
    learn: tuple[bool, ...]  # which of them were sampled; the others are tools'


@dataclass(frozen=True, slots=True)
class Pair:
    prompt: tuple[int, ...]
    winner: Side
    loser: Side
    margin: float  # of the rewards, or of what people said


@dataclass(frozen=True, slots=True)
class Pairs:
    """What there is to learn from, and what is not, by reason."""

    pairs: tuple[Pair, ...]
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Which pairs are made."""

    margin: float = 0.1  # the least difference of rewards, or of what people said (-1 to 1)
    a_group: int = 1  # at most so many; of a group, and of the runs of a question


def rewarded(groups: Iterable[Group], contrast: Contrast) -> Pairs:
    """The highest with the lowest reward of each group, then the second highest with the second lowest, and so on."""
    left_out: Counter[str] = Counter()
    found: list[Pair] = []
    for group in groups:
        ranked = sorted(group.members, key=lambda member: -member.reward)
        half = min(contrast.a_group, len(ranked) // 2)
        for high, low in zip(ranked[:half], ranked[::-1], strict=False):
            if high.reward - low.reward < contrast.margin or high.reward == low.reward:
                left_out[f"its rewards differ by less than {contrast.margin:g}"] += 1
            else:
                prompt, winner = side_of(group, high)
                found.append(Pair(prompt, winner, side_of(group, low)[1], high.reward - low.reward))
    return Pairs(tuple(found), left_out)


def side_of(group: Group, member: Member) -> tuple[tuple[int, ...], Side]:
    start = member.learn.index(True)
    return member.token_ids[:start], Side(group.run_id, member.path, member.token_ids[start:], member.learn[start:])


# --- people -----------------------------------------------------------------------------------------------------------


def said(log: Store, wanted: Wanted, contrast: Contrast, held_out: Iterable[Task] = ()) -> Pairs:
    """What people preferred, in the runs that are chosen and may be learned from."""
    finder, left_out, found = Finder(held_out), Counter[str](), list[Pair]()
    asked: dict[str, list[tuple[float, Run]]] = defaultdict(list)
    for listed in chosen(log, wanted)[0]:  # who is left out there is counted with the groups
        if finder.stands_in(listed.question):
            continue
        run = log.run(listed.run_id)
        preferred = dict.fromkeys(each.preferred for each in log.feedback(run.run_id) if each.preferred is not None)
        for path in preferred:
            add(within(run, path), found, left_out)
        if (value := liked(log, run)) > float("-inf"):
            asked[run.question].append((value, run))
    for runs in asked.values():
        for pair in between(runs, contrast):
            add(pair, found, left_out)
    return Pairs(tuple(found), left_out)


def add(pair: Pair | str, found: list[Pair], left_out: Counter[str]) -> None:
    """A pair, or why there is none."""
    if isinstance(pair, str):
        left_out[pair] += 1
    else:
        found.append(pair)


def within(run: Run, preferred: Path) -> Pair | str:
    """The preferred candidate of a run and the chosen one, from where their ways part; or why they are no pair."""
    if run.chosen is None or run.chosen == preferred:
        return "nothing else was chosen"
    shared = len(list(takewhile(lambda steps: steps[0] == steps[1], zip(run.chosen, preferred, strict=False))))
    return paired(written(run, preferred, shared), written(run, run.chosen, shared), 1.0)


def between(runs: Sequence[tuple[float, Run]], contrast: Contrast) -> Iterator[Pair | str]:
    """The chosen answers of runs of one question, the most liked with the least liked, and so on."""
    ranked = sorted(runs, key=lambda each: -each[0])
    half = min(contrast.a_group, len(ranked) // 2)
    for (high, better), (low, worse) in zip(ranked[:half], ranked[::-1], strict=False):
        if high == low or high - low < contrast.margin:
            yield f"people's values differ by less than {contrast.margin:g}"
        elif better.chosen is None or worse.chosen is None:
            yield "nothing was chosen"
        else:
            yield paired(written(better, better.chosen, 0), written(worse, worse.chosen, 0), high - low)


Written = tuple[tuple[int, ...], Side]


def paired(winner: Written | str, loser: Written | str, margin: float) -> Pair | str:
    if isinstance(winner, str) or isinstance(loser, str):
        return winner if isinstance(winner, str) else str(loser)
    if winner[0] != loser[0]:
        return "their prompts are not the same, token for token"
    if winner[1].token_ids == loser[1].token_ids:
        return "they are the same, token for token"
    return Pair(winner[0], winner[1], loser[1], margin)


def written(run: Run, leaf: Path, shared: int) -> Written | str:
    """What was written to ``leaf`` after its first ``shared`` steps, and its prompt; or why that cannot be learned."""
    if run.node(leaf) is None:
        return "what was preferred is not in the log"
    nodes = run.trajectory(leaf)[shared:]
    if not nodes:
        return "one is the beginning of the other"
    if why := next(filter(None, map(unusable, nodes)), None):
        return why
    whole = chained([node.sample for node in nodes])
    if whole is None:
        return "its prompts are not beginnings of one another"
    token_ids, learn, _ = whole
    start = len(nodes[0].sample.prompt_token_ids)
    return token_ids[:start], Side(run.run_id, nodes[0].path, token_ids[start:], learn[start:])


def unusable(node: Node) -> str | None:
    """Why nothing can be learned from a node; None where it can. However it was drawn, it was judged."""
    if node.sample.not_trainable is not None:
        return node.sample.not_trainable
    if node.ending in (Ending.CANCELLED, Ending.ERROR):
        return f"it ended in {node.ending}"
    return None if node.sample.token_ids else "it has no token"


def short(pairs: Pairs, longest: int) -> Pairs:
    """Those that a model can read which reads so many tokens, each pair once."""
    found = [pair for pair in pairs.pairs if length(pair) <= longest]
    known = {(pair.prompt, pair.winner.token_ids, pair.loser.token_ids): pair for pair in found}
    left_out = Counter(
        {
            "it is longer than the model reads": len(pairs.pairs) - len(found),
            "another pair is the same": len(found) - len(known),
        }
    )
    return Pairs(tuple(known.values()), +(pairs.left_out + left_out))


def length(pair: Pair) -> int:
    """Tokens of the longer side, with the prompt."""
    return len(pair.prompt) + max(len(pair.winner.token_ids), len(pair.loser.token_ids))
