"""What a server counts, in the text format of Prometheus."""

from __future__ import annotations

from woosh.command_line import missing_extra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ImportError as error:
    raise missing_extra("the server needs prometheus-client", "serve") from error

from woosh.serving.crew import Crew
from woosh.serving.store import Store

LONG = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)  # seconds of jobs


class Measures:
    """Counters of a server that runs; the numbers of jobs are of the table."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.accepted = Counter("woosh_jobs_accepted", "jobs accepted", ["kind"], registry=registry)
        self.repeated = Counter(
            "woosh_jobs_repeated", "requests that a job answered which was there", registry=registry
        )
        self.refused = Counter(
            "woosh_requests_refused", "requests refused", ["status"], registry=registry
        )
        self.waited = Histogram(
            "woosh_answer_seconds",
            "from a request that waits to its job's end",
            ["kind"],
            buckets=LONG,
            registry=registry,
        )
        self._jobs = Gauge("woosh_jobs", "jobs in each state", ["state"], registry=registry)
        self._cost = Gauge(
            "woosh_cost", "seconds times steps of jobs in each state", ["state"], registry=registry
        )
        self._ready = Gauge("woosh_workers_ready", "workers that take jobs", registry=registry)
        self._restarts = Gauge(
            "woosh_worker_restarts", "workers that ended and were started again", registry=registry
        )

    def text(self, store: Store, crew: Crew) -> bytes:
        """All of it."""
        self._jobs.clear()
        self._cost.clear()
        for state, (count, cost) in store.counts().items():
            self._jobs.labels(state).set(count)
            self._cost.labels(state).set(cost)
        self._ready.set(crew.ready)
        self._restarts.set(crew.restarts)
        return generate_latest(self._registry)
