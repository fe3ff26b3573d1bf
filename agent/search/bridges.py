"""What a search puts between a node and its children: a critique to answer, a thought that goes on, or is cut.

It belongs to the children's prompt, never to what was sampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.records import Sample

if TYPE_CHECKING:
    from agent.policy.renderer import Renderer

# Beside these there is ``records.FORM``, which no search uses.
CRITIQUE, REVISE, WAIT, CLOSE = "critique", "revise", "wait", "close"
PROMPTS = Path(__file__).parent.parent / "prompts"


def bridged(renderer: Renderer, parent: Sample, bridge: str) -> list[int]:
    """What the children's prompt has after the parent's prompt. ``bridge`` names a text under ``prompts/``.

    "wait" takes the end of the thought away and writes its text in its place (budget forcing, Muennighoff et al. 2025);
    "close" ends a thought that has not ended; any other is what a person would say next.
    """
    ids, end = list(parent.token_ids), renderer.marks.end_think
    ended = bool(ids) and ids[-1] == end
    if bridge == CLOSE:
        return ids if ended or end is None else [*ids, *renderer.encode("\n"), end, *renderer.encode("\n\n")]
    text = (PROMPTS / f"{bridge}.txt").read_text().strip()
    if bridge == WAIT:
        return [*(ids[:-1] if ended else ids), *renderer.encode(text)]
    return [*ids, *renderer.user_turn(text, after=ids)]


def unthinking(renderer: Renderer) -> list[int]:
    """A turn that has begun with a thought in which nothing is thought; [] for a model that has no thoughts."""
    think, end = renderer.marks.think, renderer.marks.end_think
    if think is None or end is None:
        return []
    begun = [] if renderer.marks.opens_thought else [think]
    return [*begun, *renderer.encode("\n\n"), end, *renderer.encode("\n\n")]
