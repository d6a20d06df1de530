"""Attribute tiers, and which offers are good enough for which bids.

Attributes are cut into a few tiers each, so that a book needs only one bucket per combination. A
combination is one integer: a bit field per dimension, with a spare bit above each. With the spare
bits set in the offer, subtracting the bid leaves a spare bit standing exactly where the offer's
tier is at least the bid's, so one subtraction compares all dimensions at once.

Weights precision is no dimension: whoever asks for one precision is never given another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import msgspec

from dag.errors import MeshError

TIERS_MAX: Final = 16
"""Most tiers of one dimension."""
CODES_MAX: Final = 4_096
"""Most combinations of one scheme: a search looks at the best order of each at most once."""


class InvalidTiers(MeshError):
    """Attributes that no tier stands for; the message names them."""

    code = "invalid_tiers"


class Dimension(msgspec.Struct, frozen=True):
    """One attribute: what each tier promises, from the least to the best."""

    name: str
    promises: tuple[int, ...]
    less_is_better: bool = False
    """As with a time: then promises fall from tier to tier."""

    def tier_of_offer(self, value: int) -> int:
        """The best tier whose promise this value keeps. Raises `InvalidTiers` if it keeps none."""
        tier = bisect_right(self._worth, self._weigh(value)) - 1
        if tier < 0:
            raise InvalidTiers(
                f"an offer with {self.name} {value} keeps no promise; the least is {self.promises[0]}"
            )
        return tier

    def tier_of_bid(self, value: int) -> int:
        """The least tier that promises this much. Raises `InvalidTiers` if none does."""
        tier = bisect_left(self._worth, self._weigh(value))
        if tier == len(self.promises):
            raise InvalidTiers(
                f"no tier promises {self.name} {value}; the most is {self.promises[-1]}"
            )
        return tier

    @property
    def _worth(self) -> list[int]:
        return [self._weigh(promise) for promise in self.promises]

    def _weigh(self, value: int) -> int:
        return -value if self.less_is_better else value


class TierScheme:
    """The dimensions of an instrument, and its combinations as integers."""

    def __init__(self, dimensions: Sequence[Dimension], flags: Sequence[str] = ()) -> None:
        """Dimensions by tiers; each flag is a dimension of two: not asked for, and given."""
        self.dimensions: Final = tuple(dimensions)
        self.flags: Final = tuple(flags)
        _check_scheme(self.dimensions, self.flags)
        self._counts = [len(dimension.promises) for dimension in self.dimensions]
        self._counts += [2] * len(self.flags)
        self._shifts: list[int] = []
        guard = position = 0
        for count in self._counts:
            self._shifts.append(position)
            position += (count - 1).bit_length()
            guard |= 1 << position
            position += 1
        self.guard: Final = guard
        """The spare bits."""
        self.known: Final = frozenset(self.pack(tiers) for tiers in self._list_tiers())
        """Every combination, to look one up: a book does so for every order."""

    def pack(self, tiers: Sequence[int]) -> int:
        """The integer of a combination: a tier per dimension, then 0 or 1 per flag."""
        code = 0
        for tier, shift, count in zip(tiers, self._shifts, self._counts, strict=True):
            if not 0 <= tier < count:
                raise InvalidTiers(f"tier {tier} is not one of 0 to {count - 1}")
            code |= tier << shift
        return code

    def unpack(self, code: int) -> tuple[int, ...]:
        """The tier of each dimension, then 0 or 1 per flag."""
        return tuple(
            code >> shift & (1 << (count - 1).bit_length()) - 1
            for shift, count in zip(self._shifts, self._counts, strict=True)
        )

    def is_code(self, code: int) -> bool:
        """Whether this integer stands for a combination of tiers that exist."""
        return code in self.known

    def serves(self, offer: int, bid: int) -> bool:
        """Whether an offer of one combination is good enough for a bid of another."""
        guard = self.guard
        return (offer | guard) - bid & guard == guard

    def codes(self) -> tuple[int, ...]:
        """Every combination, the least first."""
        return tuple(self.pack(tiers) for tiers in self._list_tiers())

    def encode_offer(self, values: Mapping[str, int], flags: Sequence[str] = ()) -> int:
        """The combination that an offer's attributes reach. Raises `InvalidTiers`.

        An attribute that is not named is at its least.
        """
        self._check_names(values, flags)
        tiers = [
            each.tier_of_offer(values[each.name]) if each.name in values else 0
            for each in self.dimensions
        ]
        return self.pack(tiers + [flag in flags for flag in self.flags])

    def encode_bid(self, values: Mapping[str, int], flags: Sequence[str] = ()) -> int:
        """The least combination that gives all a bid asks for. Raises `InvalidTiers`.

        An attribute that is not named does not matter.
        """
        self._check_names(values, flags)
        tiers = [
            each.tier_of_bid(values[each.name]) if each.name in values else 0
            for each in self.dimensions
        ]
        return self.pack(tiers + [flag in flags for flag in self.flags])

    def _list_tiers(self) -> Iterator[tuple[int, ...]]:
        return product(*map(range, self._counts))

    def _check_names(self, values: Mapping[str, int], flags: Sequence[str]) -> None:
        known = [dimension.name for dimension in self.dimensions]
        strange = [name for name in values if name not in known]
        strange += [flag for flag in flags if flag not in self.flags]
        if strange:
            names = ", ".join((*known, *self.flags))
            raise InvalidTiers(f"{strange[0]!r} is no attribute here", hint=f"there are {names}")


def _check_scheme(dimensions: Sequence[Dimension], flags: Sequence[str]) -> None:
    """A programmer's error, or a registry's: schemes never come from orders."""
    names = [dimension.name for dimension in dimensions] + list(flags)
    if len(dict.fromkeys(names)) != len(names):
        raise InvalidTiers("two attributes have one name")
    combinations = 1 << len(flags)
    for dimension in dimensions:
        worth = [-each if dimension.less_is_better else each for each in dimension.promises]
        if not 1 <= len(worth) <= TIERS_MAX or sorted(dict.fromkeys(worth)) != worth:
            raise InvalidTiers(
                f"{dimension.name} has no 1 to {TIERS_MAX} tiers, each above the last"
            )
        combinations *= len(worth)
    if combinations > CODES_MAX:
        raise InvalidTiers(f"{combinations} combinations of tiers are more than {CODES_MAX}")


CONTEXT: Final = Dimension("context_tokens", (8_192, 32_768, 65_536, 131_072))
SLA: Final = Dimension("sla_bp", (0, 9_500, 9_900, 9_990))
FIRST_TOKEN: Final = Dimension("first_token_ms", (86_400_000, 10_000, 2_000), less_is_better=True)
"""The slowest tier is for batches: within a day, which is the longest life of an order."""
REPUTATION: Final = Dimension("reputation_bp", (0, 2_000, 5_000, 7_000, 9_000))

STANDARD_TIERS: Final = TierScheme((CONTEXT, SLA, FIRST_TOKEN, REPUTATION), ("region", "tee"))
PLAIN_TIERS: Final = TierScheme(())
"""One combination only: every offer is good enough for every bid."""
