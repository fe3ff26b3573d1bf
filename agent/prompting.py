"""What a step is asked with: the last prompt, what was sampled, and what followed it. ``drawing`` calls it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

from agent.context import RunContext
from agent.policy.policy import ContextTooLong
from agent.records import FORM, Ending, Node, Path
from agent.search.bridges import CLOSE, bridged, unthinking
from agent.state import REPAIRABLE

PROMPTS = FilePath(__file__).parent / "prompts"
ROOM = 64  # fewest tokens worth sampling; a prompt that leaves less is compacted
CUT = "[cut to make room: {count} more characters]"


def prompt_for(context: RunContext, path: Path, bridge: str = "") -> tuple[list[int], str]:
    """The prompt of the node at ``path``, and a note where it is more than the last one with what followed.

    Raises:
        ContextTooLong: even the shortest form leaves no room for an answer.
    """
    if len(path) == 1:
        begun = unthinking(context.agent.policy.renderer) if bridge == CLOSE else []
        return [*context.opening.prompt_token_ids, *begun], context.opening.note
    parent = context.tree[path[:-1]]
    if bridge == FORM:
        return [*parent.sample.prompt_token_ids, *formed(context, parent)], ""
    carried_on = bridged(context.agent.policy.renderer, parent.sample, bridge) if bridge else carried(context, parent)
    prompt = [*parent.sample.prompt_token_ids, *carried_on]
    note = f"repair: {parent.ending.value}" if parent.ending in REPAIRABLE else ""
    note = f"retry: {parent.note}" if parent.ending is Ending.ERROR else note
    if fits(context, prompt):
        return prompt, note
    prompt, compaction = compacted(context, path[:-1])
    return prompt, f"{note}; {compaction}" if note else compaction


def formed(context: RunContext, parent: Node) -> list[int]:
    """What follows the chosen answer where it is asked for by a schema: it is written down, without another thought."""
    renderer, ids = context.agent.policy.renderer, parent.sample.token_ids
    text = f"{(PROMPTS / 'form.txt').read_text().strip()}\n{context.run.supplied.json_schema}"
    return [*ids, *renderer.user_turn(text, after=ids), *unthinking(renderer)]


def fits(context: RunContext, prompt: Sequence[int]) -> bool:
    return context.agent.policy.context_length - len(prompt) >= ROOM


def compacted(context: RunContext, path: Path) -> tuple[list[int], str]:
    """The attempt up to ``path`` with less of what its tools said, and how much less in words.

    Results of earlier steps are left out, and of the last step as much as does not fit, by halves.
    """
    *earlier, last = [context.tree[path[: i + 1]] for i in range(len(path))]
    before = list(context.opening.prompt_token_ids)
    for node in earlier:
        before += carried(context, node, keep=0)
    keep = longest = max((len(result.text) for result in last.tool_results), default=0)
    while not fits(context, prompt := [*before, *carried(context, last, keep)]):
        if keep == 0:
            raise ContextTooLong(
                f"The attempt has come to {len(prompt)} tokens and the model reads "
                f"{context.agent.policy.context_length}; ask a narrower question, or start a new thread."
            )
        keep //= 2
    done = [f"tool results of the first {len(earlier)} steps left out"] if earlier else []
    done += [f"those of the last cut to {keep} characters"] if keep < longest else []
    return prompt, f"compacted: {', '.join(done)}"


def carried(context: RunContext, node: Node, keep: int | None = None) -> list[int]:
    """What the next prompt has beyond the node's own: its tokens and what follows; of one that broke off, nothing."""
    return [] if broke_off(node) else [*node.sample.token_ids, *appended(context, node, keep)]


def appended(context: RunContext, node: Node, keep: int | None = None) -> list[int]:
    """What follows a node's sampled tokens in the next prompt: a repair, or tool results of ``keep`` characters."""
    renderer = context.agent.policy.renderer
    if node.ending in REPAIRABLE:
        return renderer.user_turn(repair_text(node.ending), after=node.sample.token_ids)
    if node.ending is Ending.STEP:
        return []
    texts = [result.text if keep is None else cut(result.text, keep) for result in node.tool_results]
    return renderer.tool_results(texts, after=node.sample.token_ids)


def cut(text: str, keep: int) -> str:
    """At most ``keep`` characters and a line that says how many more there were; the text where that is no longer."""
    shorter = f"{text[:keep]}\n{CUT.format(count=len(text) - keep)}".lstrip("\n")
    return min(text, shorter, key=len)


def repair_text(ending: Ending) -> str:
    return (PROMPTS / f"repair_{ending.value}.txt").read_text().strip()


def broke_off(node: Node) -> bool:
    """Whether the model had begun to answer and failed: the next step asks it the same again."""
    return node.ending is Ending.ERROR and bool(node.sample.token_ids)
