"""What is wrong with a scenario, said in one line that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from simulations.errors import SimulationError

if TYPE_CHECKING:
    from pydantic import ValidationError


class BadScenario(SimulationError):
    """A scenario, or what was asked of it, makes no sense; the line names file and key."""

    code = "bad_scenario"


def explain(error: ValidationError, known: Iterable[str]) -> str:
    """One thing that is wrong, as `key: reason`; a mistyped key is told what it may have meant."""
    found = error.errors(include_url=False, include_context=False)
    # A mistyped key is often missing as well, and says more.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key}: there is no such key{suggest(str(first['loc'][-1]), known)}"
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    return f"{key}: {reason}" if key else reason


def suggest(name: str, known: Iterable[str]) -> str:
    """What a mistyped name may have meant, to be put behind a message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}" if names else ""
