"""How many answer, how often, who decides; and how time and money are shared out among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from meshnode.errors import CommandRejected

Judge = Literal["judge", "vote"]

SEATS_MIN: Final = 2
SEATS_MAX: Final = 6
"""As many as a result can name as what it builds on."""
ROUNDS_MAX: Final = 3
DEBATERS: Final = 2
"""Who takes part in a debate where nobody said how many."""
_VOTE_TENTHS: Final = 9
"""Counting takes no time, and publishing the outcome little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen."""

    seats: int
    rounds: int
    """Of revision, after the first answers; 0 for an ensemble."""
    judge: Judge

    @property
    def stages(self) -> int:
        """Steps that follow one another and ask peers something."""
        return 1 + self.rounds + (self.judge == "judge")

    def count_queries(self, stage: int) -> int:
        """Questions that are still to be asked when this stage begins."""
        judging = int(self.judge == "judge")
        return max(0, 1 + self.rounds - stage) * self.seats + judging

    def share_time_ms(self, stage: int, left_ms: int) -> int:
        """What a stage may take of the time that is left: as much as each after it."""
        stages = self.stages - stage
        if stages > 1 or self.judge == "judge":
            return left_ms // stages
        return left_ms * _VOTE_TENTHS // 10

    def share_spend(self, stage: int, left_uruv: int) -> int:
        """What one question of a stage may cost of the money that is left."""
        return left_uruv // self.count_queries(stage)


def make_plan(ensemble: int | None, debate: int | None, judge: str | None) -> Plan | None:
    """A plan, or None for a question that one peer answers. Raises `CommandRejected`."""
    if ensemble is None and debate is None:
        if judge is not None:
            raise CommandRejected(
                "a single answer needs no judge", hint="ask for an ensemble or a debate"
            )
        return None
    if ensemble is not None and not SEATS_MIN <= ensemble <= SEATS_MAX:
        raise CommandRejected(
            f"an ensemble of {ensemble}", hint=f"choose from {SEATS_MIN} to {SEATS_MAX}"
        )
    if debate is not None and not 1 <= debate <= ROUNDS_MAX:
        raise CommandRejected(f"a debate of {debate} rounds", hint=f"choose from 1 to {ROUNDS_MAX}")
    match judge:
        case None | "judge" | "vote":
            return Plan(seats=ensemble or DEBATERS, rounds=debate or 0, judge=judge or "judge")
        case _:
            raise CommandRejected(f"judge is '{judge}'", hint="choose 'judge' or 'vote'")


def seat_peers(peers: Sequence[str], seats: int) -> list[str]:
    """Who sits where: each peer once, then from the first again; without peers whoever is found."""
    if not peers:
        return [""] * seats
    return [peers[seat % len(peers)] for seat in range(seats)]
