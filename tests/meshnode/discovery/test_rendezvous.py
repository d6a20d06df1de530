"""Both sides of a visit: what is kept, what is handed out, and what hostile sides achieve."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from nacl.signing import SigningKey

from dag.canonical import encode
from meshnode.core.peer_record import sign_record
from meshnode.core.record_book import PAGE_MAX, RecordBook
from meshnode.core.transport_id import compute_transport_id
from meshnode.discovery import rendezvous
from meshnode.discovery.rendezvous import (
    OF_ONE_PEER_MAX,
    PROBED_MAX,
    PeersDesk,
    ask_to_be_dialled,
    describe_failure,
    visit,
)
from meshnode.discovery.wire import Page, Probe, Visit, is_question, question_decoder
from meshnode.errors import InvalidMessage, MalformedMessage, StreamReset
from tests.support.frame_streams import make_pair

NETWORK = bytes(32)
NOW_MS = 10_000_000
COUNT = 3 * PAGE_MAX


def key_of(number):
    return SigningKey(hashlib.sha256(f"{number}".encode()).digest()).verify_key.encode()


def make(number, *, now_ms=NOW_MS, addresses=("/a",)):
    seed = hashlib.sha256(f"{number}".encode()).digest()
    return sign_record(
        seed, key_of(number), network=NETWORK, now_ms=now_ms, roles=0, addresses=addresses
    )


class Point:
    """A rendezvous point, and visits to it."""

    def __init__(self, *, serves=True, records=COUNT, probe=None):
        members = {compute_transport_id(key_of(number)) for number in range(COUNT + 2)}
        self.now_ms = NOW_MS
        self.book = RecordBook(NETWORK, members.__contains__)
        for number in range(1, records + 1):
            self.book.admit(NOW_MS, make(number))
        self.desk = PeersDesk(
            self.book,
            serves=serves,
            read_own=lambda: make(COUNT + 1),
            probe=probe,
            now_ms=lambda: self.now_ms,
        )

    async def talk(self, client, *, peer="visitor"):
        """Run a client against the desk; what the client answers."""
        own, theirs = make_pair(peer, "point")

        async def serve():
            try:
                await self.desk.serve(theirs)
            except StreamReset:
                pass
            finally:
                theirs.reset()

        serving = asyncio.create_task(serve())
        try:
            return await client(own)
        finally:
            own.reset()
            await serving

    async def visit(self, **options):
        taken: list[bytes] = []
        result = await self.talk(lambda stream: visit(stream, make(0), taken.append, **options))
        return result, taken


async def test_visitor_leaves_its_record_and_takes_all_others_page_by_page():
    point = Point()
    result, taken = await point.visit()
    assert (result.serves, result.verdict) == (True, "new")
    assert sorted(taken) == sorted(make(number) for number in range(COUNT + 1))
    assert point.book.get(key_of(0)) is not None


async def test_visitor_that_looks_for_some_gets_those_that_are_known():
    result, taken = await Point().visit(keys=(key_of(3), key_of(99)))
    assert taken == [make(3)]
    assert result.records == 1


async def test_peer_that_is_no_point_gives_its_own_record_alone():
    result, taken = await Point(serves=False).visit()
    assert not result.serves
    assert taken == [make(COUNT + 1)]


async def test_expired_records_are_not_handed_out():
    point = Point()
    point.now_ms += 2 * 3_600_000
    _, taken = await point.visit()
    assert taken == []


async def test_older_record_of_the_visitor_does_not_replace_the_newer():
    point = Point()
    point.book.admit(NOW_MS, make(0, now_ms=NOW_MS + 1))
    result, _ = await point.visit()
    assert result.verdict == "stale"


async def test_record_with_a_forged_signature_is_the_visitors_fault():
    point = Point()
    own, theirs = make_pair("visitor", "point")
    await own.send(encode(Visit(make(0)[:-1] + b"\x00", (), b"")))
    with pytest.raises(InvalidMessage):
        await point.desk.serve(theirs)
    assert point.book.get(key_of(0)) is None


async def test_endless_questions_end_the_stream(monkeypatch):
    monkeypatch.setattr(rendezvous, "PAGES_MAX", 3)
    point = Point()
    own, theirs = make_pair("visitor", "point")
    for _ in range(4):
        await own.send(encode(Visit(b"", (), b"")))
    with pytest.raises(MalformedMessage, match="more pages"):
        await point.desk.serve(theirs)


async def test_one_peer_takes_few_places_and_gives_them_back():
    point = Point()
    ends = [make_pair("visitor", "point") for _ in range(OF_ONE_PEER_MAX + 1)]
    serving = [asyncio.create_task(point.desk.serve(theirs)) for _, theirs in ends[:-1]]
    await asyncio.sleep(0)
    with pytest.raises(StreamReset):
        await point.desk.serve(ends[-1][1])
    for own, _ in ends:
        await own.finish()
    await asyncio.gather(*serving)
    result, _ = await point.visit()
    assert result.serves


async def test_pages_that_do_not_go_on_or_do_not_end_are_not_followed(monkeypatch):
    async def run(*pages):
        own, theirs = make_pair("visitor", "point")
        for page in pages:
            await theirs.send(encode(page))
        await visit(own, b"", lambda _: None)

    with pytest.raises(MalformedMessage, match="begins before"):
        await run(Page(True, "", (), b"\x05"), Page(True, "", (), b"\x05"))
    monkeypatch.setattr(rendezvous, "PAGES_MAX", 2)
    with pytest.raises(MalformedMessage, match="do not end"):
        await run(Page(True, "", (), b"\x05"), Page(True, "", (), b"\x06"))


async def test_point_that_says_nothing_is_a_failed_visit():
    own, theirs = make_pair("visitor", "point")
    theirs.reset()
    with pytest.raises(StreamReset):
        await visit(own, b"", lambda _: None)
    own, theirs = make_pair("visitor", "point")
    await theirs.finish()
    with pytest.raises(StreamReset):
        await visit(own, b"", lambda _: None)


async def test_peer_dials_back_and_tells_what_it_found():
    asked = []

    async def probe(peer, port):
        asked.append((peer, port))
        return "10.0.0.7", ""

    point = Point(probe=probe)
    probed = await point.talk(lambda stream: ask_to_be_dialled(stream, 4001))
    assert (probed.reachable, probed.host, probed.time_ms) == (True, "10.0.0.7", NOW_MS)
    assert asked == [("visitor", 4001)]
    again = await point.talk(lambda stream: ask_to_be_dialled(stream, 4001))
    assert again.reason == "?, asked too often"
    assert len(asked) == 1
    for number in range(PROBED_MAX + 1):
        await point.talk(lambda stream: ask_to_be_dialled(stream, 1), peer=f"peer {number}")
    assert len(point.desk._probed) == PROBED_MAX


async def test_peer_that_does_not_dial_back_says_that_it_cannot_tell():
    probed = await Point().talk(lambda stream: ask_to_be_dialled(stream, 4001))
    assert probed.reason.startswith("?")


def test_streams_about_peers_are_known_by_their_first_frame():
    assert is_question(encode(Visit(b"", (), b"")))
    assert is_question(encode(Probe(1)))
    assert not is_question(encode([1, 2, 3, 4]))
    assert not is_question(b"")
    with pytest.raises(MalformedMessage):
        question_decoder.decode(encode(["peers/visit", b"", (), bytes(33)]))


def test_failures_are_described_also_where_there_are_no_words():
    assert describe_failure(TimeoutError()) == "no answer in time"
    assert describe_failure(StreamReset("gone")).startswith("gone")
