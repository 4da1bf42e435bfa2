"""What the server counts, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.server.pool import WorkerPool

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of one server; each has a registry of its own.

    Parameters
    ----------
    pool
        Its queue and its workers are read when the metrics are.
    """

    def __init__(self, pool: WorkerPool[Any, Any]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("uncrop_requests", "Requests answered.", ["route", "code"], registry=registry)
        self.seconds = Histogram(
            "uncrop_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "uncrop_requests_in_flight", "Requests that are being answered.", registry=registry
        )
        self.photographs = Counter(
            "uncrop_photographs", "Photographs segmented.", ["status"], registry=registry
        )
        self.faces = Counter("uncrop_faces", "Faces segmented.", registry=registry)
        for name, text, read in (
            ("queue_depth", "Requests that wait for a worker.", lambda: pool.waiting),
            ("workers_ready", "Workers that have loaded their models.", lambda: pool.state.ready),
            ("workers_busy", "Workers that have a request in hand.", lambda: pool.state.busy),
            ("workers_lost", "Workers that died or took too long.", lambda: pool.state.lost),
        ):
            Gauge(f"uncrop_{name}", text, registry=registry).set_function(read)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Counts and times every request, by the path of its route, not by what clients make up."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and watch its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        code = 500

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.in_flight.dec()
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(code)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - start)
