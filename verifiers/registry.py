"""The door of this package: verifiers by name, and a panel of them at work on one question's candidates.

Not where scores become a reward: that is ``reward``. The agent's score step, evaluation and training call this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from tools.sandbox import Sandbox
from verifiers.choice import Choice
from verifiers.consensus import Consensus
from verifiers.exact import Exact
from verifiers.format import Format
from verifiers.grounding import Grounding
from verifiers.json_schema import JsonSchema
from verifiers.math_answers import MathAnswers
from verifiers.unit_tests import UnitTests
from verifiers.verdict import Case, Verdict, Verifier, VerifierError

ENTRY_POINT_GROUP = "ponder.verifiers"
_log = logging.getLogger("ponder.verifiers")

_BUILT_IN: Mapping[str, Callable[[Sandbox], Verifier]] = {
    "exact": lambda sandbox: Exact(),
    "math": lambda sandbox: MathAnswers(),
    "format": lambda sandbox: Format(),
    "grounding": lambda sandbox: Grounding(),
    "choice": lambda sandbox: Choice(),
    "json_schema": lambda sandbox: JsonSchema(),
    "unit_tests": UnitTests,
    "consensus": lambda sandbox: Consensus(),
}
# The settings know which model; ``agent.panel`` makes them.
_WITH_A_MODEL = ("judge", "judge_pointwise", "process_reward", "outcome_reward")


def load(spec: str, sandbox: Sandbox | None = None) -> Verifier:
    """A verifier by its name here, by ``module:object``, or by an entry point's name in the group ``ponder.verifiers``.

    Programs run in ``sandbox``, by default in one that admits every tier. A user's object is a verifier, or a class or
    function that makes one when called with nothing. Loading runs the module's code: only load what the person chose.
    Raises VerifierError: it cannot be found, imported or used.
    """
    if spec in _BUILT_IN:
        return _BUILT_IN[spec](sandbox or Sandbox())
    point = EntryPoint(spec, spec, ENTRY_POINT_GROUP) if ":" in spec else _installed(spec)
    try:
        found = point.load()
        verifier = found() if isinstance(found, type) or not hasattr(found, "verify") else found
    except Exception as error:  # a stranger's code, which may raise anything
        raise VerifierError(f"The verifier {spec} cannot be loaded: {type(error).__name__}: {error}.") from error
    if not (callable(getattr(verifier, "verify", None)) and isinstance(getattr(verifier, "name", None), str)):
        raise VerifierError(f"{spec} is no verifier: give it a `name` and `async def verify(self, cases)`.")
    return verifier


def _installed(name: str) -> EntryPoint:
    found = entry_points(group=ENTRY_POINT_GROUP)
    if name not in found.names:
        known = ", ".join([*_BUILT_IN, *_WITH_A_MODEL, *sorted(found.names)])
        raise VerifierError(f"There is no verifier called {name!r}; take one of {known}, or write module:object.")
    return found[name]


async def judge(
    verifiers: Iterable[Verifier], cases: Sequence[Case], deadline_seconds: float = 300.0
) -> list[tuple[Verdict, ...]]:
    """All verifiers at once on the candidates of one question: for each case, a verdict of each verifier, in order.

    One that fails or outlasts the deadline gives verdicts without a score that say so, so that the others count.
    """
    verdicts = await asyncio.gather(*(_verdicts(each, cases, deadline_seconds) for each in verifiers))
    return [tuple(of_case) for of_case in zip(*verdicts, strict=True)] if verdicts else [() for _ in cases]


async def _verdicts(verifier: Verifier, cases: Sequence[Case], seconds: float) -> list[Verdict]:
    try:
        async with asyncio.timeout(seconds):
            verdicts = await verifier.verify(cases)
        if len(verdicts) != len(cases):
            raise VerifierError(f"It gave {len(verdicts)} verdicts for {len(cases)} candidates.")
        if not all(isinstance(each, Verdict) and each.verifier == verifier.name for each in verdicts):
            raise VerifierError(f"It gave something else than verdicts in its own name, {verifier.name}.")
        return verdicts
    except TimeoutError:
        reason = f"It took longer than {seconds:g} s."
    except Exception as error:  # a user's own verifier must not end the question; what failed is in the verdict
        _log.warning("the verifier %s failed", verifier.name, exc_info=True)
        reason = str(error) if isinstance(error, VerifierError) else f"It failed: {type(error).__name__}: {error}"
    return [Verdict(verifier.name, None, reason) for _ in cases]
