"""What the core asks of the shell.

Effects are applied in list order. `Persist` is a barrier: nothing after it leaves the process
until it is durable. Every `RunJob` and every `Dial` ends in exactly one `Completed` input.
"""

from __future__ import annotations

import msgspec

from dag.errors import Offence
from dag.identity import PublicKeys
from meshnode.core.events import Event
from meshnode.core.messages import Message
from meshnode.core.recovered import StoredSnapshot


class Send(msgspec.Struct, frozen=True, tag=True):
    """Send a message to peers; encoded once."""

    to: tuple[str, ...]
    channel: int
    """A `meshnode.transport.base.Channel` value."""
    message: Message


class SendStored(msgspec.Struct, frozen=True, tag=True):
    """Send stored vertices in this order on the bulk channel, as fast as the peer takes them.

    With `request` 0 as PUSH messages, otherwise as ITEMS answering that request, `missing` in the
    last one (which is sent even where `ids` is empty). The shell reads the bytes from the journal.
    """

    to: str
    request: int
    ids: tuple[bytes, ...]
    missing: tuple[bytes, ...] = ()
    pruned_commit: int = 0
    """The commit up to which history was forgotten: why ids may be missing."""


class SendSnapshot(msgspec.Struct, frozen=True, tag=True):
    """Send a piece of a stored snapshot on the bulk channel, as SNAPSHOT messages.

    Section 0 is its chain of headers, section n its part n - 1. Where it is gone, say so.
    """

    to: str
    request: int
    index: int
    section: int
    offset: int


class StoreVertex(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Append a vertex to the journal; admission order is kept."""

    id: bytes
    wire: bytes


class StoreValue(msgspec.Struct, frozen=True, tag=True):
    """Set a small named value (address book, bans); an empty value deletes it."""

    key: str
    value: bytes


class ForgetVertices(msgspec.Struct, frozen=True, tag=True):
    """Delete vertices from the journal; those it does not hold are passed over."""

    ids: tuple[bytes, ...]


class StoreSnapshot(msgspec.Struct, frozen=True, tag=True):
    """Keep a certified snapshot, and of all only the newest `kept`."""

    snapshot: StoredSnapshot
    kept: int


Record = StoreVertex | StoreValue | ForgetVertices | StoreSnapshot


class Persist(msgspec.Struct, frozen=True, tag=True):
    """Make a record durable before anything after it leaves the process."""

    record: Record


class Emit(msgspec.Struct, frozen=True, tag=True):
    """Tell the application a fact."""

    event: Event


class Dial(msgspec.Struct, frozen=True, tag=True):
    """Connect to a peer at any of its addresses."""

    job: int
    peer: str
    addresses: tuple[str, ...]


class Hangup(msgspec.Struct, frozen=True, tag=True):
    """End a connection."""

    peer: str
    reason: str


class Penalise(msgspec.Struct, frozen=True, tag=True):
    """Count an offence under its name; with `ban_ms` refuse the peer that long."""

    peer: str
    offence: Offence
    detail: str
    ban_ms: int


class Restart(msgspec.Struct, frozen=True, tag=True):
    """The journal has changed below the core: begin a new one from it. This one is over."""

    reason: str


class SignVertex(msgspec.Struct, frozen=True, tag=True):
    """Sign a vertex id with the node's own keys; ends in `Signed`."""

    id: bytes
    urgent: bool = False
    """Everybody waits for it: it goes before all other work."""


class SignProof(msgspec.Struct, frozen=True, tag=True):
    """Sign a HELLO proof with the node's own keys; ends in `Signed`."""

    message: bytes


class VerifyItem(msgspec.Struct, frozen=True):
    """A signature to check under an author's keys."""

    keys: PublicKeys
    message: bytes
    signature: bytes


class Verify(msgspec.Struct, frozen=True, tag=True):
    """Check signatures off the loop; ends in `Checks`."""

    items: tuple[VerifyItem, ...]


class LoadStored(msgspec.Struct, frozen=True, tag=True):
    """Read stored vertices from the journal; ends in `Loaded`, in this order."""

    ids: tuple[bytes, ...]


class RunJob(msgspec.Struct, frozen=True, tag=True):
    """Run work that the core cannot do itself."""

    job: int
    work: SignVertex | SignProof | Verify | LoadStored


Effect = (
    Send | SendStored | SendSnapshot | Persist | Emit | Dial | Hangup | Penalise | RunJob | Restart
)
