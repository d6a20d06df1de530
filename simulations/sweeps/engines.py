"""How a function is applied to many items: one interface, and what every engine shares.

An engine yields an `Attempt` for every item, in any order. A function that raises, and one that
takes its process down, is an attempt that failed, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MESSAGE_CHARS_MAX: Final = 500
DEATHS_MAX: Final = 2
"""So many workers die over an item before it is given up: one death may be the machine's fault."""


class Failure(msgspec.Struct, frozen=True):
    """Why an item has no result, in one line."""

    message: str


@dataclass(frozen=True, slots=True)
class Attempt(Generic[ItemT, ResultT]):
    """An item and what came of it."""

    item: ItemT
    result: ResultT | Failure


class Engine(Protocol):
    """Applies a function to items. Function, items and results must be picklable."""

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """Yield an attempt for each item, as they end. Closing the iterator ends all work at once."""
        ...


class Serial:
    """One item after the other, in this process: for debuggers and for small machines."""

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """See `Engine`."""
        for item in items:
            yield Attempt(item, attempt(function, item))


def attempt(function: Callable[[ItemT], ResultT], item: ItemT) -> ResultT | Failure:
    """Apply a function; what it raises becomes a failure."""
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - whatever one run raises, the others go on
        return Failure(describe(error))


def describe(error: BaseException) -> str:
    """What was raised, in one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:MESSAGE_CHARS_MAX]
