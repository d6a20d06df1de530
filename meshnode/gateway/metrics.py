"""`/metrics`: what a node measures, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from meshnode.errors import MeshError
from meshnode.gateway.endpoints import Endpoint, Plain, get
from meshnode.gateway.metric_kinds import Metric, Scrape
from meshnode.gateway.metric_table import METRICS
from meshnode.shell.measures import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family

    from meshnode.gateway.http_meter import HttpMeter
    from meshnode.gateway.port import NodeHost

METRICS_PATH: Final = "/metrics"
TEXT: Final = {"type": "string"}


class MetricsApi:
    """The handler of `/metrics`, and the registry of one gateway."""

    def __init__(self, host: NodeHost, meter: HttpMeter, *, version: str) -> None:
        self._host = host
        self._meter = meter
        self._version = version
        self._collector = NodeCollector()
        self._registry: CollectorRegistry | None = None

    def make_endpoints(self) -> list[Endpoint]:
        """Its one path."""
        return [
            get(
                METRICS_PATH,
                "What the node measures, as Prometheus reads it.",
                self._answer,
                Plain("text/plain", TEXT),
                Plain("application/openmetrics-text", TEXT),
                tag="health",
            )
        ]

    async def _answer(self, request: web.Request, _: None) -> web.Response:
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = await asyncio.to_thread(make_registry, self._collector)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        self._collector.scrape = await self.read()
        # Nothing else runs between the two, so that every answer is of its own moment.
        response = web.Response(body=encode(self._registry))
        response.headers["Content-Type"] = content_type
        response.enable_compression()
        return response

    async def read(self) -> Scrape:
        """Everything measured at this moment, by a node or by a process that has none yet."""
        status = readings = None
        try:
            status = await self._host.get_node().status()
            readings = self._host.read_meters()
        except MeshError:
            pass  # starting or stopping: the phase says so
        return Scrape(
            version=self._version,
            phase=self._host.phase,
            http=self._meter.read(),
            status=status,
            readings=readings,
        )


class NodeCollector:
    """Turns a scrape into Prometheus's families."""

    def __init__(self) -> None:
        self.scrape: Scrape | None = None

    def describe(self) -> Iterator[Family]:
        """Every family without samples."""
        for metric in METRICS:
            yield _make_family(metric)

    def collect(self) -> Iterator[Family]:
        """Every family that has samples now."""
        if self.scrape is None:
            return
        for metric in METRICS:
            family = _make_family(metric)
            for labels, value in metric.read(self.scrape):
                _add_sample(family, metric, labels, value)
            yield family


def make_registry(collector: NodeCollector) -> CollectorRegistry:
    """A registry of its own: one process may run several nodes."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def _make_family(metric: Metric) -> Any:
    from prometheus_client import core

    match metric.kind:
        case "counter":
            return core.CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case "histogram":
            return core.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        case "info":
            name = metric.name.removesuffix("_info")
            return core.InfoMetricFamily(name, metric.help)
        case _:
            return core.GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def _add_sample(
    family: Any, metric: Metric, labels: tuple[str, ...], value: float | Spread
) -> None:
    if isinstance(value, Spread):
        bounds = [*(str(bound_ms / 1_000) for bound_ms in value.bounds_ms), "+Inf"]
        buckets = list(zip(bounds, value.counts, strict=True))
        family.add_metric(labels, buckets=buckets, sum_value=value.sum_ms / 1_000)
    elif metric.kind == "info":
        family.add_metric([], dict(zip(metric.labels, labels, strict=True)))
    else:
        family.add_metric(labels, value)
