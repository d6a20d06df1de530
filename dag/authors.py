"""Who may speak: authors with their keys, what admits one, and who has forked.

Keys are bound to an author by its id, so whatever the registry answers needs no trust. Its records
are immutable and replaced whole: threads may read it while its owner admits profiles.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from dag.bodies import (
    INVITATION_DECODER,
    PROFILE_DECODER,
    SIGNED_INVITATION_DECODER,
    Invitation,
    Profile,
)
from dag.errors import InvalidMessage, InvalidVertex, MalformedMessage
from dag.genesis import Genesis, Suite, compute_network_id
from dag.identity import (
    compute_author_id,
    get_profile_keys,
    validate_profile,
    verify_admission,
)
from dag.keys import PublicKeys
from dag.types import LANE_SPEECH, Kind, NetworkId, Ref
from dag.vertex import Vertex

PROFILES_REMEMBERED_MAX: Final = 2_048
"""Profiles are read when a signature is checked, again on admission, and by every store of a process."""


class Fork(msgspec.Struct, frozen=True):
    """Two vertices of one slot, in order of admission."""

    author: bytes
    lane: int
    seq: int
    first: Ref
    second: Ref


class Author(msgspec.Struct, frozen=True):
    """What is known of an author. Its current profile has the highest seq, then the lowest id."""

    id: bytes
    keys: PublicKeys
    name: str
    addresses: tuple[str, ...]
    founder: bool
    invited_by: bytes = b""
    """Empty for founders and where an open network asked for no invitation."""
    invitation: Invitation | None = None
    """What it was invited with."""
    profiles: tuple[Ref, ...] = ()
    """First profiles admitted, ascending; none yet for a founder, several for one that forked."""
    current_seq: int = -1
    current: bytes = b""
    fork: Fork | None = None
    """The first fork seen; one proves it."""


class CheckedProfile(msgspec.Struct, frozen=True):
    """A profile that satisfies every rule, and what its author was invited with."""

    profile: Profile
    keys: PublicKeys
    invitation: Invitation | None = None

    @property
    def invited_by(self) -> bytes:
        """Empty for founders, and where an open network asked for no invitation."""
        return b"" if self.invitation is None else self.invitation.inviter


class AuthorDirectory(Protocol):
    """What checking signatures needs to know; safe to call from any thread."""

    def get_keys(self, author: bytes) -> PublicKeys | None:
        """An author's keys, None if it is unknown."""


class AuthorRegistry:
    """Every author whose profile was admitted, and the founders.

    Raises `InvalidVertex` or `MalformedMessage` for a genesis that no network can start from.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._network = compute_network_id(genesis)
        self._suite: Suite = genesis.suite
        self._open = genesis.parameters.open
        self._authors: dict[bytes, Author] = {}
        self._forks: list[Fork] = []
        self._barred: dict[bytes, None] = {}
        self._counted: Container[bytes] | None = None
        self._invited: dict[tuple[bytes, bytes], int] = {}
        for profile in genesis.founders:
            author = compute_author_id(profile.ed25519_key, profile.mldsa65_key)
            validate_profile(profile, self._suite, author)
            keys = get_profile_keys(profile)
            self._authors[author] = Author(
                author, keys, profile.name, profile.addresses, founder=True
            )
        if any(validator.author not in self._authors for validator in genesis.committee):
            raise MalformedMessage("every validator of a genesis is one of its founders")

    def __len__(self) -> int:
        return len(self._authors)

    def __iter__(self) -> Iterator[Author]:
        """Authors, founders first, then in order of admission."""
        return iter(self._authors.values())

    @property
    def network(self) -> NetworkId:
        """The network these authors belong to."""
        return self._network

    @property
    def suite(self) -> Suite:
        """The network's signature suite."""
        return self._suite

    @property
    def forks(self) -> tuple[Fork, ...]:
        """The first fork of each author that forked, in order of discovery."""
        return tuple(self._forks)

    def get(self, author: bytes) -> Author | None:
        """What is known of an author."""
        return self._authors.get(author)

    def get_keys(self, author: bytes) -> PublicKeys | None:
        """See `AuthorDirectory`."""
        record = self._authors.get(author)
        return None if record is None else record.keys

    def list_current(self) -> dict[bytes, None]:
        """Ids of the profiles that tell everybody's keys and addresses now."""
        return {author.current: None for author in self if author.current}

    # --- whose words count less -----------------------------------------------------------------

    @property
    def avoided_count(self) -> int:
        """How many authors are avoided: another number whenever there is one more."""
        return len(self._forks) + len(self._barred)

    @property
    def has_uncounted(self) -> bool:
        """Whether there is any author whose loose vertices are left out of digests."""
        return self.avoided_count > 0 or self._counted is not None

    def bar(self, author: bytes) -> None:
        """Take an author for out: it is no member any more."""
        self._barred[author] = None

    def set_counted(self, authors: Container[bytes]) -> None:
        """Name those beside whom all are newcomers.

        They may say little, so what they say may be here and not elsewhere.
        """
        self._counted = authors

    def is_barred(self, author: bytes) -> bool:
        """Whether an author is no member any more."""
        return author in self._barred

    def is_avoided(self, author: bytes) -> bool:
        """Whether nobody builds on what an author says: it forked, or is no member any more."""
        return author in self._barred or self.is_forked(author)

    def is_uncounted(self, author: bytes) -> bool:
        """Whether an author's vertices on which nobody else built are left out of digests."""
        is_newcomer = self._counted is not None and author not in self._counted
        return is_newcomer or self.is_avoided(author)

    def count_invited(self, inviter: bytes, bearer_key: bytes) -> int:
        """How many authors are known that came with an invitation."""
        return self._invited.get((inviter, bearer_key), 0)

    def is_forked(self, author: bytes) -> bool:
        """Whether two vertices of one slot are known."""
        record = self._authors.get(author)
        return record is not None and record.fork is not None

    def mark_forked(self, fork: Fork) -> bool:
        """Remember a proven fork; answers whether it is the author's first."""
        record = self._authors.get(fork.author)
        if record is None or record.fork is not None:
            return False
        self._authors[fork.author] = msgspec.structs.replace(record, fork=fork)
        self._forks.append(fork)
        return True

    def check_profile(self, vertex: Vertex) -> CheckedProfile:
        """Check a profile vertex whose parents are present. Raises `InvalidVertex`."""
        checked = read_profile(vertex, self._suite)
        if vertex.seq > 0:
            return checked
        record = self._authors.get(vertex.author)
        if record is not None and record.founder:
            return checked
        invitation = checked.profile.invitation
        if not invitation:
            if self._open:
                return checked
            raise InvalidVertex("invitation", "this network admits authors by invitation only")
        return msgspec.structs.replace(
            checked, invitation=self._check_invitation(vertex, invitation)
        )

    def _check_invitation(self, vertex: Vertex, encoded: bytes) -> Invitation:
        keys = self._find_inviter(vertex, encoded).keys
        try:
            return verify_admission(keys, self._suite, self._network, vertex.author, encoded)
        except InvalidMessage as error:
            raise InvalidVertex("invitation", error.message) from error

    def _find_inviter(self, vertex: Vertex, encoded: bytes) -> Author:
        try:
            author = read_inviter(encoded)
        except InvalidMessage as error:
            raise InvalidVertex("invitation", error.message) from error
        record = self._authors.get(author)
        if record is None or not any(ref in record.profiles for ref in vertex.parents):
            raise InvalidVertex("invitation-parent", "the inviter's first profile is no parent")
        return record

    def find_unknown_inviter(self, vertex: Vertex) -> bytes | None:
        """Who invited the author of a first profile, where no profile of the inviter was admitted.

        None for who needs no inviter, and for an invitation that cannot be read.
        """
        record = self._authors.get(vertex.author)
        if record is not None and record.founder:
            return None
        try:
            invitation = read_profile(vertex, self._suite).profile.invitation
            inviter = read_inviter(invitation) if invitation else None
        except InvalidMessage:
            return None
        known = None if inviter is None else self._authors.get(inviter)
        return None if known is not None and known.profiles else inviter

    def admit_profile(self, ref: Ref, vertex: Vertex, checked: CheckedProfile) -> None:
        """Take up a checked profile."""
        profile = checked.profile
        record = self._authors.get(vertex.author)
        if record is None:
            if checked.invitation is not None:
                name = (checked.invitation.inviter, checked.invitation.bearer_key)
                self._invited[name] = self._invited.get(name, 0) + 1
            assert vertex.seq == 0, "an author's first profile is admitted before any other"
            self._authors[vertex.author] = Author(
                vertex.author,
                checked.keys,
                profile.name,
                profile.addresses,
                founder=False,
                invited_by=checked.invited_by,
                invitation=checked.invitation,
                profiles=(ref,),
                current_seq=0,
                current=ref.id,
            )
            return
        if vertex.seq == 0:
            profiles = tuple(sorted((*record.profiles, ref)))
            record = msgspec.structs.replace(record, profiles=profiles)
            if profiles[0] == ref:
                record = msgspec.structs.replace(
                    record, invited_by=checked.invited_by, invitation=checked.invitation
                )
        newer = vertex.seq > record.current_seq
        if newer or (vertex.seq == record.current_seq and ref.id < record.current):
            record = msgspec.structs.replace(
                record,
                keys=checked.keys,
                name=profile.name,
                addresses=profile.addresses,
                current_seq=vertex.seq,
                current=ref.id,
            )
        self._authors[vertex.author] = record


def is_first_profile(vertex: Vertex) -> bool:
    """Whether a vertex introduces its author."""
    return vertex.lane == LANE_SPEECH and vertex.seq == 0 and vertex.kind == Kind.PROFILE


def read_profile(vertex: Vertex, suite: Suite) -> CheckedProfile:
    """Decode a profile vertex's body and check that it is its author's. Raises `InvalidVertex`."""
    return _read_profile(vertex.body, suite, vertex.author)


@lru_cache(PROFILES_REMEMBERED_MAX)
def _read_profile(body: bytes, suite: Suite, author: bytes) -> CheckedProfile:
    try:
        profile = PROFILE_DECODER.decode(body)
    except InvalidMessage as error:
        raise InvalidVertex("profile-body", error.message) from error
    validate_profile(profile, suite, author)
    return CheckedProfile(profile, get_profile_keys(profile))


def read_inviter(encoded: bytes) -> bytes:
    """Who signed an encoded `SignedInvitation`, as it says; not verified.

    Raises `MalformedMessage` or `MessageTooLarge`.
    """
    signed = SIGNED_INVITATION_DECODER.decode(encoded)
    return INVITATION_DECODER.decode(signed.invitation).inviter


def find_keys(directory: AuthorDirectory, suite: Suite, vertex: Vertex) -> PublicKeys | None:
    """The keys that verify a vertex: known ones, or those a first profile carries itself.

    None if the author's profile has to be fetched first. Raises `InvalidVertex` for a first
    profile that is not its author's.
    """
    keys = directory.get_keys(vertex.author)
    if keys is not None or not is_first_profile(vertex):
        return keys
    return read_profile(vertex, suite).keys
