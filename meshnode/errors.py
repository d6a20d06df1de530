"""The error tree of the project, on top of `dag.errors`.

MeshError                              code, hint, retryable
  InvalidMessage ...                   the peer's fault (see `dag.errors`)
  ConfigError                          at start; names the key
    Unavailable                        what a setting names cannot be had here now
  CommandRejected(reason)              the caller's fault
    NoDaemon                           no node runs for this home folder
    NoPeerServes                       nobody reachable serves the model that was asked for
      PolicyRefused                    whoever could serve it may not: it is somebody's account
    NodeClosed                         the node behind a handle has ended
    MarketRefused(reason)              a market command that had no effect
  StorageError                         the disk's
    CorruptJournal                     a stored record that fails its check
    KeystoreError                      the key store cannot be opened
  TransportError                       the network's
    DialFailed, PeerGone, StreamReset
  EngineError                          the engine's (see `meshnode.engines.base`)
  DeadlineExceeded                     a stated wait ran out
  AnswerInterrupted(text)              an answer broke off after its first words
"""

from __future__ import annotations

from dag.errors import (
    InvalidMessage,
    InvalidSignature,
    InvalidVertex,
    MalformedMessage,
    MeshError,
    MessageTooLarge,
    Offence,
    WrongNetwork,
)

__all__ = [
    "AnswerInterrupted",
    "CommandRejected",
    "ConfigError",
    "CorruptJournal",
    "DeadlineExceeded",
    "DialFailed",
    "InvalidMessage",
    "InvalidSignature",
    "InvalidVertex",
    "KeystoreError",
    "MalformedMessage",
    "MarketRefused",
    "MeshError",
    "MessageTooLarge",
    "NoDaemon",
    "NoPeerServes",
    "NodeClosed",
    "Offence",
    "PeerGone",
    "PolicyRefused",
    "StorageError",
    "StreamReset",
    "TransportError",
    "Unavailable",
    "WrongNetwork",
]


class ConfigError(MeshError):
    """A setting that cannot be used; the message names the key and where it came from."""

    code = "config_error"


class Unavailable(ConfigError):
    """A setting that is right as written but cannot be had: another's home folder, a taken port."""

    code = "unavailable"


class CommandRejected(MeshError):
    """A local command that cannot be carried out; nothing has changed."""

    code = "command_rejected"


class NoDaemon(CommandRejected):
    """No node runs for this home folder."""

    code = "no_daemon"


class NoPeerServes(CommandRejected):
    """No reachable peer serves the model that was asked for."""

    code = "no_peer_serves"
    retryable = True


class PolicyRefused(NoPeerServes):
    """What could answer is somebody's own account at a provider: it serves its owner only."""

    code = "policy_refused"
    retryable = False


class NodeClosed(CommandRejected):
    """The node behind a handle has ended; open another one."""

    code = "node_closed"


class MarketRefused(CommandRejected):
    """A market command that every node recorded as refused; `reason` is the code they recorded."""

    code = "market_refused"

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class StorageError(MeshError):
    """The disk refused, or holds what it must not hold."""

    code = "storage_error"


class CorruptJournal(StorageError):
    """A stored record fails its check; the message names the record."""

    code = "corrupt_journal"


class KeystoreError(StorageError):
    """The key store cannot be opened."""

    code = "keystore_error"


class TransportError(MeshError):
    """The network refused."""

    code = "transport_error"
    retryable = True


class DialFailed(TransportError):
    """No connection could be made."""

    code = "dial_failed"


class PeerGone(TransportError):
    """The connection to a peer ended."""

    code = "peer_gone"


class StreamReset(TransportError):
    """A stream ended before its work was done."""

    code = "stream_reset"


class DeadlineExceeded(MeshError):
    """A stated wait ran out."""

    code = "deadline_exceeded"
    retryable = True


class AnswerInterrupted(MeshError):
    """An answer broke off after its first words; `text` holds what arrived.

    Nobody else takes over then: a second peer would say something else.
    """

    code = "answer_interrupted"
    retryable = True

    def __init__(self, message: str, *, text: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.text = text
