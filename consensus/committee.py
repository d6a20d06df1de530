"""The committee of an epoch: who decides, with how much stake.

Authors are counted as bits of an integer, bit i for the author of index i, so that every count is
over distinct authors and costs one machine operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from consensus.errors import InvalidCommittee
from consensus.protocol import Profile, ProfileName, Thresholds, make_profile
from dag.canonical import compute_digest, encode
from dag.genesis import FOUNDERS_MAX, Genesis, Validator
from dag.types import COUNTER_MAX, ID_BYTES

EPOCH_DOMAIN: Final = b"meshnode/epoch/1"
MEMBERS_MAX: Final = FOUNDERS_MAX
GENESIS_EPOCH: Final = 0


class Committee:
    """The ordered validators of one epoch, and the profile that turns their stake to thresholds."""

    __slots__ = ("_indexes", "_uniform", "epoch", "profile", "total_stake", "validators")

    def __init__(
        self,
        epoch: int,
        validators: Iterable[Validator],
        profile: ProfileName | Profile = "bft3",
    ) -> None:
        """Raises `InvalidCommittee` for members that no epoch can have, or for a foreign profile."""
        self.epoch: Final = epoch
        self.validators: Final = tuple(validators)
        self._indexes: Final = {
            validator.author: index for index, validator in enumerate(self.validators)
        }
        self._validate()
        self.total_stake: Final = sum(validator.stake for validator in self.validators)
        if self.total_stake > COUNTER_MAX:
            raise InvalidCommittee(f"stake {self.total_stake} is above {COUNTER_MAX}")
        if isinstance(profile, str):
            profile = make_profile(profile, self.total_stake)
        if profile.total_stake != self.total_stake:
            raise InvalidCommittee(f"profile {profile.name!r} is made for other stake")
        self.profile: Final[Profile] = profile
        first = self.validators[0].stake
        same = all(validator.stake == first for validator in self.validators)
        self._uniform: Final = first if same else 0

    def _validate(self) -> None:
        if not 0 <= self.epoch <= COUNTER_MAX:
            raise InvalidCommittee(f"epoch {self.epoch} is out of range")
        if not 1 <= len(self.validators) <= MEMBERS_MAX:
            raise InvalidCommittee(f"a committee has 1 to {MEMBERS_MAX} validators")
        if len(self._indexes) != len(self.validators):
            raise InvalidCommittee("a validator is named once")
        for validator in self.validators:
            if len(validator.author) != ID_BYTES:
                raise InvalidCommittee(f"a validator's author id has {ID_BYTES} bytes")
            if validator.stake < 1:
                raise InvalidCommittee("a validator's stake is a positive integer")

    def __len__(self) -> int:
        return len(self.validators)

    @property
    def thresholds(self) -> Thresholds:
        """What the committer compares stake with."""
        return self.profile.thresholds

    @property
    def is_uniform(self) -> bool:
        """Whether all validators have the same stake."""
        return self._uniform > 0

    def get_index(self, author: bytes) -> int | None:
        """The position of an author, None for who is not in the committee."""
        return self._indexes.get(author)

    def get_stake(self, index: int) -> int:
        """The stake of the author at a position."""
        return self.validators[index].stake

    def weigh(self, authors: int) -> int:
        """The stake of the authors whose bits are set."""
        if self._uniform:
            return authors.bit_count() * self._uniform
        return sum(self.validators[index].stake for index in iterate_bits(authors))

    def compute_seed(self, network: bytes, last_commit_digest: bytes) -> bytes:
        """What the epoch starts from, as a digest: it names the implicit blocks of round 0."""
        content = encode((network, self.epoch, self.profile, self.validators, last_commit_digest))
        return compute_digest(EPOCH_DOMAIN, content)


def make_first_committee(genesis: Genesis) -> Committee:
    """The committee that a network starts with."""
    return Committee(GENESIS_EPOCH, genesis.committee, genesis.parameters.profile)


def iterate_bits(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
