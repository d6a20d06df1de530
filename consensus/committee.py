"""The committee of an epoch: who decides, with how much stake.

Authors are counted as bits of an integer, bit i for the author of index i, so that every count is
over distinct authors and costs one machine operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, get_args

from consensus.errors import InvalidCommittee
from consensus.protocol import Profile, ProfileName, Thresholds, make_profile
from dag.bodies import CommitteeChange
from dag.canonical import compute_digest, encode
from dag.genesis import FOUNDERS_MAX, Genesis, Validator
from dag.types import COUNTER_MAX, ID_BYTES

FIRST_EPOCH: Final = 0
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


def compute_next_committee(committee: Committee, change: CommitteeChange) -> Committee:
    """The committee of the next epoch. Raises `InvalidCommittee` for one that no epoch can have.

    Members that stay keep their order, new ones follow by author. A change that changes nothing is
    refused: it would end an epoch for no reason.
    """
    stakes = {validator.author: validator.stake for validator in committee.validators}
    if len(dict.fromkeys(item.author for item in change.stakes)) != len(change.stakes):
        raise InvalidCommittee("a change names a validator once")
    for item in sorted(change.stakes, key=lambda item: item.author):
        if item.stake:
            stakes[item.author] = item.stake
        elif stakes.pop(item.author, None) is None:
            raise InvalidCommittee(f"{item.author.hex()[:16]} is no validator")
    validators = tuple(Validator(author, stake) for author, stake in stakes.items())
    profile = _choose_profile(committee, change)
    same = validators == committee.validators and profile == committee.profile.name
    if same and not change.gc_commits:
        raise InvalidCommittee("the change changes nothing")
    return Committee(committee.epoch + 1, validators, profile)


def _choose_profile(committee: Committee, change: CommitteeChange) -> ProfileName:
    for name in get_args(ProfileName):
        if name == (change.profile or committee.profile.name):
            chosen: ProfileName = name
            return chosen
    raise InvalidCommittee(f"profile {committee.profile.name!r} is not one to go on with")


def iterate_bits(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
