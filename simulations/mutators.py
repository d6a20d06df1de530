"""What lying hosts send instead of what their core says.

withhold     no PUSH and no IHAVE: own vertices have to be found out and fetched
mute         vertices are announced instead of sent, and then not served: no question is answered
announce     IHAVE of ids that nobody holds
garble       a byte of a vertex or of a frame is flipped
replay       an earlier message once more
flood        each message brings many others along
misreport    digests and heads that are not true
tamper       vertices of others with another time, under the old signature
impersonate  the next vertex of another author, signed with the liar's own keys
orphan       own vertices that stand on parents which do not exist
misnumber    own vertices that give a parent's lamport wrong, and nothing else
misplace     own vertices that do not stand on the own previous one
slander      evidence of a fork that never was

A lie is true but for one thing wherever that can be had, so that only the check made for it stands
in its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from dag.bodies import Evidence, Testimony
from dag.canonical import encode
from dag.crypto import sign_suite
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import (
    Envelope,
    Header,
    SignedVertex,
    Vertex,
    compute_header_id,
    compute_signed_message,
    compute_vertex_id,
    encode_vertex,
)
from meshnode.core.messages import (
    Digest,
    Get,
    Heads,
    IHave,
    Items,
    Message,
    Ping,
    Pong,
    Push,
    encode_message,
)
from simulations.fidelity import remember_vertex

if TYPE_CHECKING:
    import random

    from simulations.faults import Behaviour
    from simulations.host import Host, Mutator

REMEMBERED_MAX: Final = 32
FLOOD: Final = 40
ORPHANS_MAX: Final = 160
"""So that a few messages pass what may wait of one author."""
SLANDERS_MAX: Final = 3
_Lie = Callable[["random.Random", "Host", Message], Sequence["Message | bytes"]]


def make_mutator(behaviour: Behaviour, percent: int, stream: random.Random) -> Mutator:
    """A host's mutator that lies in a share of the messages which offer the occasion."""
    lie = _make_lie(behaviour)

    def mutate(host: Host, peer: str, message: Message) -> Sequence[Message | bytes]:
        del peer
        if not isinstance(message, _SUBJECTS) or stream.randrange(100) >= percent:
            return (message,)
        return lie(stream, host, message)

    return mutate


def _make_lie(behaviour: Behaviour) -> _Lie:
    if behaviour == "replay":
        return Replay()
    if behaviour == "slander":
        return Slander()
    return _LIES[behaviour]


_SUBJECTS: Final = (Push, Items, IHave, Digest, Heads, Ping, Pong, Get)
"""Messages of ready connections; a lie in a handshake only ends it."""


def _withhold(_stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Push | IHave) else (message,)


def _mute(_stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    if isinstance(message, Push):
        return (IHave(tuple(remember_vertex(wire).id for wire in message.vertices)),)
    return () if isinstance(message, Items) else (message,)


def _announce(stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    if isinstance(message, Items):
        return () if message.missing else (message,)
    ids = tuple(stream.randbytes(32) for _ in range(stream.randint(1, 8)))
    return (message, IHave(ids))


def _garble(stream: random.Random, _host: Host, message: Message) -> Sequence[Message | bytes]:
    if not isinstance(message, Push | Items) or not message.vertices:
        return (message,)
    if stream.random() < 0.3:
        return (_flip(stream, encode_message(message)),)
    first, *others = message.vertices
    return (msgspec.structs.replace(message, vertices=(_flip(stream, first), *others)),)


def _flip(stream: random.Random, data: bytes) -> bytes:
    place = stream.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << stream.randrange(8))]) + data[place + 1 :]


class Replay:
    """Sends again what was sent before."""

    def __init__(self) -> None:
        self._sent: deque[Message] = deque(maxlen=REMEMBERED_MAX)

    def __call__(self, stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
        """The message, and an older one."""
        del host
        self._sent.append(message)
        return (message, stream.choice(self._sent))


def _flood(stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    more: list[Message] = [message]
    for number in range(FLOOD):
        ids = (stream.randbytes(32),)
        more.append(Get(number, ids) if stream.random() < 0.5 else IHave(ids))
    return more


def _misreport(stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    if isinstance(message, Digest):
        return (_falsify(stream, message),)
    if isinstance(message, Pong | Heads):
        false = msgspec.structs.replace(message, digest=_falsify(stream, message.digest))
        return (false,)
    return (message,)


def _falsify(stream: random.Random, digest: Digest) -> Digest:
    count = max(0, digest.count + stream.randint(-50, 50))
    return Digest(stream.randbytes(32), count, max(0, digest.lamport + stream.randint(-50, 50)))


def _tamper(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    if isinstance(message, Push | Items) and message.vertices:
        first, *others = message.vertices
        return (msgspec.structs.replace(message, vertices=(_postdate(first), *others)),)
    found = _find_of_others(host)
    if not found:
        return (message,)
    # Ahead of its author, whose own word may be slow or cut off.
    return (message, Push((_postdate(stream.choice(found).wire),)))


def _postdate(wire: bytes) -> bytes:
    signed = remember_vertex(wire)
    later = msgspec.structs.replace(signed.vertex, time_ms=signed.vertex.time_ms + 1)
    return encode(Envelope(encode_vertex(later), signed.signature))


def _impersonate(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    found = _find_of_others(host)
    if not found:
        return (message,)
    last = stream.choice(found)
    author, seq = last.vertex.author, last.vertex.seq + 1
    return (message, Push((_sign(host, (last.ref,), author=author, seq=seq),)))


def _orphan(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    wires = tuple(
        _sign(
            host,
            (Ref(stream.randint(1, 500), stream.randbytes(32)),),
            author=host.identity.author,
            seq=stream.randint(1, 999),
        )
        for _ in range(stream.randint(1, ORPHANS_MAX))
    )
    return (message, Push(wires))


def _misnumber(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    found, own = _find_of_others(host), _find_last(host)
    if not found or own is None:
        return (message,)
    parent = stream.choice(found).ref
    wrong = Ref(parent.lamport + stream.randint(1, 5), parent.id)
    author, seq = host.identity.author, own.vertex.seq + 1
    return (message, Push((_sign(host, (own.ref, wrong), author=author, seq=seq),)))


def _misplace(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    seq = stream.randint(200, 999)
    wire = _sign(host, (_pick(stream, host),), author=host.identity.author, seq=seq)
    return (message, Push((wire,)))


class Slander:
    """Publishes false evidence, a few times."""

    def __init__(self) -> None:
        self._left = SLANDERS_MAX

    def __call__(self, stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
        """The message; what is published leaves by itself, and is an occasion in its turn."""
        if self._left:
            self._left -= 1
            host.publish(_forge_evidence(stream, host), kind=Kind.EVIDENCE)
        return (message,)


def _forge_evidence(stream: random.Random, host: Host) -> bytes:
    view = host.view()
    accused = stream.choice([one.id for one in view.members if one.id != host.identity.author])
    times = (stream.randrange(1 << 40), stream.randrange(1 << 40))
    headers = [
        Header(
            1, view.network, accused, LANE_SPEECH, 1, 2, Kind.NOTE, time_ms, bytes(32), bytes(32)
        )
        for time_ms in times
    ]
    headers.sort(key=compute_header_id)
    sides = [Testimony(encode(header), stream.randbytes(64), b"") for header in headers]
    return encode(Evidence(*sides))


def _find_of_others(host: Host) -> list[SignedVertex]:
    """The heads that are the newest word of their authors, without the liar's own."""
    found = []
    for ref in host.view().heads:
        wire = host.disk.read(ref.id)
        if wire is not None:
            found.append(remember_vertex(wire))
    return [signed for signed in found if signed.vertex.author != host.identity.author]


def _find_last(host: Host) -> SignedVertex | None:
    """The newest own vertex."""
    own = host.identity.author
    vertices = map(remember_vertex, host.disk.newest_wires())
    return next((signed for signed in vertices if signed.vertex.author == own), None)


def _pick(stream: random.Random, host: Host) -> Ref:
    """Any vertex the host holds; its own first head where it holds none yet."""
    heads = host.view().heads
    return stream.choice(heads) if heads else Ref(1, bytes(32))


def _sign(host: Host, parents: tuple[Ref, ...], *, author: bytes, seq: int) -> bytes:
    vertex = Vertex(
        version=WIRE_VERSION,
        network=host.view().network,
        author=author,
        lane=LANE_SPEECH,
        seq=seq,
        lamport=1 + max(ref.lamport for ref in parents),
        kind=Kind.NOTE,
        time_ms=host.read_clock_ms(),
        parents=parents,
        body=b"lie",
    )
    message = compute_signed_message(compute_vertex_id(vertex))
    signature = sign_suite(host.suite, host.identity.secrets, message)
    return encode(Envelope(encode_vertex(vertex), signature))


_LIES: Final[dict[Behaviour, _Lie]] = {
    "withhold": _withhold,
    "mute": _mute,
    "announce": _announce,
    "garble": _garble,
    "flood": _flood,
    "misreport": _misreport,
    "tamper": _tamper,
    "impersonate": _impersonate,
    "orphan": _orphan,
    "misnumber": _misnumber,
    "misplace": _misplace,
}
