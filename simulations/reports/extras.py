"""Libraries that come with an extra: asked for by name, and missed in one clear line."""

from __future__ import annotations

import importlib
from typing import Any, Final

from simulations.errors import SimulationError

HINT: Final = "pip install 'meshnode[research]'"


class MissingExtra(SimulationError):
    """A library that is not installed is needed."""

    code = "missing_extra"


def import_extra(module: str) -> Any:
    """Import a module of an optional library. Raises `MissingExtra`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        library = module.partition(".")[0]
        raise MissingExtra(f"{library} is not installed", hint=HINT) from None


def has_extra(module: str) -> bool:
    """Whether a module of an optional library can be imported."""
    try:
        import_extra(module)
    except MissingExtra:
        return False
    return True
