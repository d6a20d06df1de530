"""What the roll of members knows of an author, and how it is put into words."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Standing = Literal["member", "newcomer", "waiting", "refused", "revoked", "expelled"]
"""'newcomer': let in by an open network, on probation. 'waiting': for its turn in such a network.
'refused': came with an invitation that was worth nothing any more. 'revoked': ended its own
identity. 'expelled': by a decision."""

ENDED: Final = ("refused", "revoked", "expelled")
"""For good: who comes again comes with another identity."""
REASON_CHARACTERS_MAX: Final = 500


class MemberRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An author's place among the members, after a commit."""

    author: bytes
    standing: Standing
    since: int = 0
    """Index of the commit by which it has this standing; 0 for founders."""
    inviter: bytes = b""
    """Empty for founders, and for who came to an open network by itself."""
    bearer_key: bytes = b""
    """Names the invitation it came with, among those of its inviter."""
    until_ms: int = 0
    """The commit time at which a newcomer becomes a member."""
    cause: bytes = b""
    """The vertex or the decision by which it is no member any more."""
    reason: str = ""
    """Why it is none."""

    @property
    def has_ended(self) -> bool:
        """Whether it is a member no more, or never became one."""
        return self.standing in ENDED


def describe_end(record: MemberRecord) -> str:
    """Why an author is no member any more, in one line; empty for who has not ended."""
    if not record.has_ended:
        return ""
    at = f"at commit {record.since}"
    match record.standing:
        case "expelled":
            text = (
                f"author {_cut(record.author)} was expelled by decision {_cut(record.cause)} {at}"
            )
        case "revoked":
            text = f"author {_cut(record.author)} revoked its own identity {at}"
        case _:
            text = f"author {_cut(record.author)} was not let in {at}"
    return f"{text}: {record.reason}" if record.reason else text


def _cut(name: bytes) -> str:
    return name.hex()[:8]
