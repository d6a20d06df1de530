"""What members say to each other about where members are, on a stream of its own.

    VISIT   [`peers/visit`, record, keys, mark]    here is where I am; where are these, or all?
    PAGE    [`peers/page`, serves, verdict, records, mark]
    PROBE   [`peers/probe`, port]                  can you reach me at this port?
    PROBED  [`peers/probed`, reachable, host, reason, time_ms]

Frames are canonical MessagePack arrays. A record is the wire form of `meshnode.core.peer_record`.
After a PAGE the visitor may ask for the next on the same stream, with the mark it got and no record.
Who is no rendezvous point answers with `serves` false and its own record alone.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dag.canonical import CanonicalDecoder
from meshnode.core.peer_record import RECORD_BYTES_MAX
from meshnode.core.record_book import PAGE_MAX

KEYS_MAX: Final = 64
_RECORD_BYTES: Final = RECORD_BYTES_MAX + 128
_VISIT_BYTES: Final = _RECORD_BYTES + KEYS_MAX * 34 + 128
_PAGE_BYTES: Final = 59_000

_Record = Annotated[bytes, msgspec.Meta(max_length=_RECORD_BYTES)]
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Mark = Annotated[bytes, msgspec.Meta(max_length=32)]
_Text = Annotated[str, msgspec.Meta(max_length=256)]


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Visit(_Wire, frozen=True, tag="peers/visit"):
    """The visitor's own record, empty where it was told already, and what it wants to know."""

    record: _Record
    keys: Annotated[tuple[_Key, ...], msgspec.Meta(max_length=KEYS_MAX)]
    """Transport keys of those looked for; none for everybody."""
    mark: _Mark
    """Where the page begins: empty, or as the page before has said."""


class Page(_Wire, frozen=True, tag="peers/page"):
    """Records that the peer holds."""

    serves: bool
    """Whether it is a rendezvous point at all."""
    verdict: _Text
    """What became of the visitor's record."""
    records: Annotated[tuple[_Record, ...], msgspec.Meta(max_length=PAGE_MAX)]
    mark: _Mark
    """Empty behind the last page."""


class Probe(_Wire, frozen=True, tag="peers/probe"):
    """Dial me afresh where you see me, at this port."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class Probed(_Wire, frozen=True, tag="peers/probed"):
    """Whether that led to this very peer."""

    reachable: bool
    host: _Text
    """Where it is seen."""
    reason: _Text
    """Why not."""
    time_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """The clock of who dialled back."""


question_decoder: Final[CanonicalDecoder[Visit | Probe]] = CanonicalDecoder(
    Visit | Probe,  # type: ignore[arg-type]  # msgspec reads unions as types
    what="question about peers",
    bytes_max=_VISIT_BYTES,
)
page_decoder: Final = CanonicalDecoder(Page, what="page of peers", bytes_max=_PAGE_BYTES)
probed_decoder: Final = CanonicalDecoder(Probed, what="answer to a probe", bytes_max=1_024)
_HEADS: Final = tuple(
    bytes((length,)) + msgspec.msgpack.encode(tag)
    for length, tag in ((0x94, "peers/visit"), (0x92, "peers/probe"))
)


def is_question(frame: bytes) -> bool:
    """Whether a stream that begins with this frame is about peers."""
    return frame.startswith(_HEADS)
