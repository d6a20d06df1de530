"""The agreed order, as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.views import ConsensusInfo, ValidatorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.core.views import ConsensusView


def show_consensus(view: ConsensusView, names: Mapping[bytes, str]) -> ConsensusInfo:
    """Where the order stands, and who makes it."""
    return ConsensusInfo(
        epoch=view.epoch,
        round=view.round,
        lag=max(0, view.round - view.decided_round),
        commit_index=view.commit_index,
        commit_digest=view.commit_digest.hex(),
        commit_time_ms=view.commit_time_ms,
        waiting=view.waiting,
        standing=view.standing,
        halted=view.halted,
        profile=view.profile,
        validators=tuple(
            ValidatorInfo(
                author=validator.author.hex(),
                name=names.get(validator.author, ""),
                stake=validator.stake,
                last_round=validator.last_round,
                silent=validator.is_silent,
            )
            for validator in view.validators
        ),
    )
