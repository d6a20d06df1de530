"""Finds scenarios: those that come with the package, and files of one's own."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from simulations.scenarios.errors import BadScenario, explain, suggest
from simulations.scenarios.schema import Plot, Scenario

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIX: Final = ".toml"
SIZE_BYTES_MAX: Final = 1 << 20


def names() -> tuple[str, ...]:
    """The scenarios that come with the package, in order of the alphabet."""
    found = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))


def load(name_or_path: str | Path) -> Scenario:
    """A scenario by name, or from a TOML file. Raises `BadScenario` naming file and key."""
    if isinstance(name_or_path, Path) or name_or_path.endswith(SUFFIX):
        path = Path(name_or_path)
        try:
            if path.stat().st_size > SIZE_BYTES_MAX:
                raise BadScenario(f"{path} is larger than {SIZE_BYTES_MAX >> 20} MiB")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadScenario(
                f"{path} cannot be read: {error}", hint="give a name or a TOML file"
            ) from None
        return parse(text, str(path))
    if name_or_path not in names():
        raise BadScenario(
            f"there is no scenario {name_or_path!r}{suggest(name_or_path, names())}",
            hint=f"known are {', '.join(names())}; or give the path of a TOML file",
        )
    entry = _folder() / f"{name_or_path}{SUFFIX}"
    return parse(entry.read_text(encoding="utf-8"), entry.name)


def parse(text: str, origin: str) -> Scenario:
    """A scenario from TOML text; `origin` names it in errors. Raises `BadScenario`."""
    try:
        scenario = Scenario.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{origin}: {error}") from None
    except ValidationError as error:
        known = (*Scenario.model_fields, *Plot.model_fields)
        raise BadScenario(f"{origin}: {explain(error, known)}") from None
    try:
        scenario.check()
    except BadScenario as error:
        raise BadScenario(f"{origin}: {error.message}") from None
    return scenario


def _folder() -> Traversable:
    return resources.files("simulations.scenarios")
