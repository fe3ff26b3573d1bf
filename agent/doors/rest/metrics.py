"""What Prometheus reads of this process: requests, runs, tokens, and how full it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from agent.doors.rest.admission import Admission
    from agent.records import Run

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """Counted from the start of the process."""

    def __init__(self, admission: Admission) -> None:
        self._registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"ponder_{name}", what, labels, registry=self._registry)

        self._requests = counter("requests", "Requests, by what they were answered with.", "method", "status")
        self._runs = counter("runs", "Runs that ended, and how.", "effort", "status")
        self._tokens = counter("tokens", "Tokens of runs that ended.", "kind")
        self._seconds = Histogram(
            "ponder_run_seconds", "Of runs that ended.", ["effort"], registry=self._registry, buckets=SECONDS
        )
        for name, what, value in (
            ("under_way", "Questions under way.", lambda: admission.under_way),
            ("waiting", "Questions that wait for their turn.", lambda: admission.queued),
        ):
            Gauge(f"ponder_{name}", what, registry=self._registry).set_function(value)

    def answered(self, method: str, status: int) -> None:
        """A request was."""
        self._requests.labels(method, str(status)).inc()

    def ended(self, run: Run) -> None:
        """A run has."""
        used = run.usage
        self._runs.labels(run.effort, run.status).inc()
        self._seconds.labels(run.effort).observe(used.seconds)
        for kind, count in (
            ("prompt", used.prompt_tokens),
            ("cached_prompt", used.cached_prompt_tokens),
            ("sampled", used.sampled_tokens),
            ("verifier", used.verifier_tokens),
        ):
            self._tokens.labels(kind).inc(count)

    def told(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)
