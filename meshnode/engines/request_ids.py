"""The ids by which a provider finds a request again, for its support and for the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID_HEADERS = ("msh-request-id", "x-generation-id", "x-request-id")
TRACE_ID_HEADERS = ("x-trace-id",)
ID_CHARS_MAX = 100


def read_request_id(headers: Mapping[str, str]) -> str:
    """The provider's id of a request; empty where it gives none."""
    return _first(headers, REQUEST_ID_HEADERS)


def read_trace_id(headers: Mapping[str, str]) -> str:
    """The provider's id of a trace; empty where it gives none."""
    return _first(headers, TRACE_ID_HEADERS)


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    values = (headers.get(name, "") for name in names)
    return next((value for value in values if _is_id(value)), "")


def _is_id(value: str) -> bool:
    return 0 < len(value) <= ID_CHARS_MAX and value.isascii() and value.isprintable()
