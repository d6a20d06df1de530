"""Every decoder of bytes that somebody else may have written, with valid records of each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import msgspec

from dag.authors import AuthorRegistry
from dag.bodies import (
    EVIDENCE_DECODER,
    INVITATION_DECODER,
    NOTE_DECODER,
    PROFILE_DECODER,
    RESULT_DECODER,
    SIGNED_INVITATION_DECODER,
    BlobNote,
    BlobRef,
    BlobResult,
    Note,
    Result,
)
from dag.canonical import encode
from dag.errors import InvalidMessage, MeshError
from dag.evidence import make_evidence, read_accused, verify_evidence
from dag.genesis import decode_genesis, encode_genesis
from dag.introduction import prove_invitation, read_proven
from dag.types import Ref
from dag.vertex import decode_signed
from meshnode import joining, keystore, sealing
from meshnode.blobs import protocol as blobs
from meshnode.client import _decode
from meshnode.config import parse_api_address
from meshnode.config_file import load_config, parse_option_value
from meshnode.core.admission import Admission
from meshnode.core.blob_manifest import (
    compute_blob_id,
    decode_manifest,
    digest_content,
    encode_manifest,
)
from meshnode.core.messages import (
    Advert,
    Credentials,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    Goodbye,
    Graft,
    Heads,
    Hello,
    IHave,
    Items,
    ModelAdvert,
    Neighbour,
    Ping,
    Pong,
    Proof,
    Prune,
    Push,
    Range,
    Ranges,
    Shuffle,
    ShuffleReply,
    encode_message,
)
from meshnode.engines.base import EngineError
from meshnode.engines.openai_stream import CompletionStream, decode_object
from meshnode.engines.sse import SseParser
from meshnode.engines.upstream_errors import error_from_response
from meshnode.errors import (
    CommandRejected,
    ConfigError,
    KeystoreError,
    MalformedMessage,
    StorageError,
    TransportError,
)
from meshnode.event_views import VertexSeen, read_event
from meshnode.home import Bootstrap, Home, Membership
from meshnode.invitations import InvitationBook, Issued
from meshnode.runtime_file import RuntimeRecord, find_runtime
from meshnode.sealed.frames import Box
from meshnode.sealed.handshake import Accept, Open
from meshnode.secret import Secret
from meshnode.serving.protocol import (
    Ask,
    AskPart,
    Cancel,
    Countersign,
    Done,
    Failed,
    Invoice,
    Load,
    PaidAsk,
    Part,
    Probe,
    Queued,
    Refuse,
    Report,
    decode_answer_frame,
    decode_ask_frame,
    encode_frame,
)
from meshnode.shell.recording import (
    FORMAT,
    DigestFrame,
    EffectDigest,
    Frame,
    Header,
    StartFrame,
    encode_input,
)
from meshnode.shell.replay import replay
from meshnode.ticket import Ticket, decode_ticket, encode_ticket
from meshnode.transport.base import PeerId
from meshnode.transport.framing import FINISH_FRAME, FrameParser, data_header, encode_credit
from meshnode.transport.libp2p.addresses import parse_address
from meshnode.transport.link import FrameLink
from meshnode.transport.peer_id import public_key_from_peer_id
from meshnode.views import VertexInfo, read_stream_item
from tests.support.blob_frames import BLOB_ASKS, BLOB_FRAMES
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder, make_person

BUILDER = DagBuilder(3).profiles().layer()
ID = BUILDER.vertices[0].id
WIRES = tuple(signed.wire for signed in BUILDER.vertices)
SECRET = Secret("correct horse")


@dataclass(frozen=True)
class Decoder:
    """One way in: anything but a value or `error` is a bug."""

    name: str
    decode: Callable[[bytes], object]
    error: type[MeshError]
    seeds: tuple[bytes, ...]


# --- the wire ------------------------------------------------------------------------------------


def check_evidence(data: bytes) -> object:
    evidence = EVIDENCE_DECODER.decode(data)
    read_accused(evidence)
    return verify_evidence(make_person(0).keys, "ed25519", BUILDER.network, evidence)


def read_profile_of_newcomer(data: bytes) -> object:
    return read_proven("ed25519", BUILDER.network, make_person(1).author, data)


def read_manifest(data: bytes) -> object:
    return decode_manifest(data, compute_blob_id(data))


def kernel_decoders() -> tuple[Decoder, ...]:
    invitation = BUILDER.invite(0, 1)
    inner = SIGNED_INVITATION_DECODER.decode(invitation).invitation
    newcomers = encode(make_person(1).profile(invitation))
    proven = prove_invitation(AuthorRegistry(BUILDER.genesis), newcomers)
    profile = encode(make_person(0).profile(addresses=("/ip4/127.0.0.1/tcp/4001",)))
    evidence = encode(make_evidence(BUILDER.last(0), BUILDER.twin(BUILDER.last(0))))
    result = Result(ID, ID, "model", "", "echo", "four", ID, 4, "stop", 1, 1, 0, 1, 2)
    fields = {name: getattr(result, name) for name in Result.__struct_fields__}
    long_result = BlobResult(**{**fields, "answer": ""}, blob=BlobRef(ID, 20_000))
    long_note = BlobNote("text/plain", "", b"", BlobRef(ID, 20_000))
    return tuple(
        Decoder(name, decode, InvalidMessage, seeds)
        for name, decode, seeds in (
            ("vertex", decode_signed, WIRES),
            ("genesis", decode_genesis, (encode_genesis(BUILDER.genesis),)),
            ("profile", PROFILE_DECODER.decode, (profile,)),
            ("signed invitation", SIGNED_INVITATION_DECODER.decode, (invitation,)),
            ("invitation", INVITATION_DECODER.decode, (inner,)),
            ("proven invitation", read_profile_of_newcomer, (proven,)),
            ("evidence", check_evidence, (evidence,)),
            ("result", RESULT_DECODER.decode, (encode(result), encode(long_result))),
            (
                "note",
                NOTE_DECODER.decode,
                (encode(Note("text/plain", "", b"x")), encode(long_note)),
            ),
            ("manifest", read_manifest, (encode_manifest(digest_content(b"x" * 300_000)),)),
        )
    )


def message_frames() -> tuple[bytes, ...]:
    """One valid frame of every message."""
    digest = Digest(bytes(32), 1, 1)
    model = ModelAdvert("m", "", 1, False, "echo", "")
    return tuple(
        encode_message(message)
        for message in (
            Hello(1, BUILDER.network, ID, bytes(32), "test", ("/ip4/127.0.0.1/tcp/1",)),
            Credentials(WIRES[:1]),
            Proof(bytes(64)),
            Goodbye("bye"),
            digest,
            Ping(1),
            Pong(1, digest, 1),
            Push(WIRES),
            IHave((ID,)),
            Get(1, (ID,)),
            GetProfiles(1, (ID,)),
            GetLast(1, ID),
            Items(1, WIRES, (ID,), 0, True),
            Heads((Ref(1, ID),), digest, False),
            Advert(1, (model,), 1, 0, 0, False),
            Neighbour(True),
            Disconnect((ID,)),
            Shuffle((ID,)),
            ShuffleReply((ID,)),
            Graft(),
            Prune(),
            Ranges(1, False, b"", (Range(b"\x00", bytes(16)), Range(b"\xff", None))),
            Ranges(1, True, b"", (Range(b"\xff", bytes(24)),)),
        )
    )


def feed_link(data: bytes) -> object:
    """The receiving end of a stream: parser, credit and order of frames."""
    link = FrameLink(window_bytes=4_096, queue_bytes_max=4_096)
    half = len(data) // 2
    return link.feed(data[:half]) + link.feed(data[half:])


def wire_decoders() -> tuple[Decoder, ...]:
    admission = Admission(
        BUILDER.network, "ed25519", AuthorRegistry(BUILDER.genesis), lambda _: False
    )
    frames = (data_header(b"hello") + b"hello", encode_credit(64), FINISH_FRAME)
    return tuple(
        Decoder(name, decode, InvalidMessage, seeds)
        for name, decode, seeds in (
            ("message", admission.check, message_frames()),
            ("framing", lambda data: FrameParser().feed(data), (*frames, b"".join(frames))),
            ("link", feed_link, (frames[0], frames[0] + FINISH_FRAME)),
            ("blob ask", blobs.decode_ask_frame, BLOB_ASKS),
            ("blob frame", blobs.decode_blob_frame, BLOB_FRAMES),
            ("question", decode_ask_frame, question_frames()),
            ("answer", decode_answer_frame, answer_frames()),
            ("join request", joining._request_decoder.decode, (join_request(),)),
            ("join reply", joining._reply_decoder.decode, join_replies()),
            ("admission", joining._admission_decoder.decode, (join_admission(),)),
        )
    )


LOAD = Load(1, 2, 3, 4, 5, 6, 7, False)


def question_frames() -> tuple[bytes, ...]:
    """One valid frame of every kind an asking peer sends."""
    return (
        encode_frame(Ask(1, bytes(16), 2, "full", 1_000, (ID,), True)),
        encode_frame(AskPart(b"{}")),
        encode_frame(Cancel()),
        encode_frame(PaidAsk(1, bytes(16), 2, "full", 1_000, (), False, ID, ID)),
        encode_frame(Countersign(1, bytes(64))),
        encode_frame(Probe(1, 7)),
        encode_frame(Open(1, 1, bytes(16), bytes(32), bytes(1_088))),
        encode_frame(Box(bytes(300))),
    )


def answer_frames() -> tuple[bytes, ...]:
    """One valid frame of every kind a serving peer sends."""
    return (
        encode_frame(Queued(1, LOAD)),
        encode_frame(Part(b"{}", last=True)),
        encode_frame(Done(ID, 2, "echo", "echo-1", "full", "stop", 1, 1, 0, 1, 2, LOAD)),
        encode_frame(Failed("overloaded", "busy", 5, LOAD)),
        encode_frame(Report(LOAD, 3, True, bytes(16))),
        encode_frame(Invoice(bytes(150), bytes(64))),
        encode_frame(Accept(bytes(16), bytes(32), bytes(1_088))),
        encode_frame(Refuse(WIRES[0])),
    )


def join_request() -> bytes:
    """A valid question of a joiner, but for its proof."""
    return encode(joining.JoinRequest(1, BUILDER.network, ID, ID, bytes(64)))


def join_replies() -> tuple[bytes, ...]:
    return (
        encode(joining.JoinGranted(100)),
        encode(joining.JoinRefused("overloaded", "later")),
    )


def join_admission() -> bytes:
    genesis = encode_genesis(BUILDER.genesis)
    return encode(joining.Admission(genesis, BUILDER.invite(0, 1), WIRES[:1]))


# --- words people paste, and what backends say -----------------------------------------------------


def as_text(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: decode(data.decode("latin-1"))


def feed_sse(data: bytes) -> object:
    parser = SseParser(event_bytes_max=1_024)
    half = len(data) // 2
    return [*parser.feed(data[:half]), *parser.feed(data[half:]), *parser.finish()]


def feed_completion(data: bytes) -> object:
    stream = CompletionStream("test", secret=SECRET, answer_bytes_max=4_096)
    return [*stream.feed(data), *stream.finish()]


def text_decoders() -> tuple[Decoder, ...]:
    peer = CoreNet(1).hosts[0].name
    address = "/ip4/127.0.0.1/tcp/4001"
    ticket = encode_ticket(
        Ticket(
            network=BUILDER.network,
            network_name="test",
            suite="hybrid",
            peer=PeerId(peer),
            addresses=(address,),
            bearer_seed=bytes(32),
        )
    )
    texts: tuple[tuple[str, Callable[[str], object], type[MeshError], tuple[str, ...]], ...] = (
        ("ticket", decode_ticket, CommandRejected, (ticket,)),
        ("peer id", public_key_from_peer_id, TransportError, (peer,)),
        ("address", parse_address, TransportError, (address, f"{address}/p2p/{peer}")),
        ("api address", parse_api_address, ConfigError, ("127.0.0.1:80", "[::1]:80")),
        ("option", parse_option_value, ConfigError, ("5", "true", '"x"')),
    )
    chunk = b'{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}'
    sse = b"data: " + chunk + b"\n\ndata: [DONE]\n\n"
    backends = (
        ("sse", feed_sse, (sse, b"event: error\r\ndata: x\r\n\r\n")),
        ("completion stream", feed_completion, (sse,)),
        ("backend json", lambda data: decode_object(data, "test"), (chunk,)),
        (
            "backend error",
            lambda data: error_from_response("test", 500, {}, data, secret=SECRET),
            (b'{"error":{"message":"no","type":"x","code":500}}', b"<html>"),
        ),
    )
    return (
        *(
            Decoder(name, as_text(read), error, tuple(seed.encode() for seed in seeds))
            for name, read, error, seeds in texts
        ),
        *(Decoder(name, read, EngineError, seeds) for name, read, seeds in backends),
        *document_decoders(),
    )


def document_decoders() -> tuple[Decoder, ...]:
    info = VertexInfo(
        id="00",
        author="00",
        author_name="a",
        kind="note",
        lane=0,
        seq=0,
        lamport=1,
        time_ms=1,
        size_bytes=1,
    )
    event = msgspec.json.encode(VertexSeen(vertex=info, own=True).to_json())
    return (
        Decoder("event", lambda data: read_event(_decode(data)), MalformedMessage, (event,)),
        Decoder(
            "stream item",
            lambda data: read_stream_item(_decode(data)),
            MalformedMessage,
            (b'{"type":"delta","text":"a","chunk":{}}',),
        ),
    )


# --- files -----------------------------------------------------------------------------------------


@contextmanager
def private_file(name: str, data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.touch(mode=0o600)
        path.write_bytes(data)
        yield path


def as_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def decode(data: bytes) -> object:
        with private_file(name, data) as path:
            return read(path)

    return decode


FAST = sealing.KdfCost(operations=1, memory_bytes=8_192)


def open_keystore(path: Path) -> object:
    # What a guess may cost is bounded by a ceiling; here it is low, because there are many.
    with mock.patch.object(
        sealing, "COST_CEILING", sealing.KdfCost(operations=2, memory_bytes=65_536)
    ):
        keystore.read_key_mode(path)
        return keystore.open_key_store(path, passphrase=SECRET, cost_floor=FAST)


def keystore_files() -> tuple[bytes, ...]:
    files = []
    for passphrase in (None, SECRET):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "identity.key"
            keystore.create_key_store(
                path, seed=bytes(32), created_ms=1, passphrase=passphrase, cost=FAST
            )
            files.append(path.read_bytes())
    return tuple(files)


def recording_file() -> bytes:
    """The life of a lone founder that published one note."""
    net = CoreNet(1)
    host = net.hosts[0]
    net.start()
    start_ms = net.now_ms
    host.publish(b"note")
    net.run(50)
    frames: list[Frame] = [
        Header(FORMAT, "1", host.settings, bytes(32), {}),
        StartFrame(start_ms),
        *(encode_input(entry) for entry in host.inputs),
        DigestFrame(len(host.inputs) + 1, EffectDigest().digest()),
    ]
    bodies = [msgspec.msgpack.encode(frame) for frame in frames]
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


def file_decoders() -> tuple[Decoder, ...]:
    config = b'name = "a"\nlisten = ["/ip4/0.0.0.0/tcp/0"]\n[engine_options]\ndelay_ms = 5\n'
    runtime = msgspec.json.encode(RuntimeRecord(os.getpid(), 0, "127.0.0.1:80", "x" * 43, 1, "1"))
    issued = Issued(ID, BUILDER.invite(0, 1), 1, 0, (ID,))
    book = encode(((issued,),))
    return (
        Decoder(
            "key store", as_file("identity.key", open_keystore), KeystoreError, keystore_files()
        ),
        Decoder(
            "settings file",
            as_file("config.toml", lambda path: load_config(path.parent, environ={})),
            ConfigError,
            (config, b'record = "~root/x"\n'),
        ),
        Decoder("runtime file", as_file("runtime.json", find_runtime), StorageError, (runtime,)),
        Decoder("invitations", as_file("invitations.bin", InvitationBook), StorageError, (book,)),
        Decoder("membership", decode_membership, StorageError, (membership_file(),)),
        Decoder("recording", as_file("x.rec", replay), StorageError, (recording_file(),)),
    )


def membership_file() -> bytes:
    return encode(Membership(ID, BUILDER.invite(0, 1), WIRES[:1], (Bootstrap("p", ("a",)),)))


def decode_membership(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        network = home.add_network(BUILDER.genesis, Membership())
        (network.directory / "membership.bin").write_bytes(data)
        return home.get_current_network()


DECODERS = (*kernel_decoders(), *wire_decoders(), *text_decoders(), *file_decoders())
