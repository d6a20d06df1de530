"""Curves of what was looked at while it went on, few enough points for a picture."""

from __future__ import annotations

from simulations.results import Number
from simulations.scenarios.summary import SERIES_MAX, thin

DIGITS = 6


class Chart:
    """Values by place, each place once; a later value of a place takes the earlier one's."""

    def __init__(self) -> None:
        self._points: dict[Number, Number] = {}

    def add(self, x: Number, y: Number) -> None:
        """Look at a value; places never fall."""
        self._points[round(x, DIGITS)] = round(y, DIGITS)

    def trace(self) -> list[tuple[Number, Number]]:
        """The curve, thinned out to what a picture can show."""
        places = thin(list(self._points), SERIES_MAX)
        return [(place, self._points[place]) for place in places]
