"""What a metric is: its name, what it means, and how its samples are read.

The functions make metrics out of one part of a scrape each; `metric_table` holds all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meshnode.shell.measures import Spread

if TYPE_CHECKING:
    from meshnode.gateway.http_meter import HttpLoad
    from meshnode.gateway.port import Phase
    from meshnode.node.measuring import Readings
    from meshnode.views import ConsensusInfo, EngineView, MoneyInfo, NodeStatus

Kind = Literal["gauge", "counter", "histogram", "info"]


class Scrape:
    """Everything the samples of one moment are made from."""

    def __init__(
        self,
        *,
        version: str,
        phase: Phase,
        http: HttpLoad,
        status: NodeStatus | None,
        readings: Readings | None,
    ) -> None:
        """Status and readings are None while there is no node."""
        self.version = version
        self.phase = phase
        self.http = http
        self.status = status
        self.readings = readings


Sample = tuple[tuple[str, ...], "float | Spread"]
"""Values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    """As it is exported."""
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Scrape], Iterable[Sample]]
    shows: tuple[str, ...] = ()
    """The numbers of the status that it exports."""


def make_gauge(
    name: str,
    help_: str,
    read: Callable[[Scrape], float | None],
    *,
    shows: tuple[str, ...] = (),
    kind: Kind = "gauge",
) -> Metric:
    """A value without labels; None for none now."""

    def list_samples(scrape: Scrape) -> Iterable[Sample]:
        value = read(scrape)
        return [] if value is None else [((), value)]

    return Metric(f"meshnode_{name}", kind, help_, (), list_samples, shows)


def of_status(name: str, help_: str, read: Callable[[NodeStatus], float], *shows: str) -> Metric:
    """A figure of the status."""

    def find(scrape: Scrape) -> float | None:
        return None if scrape.status is None else read(scrape.status)

    return make_gauge(name, help_, find, shows=shows)


def of_order(
    name: str, help_: str, read: Callable[[ConsensusInfo], float | None], *shows: str
) -> Metric:
    """A figure of the agreed order."""

    def find(scrape: Scrape) -> float | None:
        order = None if scrape.status is None else scrape.status.consensus
        return None if order is None else read(order)

    return make_gauge(
        f"consensus_{name}", help_, find, shows=tuple(f"consensus.{s}" for s in shows)
    )


def of_engine(name: str, help_: str, read: Callable[[EngineView], float], show: str) -> Metric:
    """A figure of the own engine."""

    def find(scrape: Scrape) -> float | None:
        engine = None if scrape.status is None else scrape.status.engine
        return None if engine is None else read(engine)

    return make_gauge(f"engine_{name}", help_, find, shows=(f"engine.{show}",))


def of_money(name: str, help_: str, read: Callable[[MoneyInfo], float], show: str) -> Metric:
    """A figure of the own money."""

    def find(scrape: Scrape) -> float | None:
        money = None if scrape.status is None else scrape.status.money
        return None if money is None else read(money)

    return make_gauge(name, help_, find, shows=(f"money.{show}",))


def measured(
    name: str,
    kind: Kind,
    help_: str,
    labels: tuple[str, ...],
    read: Callable[[Readings], Iterable[Sample]],
    *shows: str,
) -> Metric:
    """What the node measures beside its status."""

    def list_samples(scrape: Scrape) -> Iterable[Sample]:
        return () if scrape.readings is None else read(scrape.readings)

    return Metric(f"meshnode_{name}", kind, help_, labels, list_samples, shows)


def counted(name: str, help_: str, counter: str) -> Metric:
    """A counter of the shell."""
    return measured(
        name, "counter", help_, (), lambda r: [((), r.telemetry["counters"].get(counter, 0))]
    )


def moved(name: str, help_: str, unit: str) -> Metric:
    """A pair of the transport's counters: what was sent, and what was received."""

    def list_samples(scrape: Scrape) -> Iterable[Sample]:
        if scrape.status is None:
            return []
        counters = scrape.status.counters
        return [((way,), counters.get(f"{unit}_{way}", 0)) for way in ("sent", "received")]

    shows = (f"counters.{unit}_sent", f"counters.{unit}_received")
    return Metric(f"meshnode_{name}", "counter", help_, ("direction",), list_samples, shows)


def transported(counter: str, help_: str) -> Metric:
    """A counter of the transport."""

    def find(scrape: Scrape) -> float | None:
        return None if scrape.status is None else scrape.status.counters.get(counter, 0)

    name = f"transport_{counter}_total"
    return make_gauge(name, help_, find, shows=(f"counters.{counter}",), kind="counter")


def list_states(
    known: tuple[str, ...], read: Callable[[Scrape], str | None]
) -> Callable[[Scrape], Iterable[Sample]]:
    """1 for the state that holds, 0 for the others."""

    def list_samples(scrape: Scrape) -> Iterable[Sample]:
        state = read(scrape)
        return [] if state is None else [((name,), float(name == state)) for name in known]

    return list_samples
