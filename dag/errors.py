"""The floor of the error tree: every error this project raises on purpose derives from `MeshError`.

    MeshError                              code, hint, retryable
      InvalidMessage(offence)              the peer's fault
        MalformedMessage                   bytes that are not the canonical form of anything we know
        MessageTooLarge                    a length over its limit, checked before it is allocated
        InvalidSignature                   a signature that does not verify
        WrongNetwork                       another network's bytes
        InvalidVertex(rule)                a vertex that breaks a rule of the DAG
      UnusableKey                          a secret key that no installed library can use

`meshnode.errors` adds the errors of configuration, storage, transport, engines and callers.
Programmer errors are `AssertionError`, outside the tree, so that no handler swallows them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Offence(StrEnum):
    """What a peer did wrong; each is counted under its own name."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    WRONG_NETWORK = "wrong_network"
    BAD_SIGNATURE = "bad_signature"
    BAD_VERTEX = "bad_vertex"
    BAD_PROOF = "bad_proof"
    NOT_A_MEMBER = "not_a_member"
    OUT_OF_TURN = "out_of_turn"
    UNASKED = "unasked"
    NOT_SERVED = "not_served"
    FLOOD = "flood"
    SILENT = "silent"
    BAD_STREAM = "bad_stream"
    SLOW_READER = "slow_reader"


class MeshError(Exception):
    """Base of every expected failure: one clear line, a stable code and the next step."""

    code: ClassVar[str] = "mesh_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidMessage(MeshError):
    """A peer sent something it must not send; `offence` names it."""

    code = "invalid_message"
    offence: ClassVar[Offence] = Offence.MALFORMED


class MalformedMessage(InvalidMessage):
    """Bytes that do not decode, or decode to something with another canonical form."""

    code = "malformed_message"
    offence = Offence.MALFORMED


class MessageTooLarge(InvalidMessage):
    """A length above its limit."""

    code = "message_too_large"
    offence = Offence.TOO_LARGE

    def __init__(self, what: str, size: int, size_max: int) -> None:
        super().__init__(f"{what} is {size} where at most {size_max} is allowed")
        self.what = what
        self.size = size
        self.size_max = size_max


class InvalidSignature(InvalidMessage):
    """A signature that does not verify under its author's keys."""

    code = "invalid_signature"
    offence = Offence.BAD_SIGNATURE


class WrongNetwork(InvalidMessage):
    """Bytes that belong to another network."""

    code = "wrong_network"
    offence = Offence.WRONG_NETWORK


class InvalidVertex(InvalidMessage):
    """A vertex that breaks a rule of the DAG; `rule` is the rule's short name."""

    code = "invalid_vertex"
    offence = Offence.BAD_VERTEX

    def __init__(self, rule: str, message: str, parent: tuple[int, int] | None = None) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
        self.parent = parent
        """Lamport and lane of what is wrong: whose horizon of this lane is here or above does not look
        at it. None where all do."""


class UnusableKey(MeshError):
    """A secret key that no installed library can use; the key itself is never in the message."""

    code = "unusable_key"
