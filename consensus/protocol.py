"""Protocol profiles: one commit rule, read over a flat record of thresholds.

Thresholds are stake, never heads. With total stake S and faulty stake F:

    profile  wave  quorum, certificate, commit  skip   link           faults it bears
    bft3     3     floor(2S/3) + 1              same   1 certificate  F < S/3, Byzantine
    bft5     2     S - F                        same   S - 3F votes   F < S/5, Byzantine
    cft      2     floor(S/2) + 1               S      1 vote         F < S/2, crashes only
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from consensus.errors import InvalidProtocol

ProfileName = Literal["bft3", "bft5", "cft"]
Tie = Literal["skip", "least"]
"""What an anchor makes of twins that both pass its test: skip the slot, or take the least id."""

WAVES: Final = (2, 3)


class Thresholds(msgspec.Struct, frozen=True, array_like=True):
    """What the committer compares stake with. It reads nothing else of a profile."""

    wave: int
    """Rounds from a leader's block to its decision, both counted: 2 or 3."""
    quorum: int
    """Stake of the parents of round r - 1 that a block of round r needs."""
    certificate: int
    """Stake of the votes that one block must reference to certify. At wave 2 a vote certifies."""
    commit: int
    """Stake of the authors of certificates that commits a block directly."""
    skip: int
    """Stake of the authors of blames that skips a slot directly."""
    link: int
    """Stake of the authors of certificates in an anchor's history that commits indirectly."""
    tie: Tie = "skip"

    def __post_init__(self) -> None:
        """Refuse a wave that the commit rule does not know."""
        if self.wave not in WAVES:
            raise InvalidProtocol(f"a wave has 2 or 3 rounds, not {self.wave}")

    @property
    def decision_delay(self) -> int:
        """How many rounds after a slot its certificates stand."""
        return self.wave - 1


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """Thresholds with the faults they bear; safe and live by construction."""

    name: str
    total_stake: int
    byzantine: int
    """Stake that may lie without two nodes ever disagreeing."""
    faulty: int
    """Stake that may be silent without the order coming to a halt."""
    thresholds: Thresholds

    def __post_init__(self) -> None:
        """Check every inequality that the proofs of agreement and of progress rest on."""
        for name, holds in (*_list_safety(self), *_list_liveness(self)):
            if not holds:
                raise InvalidProtocol(
                    f"profile {self.name!r} with stake {self.total_stake}: {name}"
                )


def make_profile(name: ProfileName, total_stake: int) -> Profile:
    """The profile of a committee. Raises `InvalidProtocol` for other names or stake below 1."""
    if total_stake < 1:
        raise InvalidProtocol(f"a committee's stake is at least 1, not {total_stake}")
    match name:
        case "bft3":
            return _make_bft3(total_stake)
        case "bft5":
            return _make_bft5(total_stake)
        case "cft":
            return _make_cft(total_stake)
        case _:
            raise InvalidProtocol(f"{name!r} is no profile", hint="choose bft3, bft5 or cft")


def _make_bft3(stake: int) -> Profile:
    # ceil(2S/3) would be wrong whenever 3 divides S: two quorums could share a liar only.
    quorum = 2 * stake // 3 + 1
    faulty = (stake - 1) // 3
    thresholds = Thresholds(
        wave=3, quorum=quorum, certificate=quorum, commit=quorum, skip=quorum, link=1
    )
    return Profile("bft3", stake, faulty, faulty, thresholds)


def _make_bft5(stake: int) -> Profile:
    faulty = (stake - 1) // 5
    quorum = stake - faulty
    thresholds = Thresholds(
        wave=2,
        quorum=quorum,
        certificate=quorum,
        commit=quorum,
        skip=quorum,
        link=stake - 3 * faulty,
    )
    return Profile("bft5", stake, faulty, faulty, thresholds)


def _make_cft(stake: int) -> Profile:
    quorum = stake // 2 + 1
    thresholds = Thresholds(
        wave=2, quorum=quorum, certificate=quorum, commit=quorum, skip=stake, link=1
    )
    return Profile("cft", stake, 0, (stake - 1) // 2, thresholds)


def _list_safety(profile: Profile) -> tuple[tuple[str, bool], ...]:
    stake, byzantine, limits = profile.total_stake, profile.byzantine, profile.thresholds
    seen = limits.commit + limits.quorum - stake - byzantine
    rules = (
        ("two commit quorums share an honest author", 2 * limits.commit - stake > byzantine),
        ("commit and skip share an honest author", limits.commit + limits.skip - stake > byzantine),
        ("an anchor sees what was committed", seen >= limits.link),
    )
    if limits.wave == 3:
        certificate = limits.certificate
        return (
            *rules,
            ("two certificates share an honest author", 2 * certificate - stake > byzantine),
            (
                "certificate and skip exclude each other",
                certificate + limits.skip - stake > byzantine,
            ),
        )
    return (
        *rules,
        ("a skipped slot cannot be linked", stake - limits.skip + byzantine < limits.link),
        # Only liars make twins.
        (
            "the twin of a committed block cannot be linked",
            byzantine == 0 or stake - limits.commit + byzantine < limits.link,
        ),
    )


def _list_liveness(profile: Profile) -> tuple[tuple[str, bool], ...]:
    limits, live = profile.thresholds, profile.total_stake - profile.faulty
    return (
        ("the live fill a quorum", 1 <= limits.quorum <= live),
        ("the live fill a certificate", 1 <= limits.certificate <= live),
        ("the live fill a commit", 1 <= limits.commit <= live),
        # A skip may need more: then silent leaders are passed over through anchors.
        ("the committee fills a skip", 1 <= limits.skip <= profile.total_stake),
        ("a link is stake", limits.link >= 1),
    )
