"""The settings of engines: typed records, read strictly from plain mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from meshnode.errors import ConfigError
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY_MS = 24 * 3600 * 1000

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
DurationMs = Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)]
SizeBytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every engine can be told."""

    waiting_max: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 64
    """How many requests may wait for a slot before further ones are refused as overload."""


OptionsT = TypeVar("OptionsT", bound=EngineOptions)


def read_options(engine: str, kind: type[OptionsT], values: Mapping[str, object]) -> OptionsT:
    """The options of `kind` from plain values. Raises `ConfigError`, which names the key."""
    try:
        return msgspec.convert(dict(values), kind, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the options of engine '{engine}' cannot be used: {error}",
            hint=f"known options: {', '.join(kind.__struct_fields__)}",
        ) from None


def _decode_secret(kind: type, value: Any) -> Any:
    """The one kind of value that plain data does not have."""
    assert kind is Secret, kind
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, Secret):
        return value
    # The value itself stays out of the message: it may be somebody's key in the wrong form.
    raise TypeError(f"a {type(value).__name__} where a text is needed")
