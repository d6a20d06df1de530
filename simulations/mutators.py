"""What lying hosts send instead of what their core says.

withhold     no PUSH and no IHAVE: own vertices have to be found out and fetched
mute         questions are never answered
announce     IHAVE of ids that nobody holds
garble       a byte of a vertex or of a frame is flipped
replay       an earlier message once more
flood        each message brings many others along
misreport    digests and heads that are not true
tamper       vertices of others with another time, under the old signature
impersonate  vertices in the name of another author, signed with the liar's own keys
orphan       own vertices that stand on parents which do not exist
misnumber    own vertices that give a parent's lamport wrong
misplace     own vertices that do not stand on the own previous one
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
ORPHANS_MAX: Final = 60
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


def _tamper(_stream: random.Random, _host: Host, message: Message) -> Sequence[Message]:
    if not isinstance(message, Push | Items) or not message.vertices:
        return (message,)
    first, *others = message.vertices
    signed = remember_vertex(first)
    later = msgspec.structs.replace(signed.vertex, time_ms=signed.vertex.time_ms + 1)
    wire = encode(Envelope(encode_vertex(later), signed.signature))
    return (msgspec.structs.replace(message, vertices=(wire, *others)),)


def _impersonate(stream: random.Random, host: Host, message: Message) -> Sequence[Message]:
    others = [author.id for author in host.view().members if author.id != host.identity.author]
    previous = _pick(stream, host)
    forged = _sign(host, (previous,), author=stream.choice(others), seq=stream.randint(1, 99))
    return (message, Push((forged,)))


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
    parent = _pick(stream, host)
    wrong = Ref(parent.lamport + stream.randint(1, 5), parent.id)
    wire = _sign(host, (wrong,), author=host.identity.author, seq=stream.randint(1, 99))
    return (message, Push((wire,)))


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
