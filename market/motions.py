"""What the committee does: a motion has effect once members with two thirds of the stake made it.

Members make a motion by saying the same thing. One that had its effect is remembered until it would
have lapsed, so it does not have it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dag.canonical import compute_digest, encode
from market.commands import Motion
from market.deadlines import MOTION, Deadlines
from market.errors import Code, Refused
from market.tables import Table

MOTION_DOMAIN: Final = b"meshnode/market-motion/1"
MOTION_LIFE_MS: Final = 7 * 24 * 3_600_000
OPEN_PER_MEMBER_MAX: Final = 100
QUORUM_NUM: Final = 2
QUORUM_DEN: Final = 3


class OpenMotion(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A motion and who has made it."""

    mover: bytes
    supporters: list[bytes]
    carried: bool = False


class Motions:
    """Motions that are open, and those that were carried of late."""

    def __init__(self, deadlines: Deadlines, rows: Table[OpenMotion] | None = None) -> None:
        self.rows: Final[Table[OpenMotion]] = Table() if rows is None else rows
        self._deadlines = deadlines
        self._moved: dict[bytes, int] = {}
        """By member, how many it was the first to make."""
        for row in self.rows.rows():
            self._moved[row.mover] = self._moved.get(row.mover, 0) + 1

    def check(self, motion: Motion, member: bytes, weights: Mapping[bytes, int]) -> bytes:
        """Whether a member may make this motion; answers its key. Raises `Refused`."""
        if not weights.get(member):
            raise Refused(Code.NOT_IN_COMMITTEE, "only the committee makes motions")
        key = compute_motion_key(motion)
        row = self.rows.get(key)
        if row is None:
            if self._moved.get(member, 0) >= OPEN_PER_MEMBER_MAX:
                raise Refused(Code.TOO_MANY, f"a member has {OPEN_PER_MEMBER_MAX} open motions")
        elif row.carried or member in row.supporters:
            raise Refused(Code.ALREADY_DONE, "the motion was carried, or this member made it")
        return key

    def would_carry(self, key: bytes, member: bytes, weights: Mapping[bytes, int]) -> bool:
        """Whether the motion has effect once this member makes it too."""
        row = self.rows.get(key)
        supporters = [member, *(() if row is None else row.supporters)]
        weight = sum(weights.get(each, 0) for each in supporters)
        return weight * QUORUM_DEN >= sum(weights.values()) * QUORUM_NUM

    def support(self, key: bytes, member: bytes, time_ms: int, *, carried: bool) -> None:
        """Count a member's motion."""
        if key not in self.rows:
            self.rows.put(key, OpenMotion(member, []))
            self._moved[member] = self._moved.get(member, 0) + 1
            self._deadlines.set(MOTION + key, time_ms + MOTION_LIFE_MS)
        row = self.rows.edit(key)
        row.supporters.append(member)
        row.carried = carried

    def lapse(self, key: bytes) -> None:
        """The time of a motion is over."""
        mover = self.rows.drop(key).mover
        self._moved[mover] -= 1
        if not self._moved[mover]:
            del self._moved[mover]


def compute_motion_key(motion: Motion) -> bytes:
    """Name a motion by what it says."""
    return compute_digest(MOTION_DOMAIN, encode(motion))
