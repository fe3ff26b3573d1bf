"""What Prometheus reads: requests, runs, tokens, and how full the door is; of all workers, where there are several.

Workers share their numbers as files of Prometheus' own client (its multiprocess mode); ``shared`` makes the folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from agent.doors.admission import Admission
    from agent.records import Run

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by Prometheus' client when it is imported
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

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"ponder_{name}", what, registry=self._registry, multiprocess_mode="livesum")

        under_way, waiting = (
            gauge("under_way", "Questions under way."),
            gauge("waiting", "Questions that wait for their turn."),
        )

        def changed() -> None:
            under_way.set(admission.under_way)
            waiting.set(admission.queued)

        admission.changed = changed

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
        if (folder := os.environ.get(FOLDER)) is None:
            return generate_latest(self._registry)
        forget_dead(Path(folder))
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, folder)
        return generate_latest(everybody)


def forget_dead(folder: Path) -> None:
    """What a worker that was killed had under way is under way no more; what it counted stays."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))


@contextmanager
def shared() -> Iterator[None]:
    """The workers that are begun in the block count together."""
    with tempfile.TemporaryDirectory(prefix="ponder-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
