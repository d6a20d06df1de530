"""Load, read from the metrics that engines expose in the text format of Prometheus."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meshnode.engines.base import LoadSignals

if TYPE_CHECKING:
    from meshnode.engines.local_kinds import Traits

COUNT_MAX = 1_000_000

_SAMPLE = re.compile(
    r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^\n]{0,4096}\})?[ \t]+([0-9eE+\-.]{1,40})(?:[ \t]|$)",
    re.MULTILINE,
)


def read_load_signals(text: str, traits: Traits) -> LoadSignals:
    """The load in a page of metrics; a server of several engines has their sum, and the fullest."""
    samples: dict[str, list[float]] = {}
    wanted = {*traits.running, *traits.waiting, *traits.kv_usage}
    for match in _SAMPLE.finditer(text):
        if match[1] in wanted:
            value = _number(match[2])
            if value is not None:
                samples.setdefault(match[1], []).append(value)
    running = _find(samples, traits.running)
    waiting = _find(samples, traits.waiting)
    usage = _find(samples, traits.kv_usage)
    return LoadSignals(
        running=None if running is None else int(sum(running)),
        waiting=None if waiting is None else int(sum(waiting)),
        kv_usage_permille=None if usage is None else round(1_000 * min(max(usage), 1.0)),
    )


def _find(samples: dict[str, list[float]], names: tuple[str, ...]) -> list[float] | None:
    return next((samples[name] for name in names if name in samples), None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= COUNT_MAX else None
