"""Which record of a peer holds, and whose are kept at all."""

from __future__ import annotations

import hashlib

import pytest
from nacl.signing import SigningKey

from dag.canonical import encode
from dag.crypto import compute_detached_message, sign_ed25519
from dag.errors import InvalidSignature
from meshnode.core import record_book
from meshnode.core.peer_record import (
    LIFETIME_MAX_MS,
    LIFETIME_MS,
    RECORD_DOMAIN,
    ROLE_RELAY,
    ROLE_RENDEZVOUS,
    PeerRecord,
    SignedRecord,
    sign_record,
)
from meshnode.core.record_book import PAGE_MAX, SKEW_MS, RecordBook, Verdict
from meshnode.core.transport_id import compute_transport_id

NETWORK = bytes(32)
NOW_MS = 10_000_000


def seed_of(number):
    return hashlib.sha256(f"peer {number}".encode()).digest()


def key_of(number):
    return SigningKey(seed_of(number)).verify_key.encode()


def make(number=0, now_ms=NOW_MS, roles=0, addresses=("/a",)):
    return sign_record(
        seed_of(number),
        key_of(number),
        network=NETWORK,
        now_ms=now_ms,
        roles=roles,
        addresses=addresses,
    )


def make_lasting(number, expires_ms):
    body = encode(PeerRecord(1, NETWORK, key_of(number), 1, expires_ms, 0, ("/a",)))
    message = compute_detached_message(RECORD_DOMAIN, NETWORK, body)
    return encode(SignedRecord(body, sign_ed25519(seed_of(number), message)))


@pytest.fixture
def members():
    return {compute_transport_id(key_of(number)) for number in range(40)}


@pytest.fixture
def book(members):
    return RecordBook(NETWORK, lambda peer: peer in members)


def test_newer_record_takes_the_place_of_the_older(book):
    assert book.admit(NOW_MS, make())[0] is Verdict.NEW
    newer = make(now_ms=NOW_MS + 1, addresses=("/b",))
    assert book.admit(NOW_MS + 1, newer)[0] is Verdict.NEW
    assert book.get(key_of(0)).addresses == ("/b",)
    assert len(book) == 1


def test_older_record_is_stale_whoever_brings_it(book):
    book.admit(NOW_MS, make(now_ms=NOW_MS))
    assert book.admit(NOW_MS, make(now_ms=NOW_MS - 1, addresses=("/old",)))[0] is Verdict.STALE
    assert book.get(key_of(0)).addresses == ("/a",)


def test_second_record_of_one_number_is_stale_and_the_same_one_is_known(book):
    book.admit(NOW_MS, make())
    assert book.admit(NOW_MS, make())[0] is Verdict.KNOWN
    assert book.admit(NOW_MS, make(addresses=("/other",)))[0] is Verdict.STALE


def test_old_record_does_not_come_back_when_the_newer_has_expired(book):
    old = make_lasting(0, NOW_MS + LIFETIME_MAX_MS)
    assert book.admit(NOW_MS, make())[0] is Verdict.NEW
    later_ms = NOW_MS + LIFETIME_MS
    book.expire(later_ms)
    assert len(book) == 0
    assert book.admit(later_ms, old)[0] is Verdict.STALE


def test_stranger_expired_and_endless_records_are_not_kept(book):
    assert book.admit(NOW_MS, make(number=99))[0] is Verdict.NOT_A_MEMBER
    assert book.admit(NOW_MS, make(now_ms=NOW_MS - LIFETIME_MS))[0] is Verdict.EXPIRED
    endless = make_lasting(1, NOW_MS + LIFETIME_MAX_MS + SKEW_MS + 1)
    assert book.admit(NOW_MS, endless)[0] is Verdict.TOO_LONG
    assert len(book) == 0


def test_record_with_a_wrong_signature_proves_nothing(book):
    with pytest.raises(InvalidSignature):
        book.admit(NOW_MS, make()[:-1] + b"\x00")


def test_who_is_no_member_any_more_is_forgotten(book, members):
    book.admit(NOW_MS, make())
    members.clear()
    book.expire(NOW_MS)
    assert book.get(key_of(0)) is None


def test_full_book_makes_room_for_who_left_only(book, members, monkeypatch):
    monkeypatch.setattr(record_book, "BOOK_MAX", 2)
    book.admit(NOW_MS, make(0))
    book.admit(NOW_MS, make(1))
    assert book.admit(NOW_MS, make(2))[0] is Verdict.FULL
    members.remove(compute_transport_id(key_of(0)))
    assert book.admit(NOW_MS, make(2))[0] is Verdict.NEW
    assert book.admit(NOW_MS, make(1, now_ms=NOW_MS + 1))[0] is Verdict.NEW


def test_pages_hold_every_record_once(book):
    for number in range(2 * PAGE_MAX + 1):
        book.admit(NOW_MS, make(number))
    found, mark, pages = [], b"", 0
    while pages == 0 or mark:
        wires, mark = book.page(mark)
        found += wires
        pages += 1
    assert pages == 3
    assert sorted(found) == sorted(make(number) for number in range(2 * PAGE_MAX + 1))


def test_page_of_exactly_all_ends(book):
    for number in range(PAGE_MAX):
        book.admit(NOW_MS, make(number))
    wires, mark = book.page(b"")
    assert (len(wires), mark) == (PAGE_MAX, b"")


def test_records_are_found_by_key_and_by_role(book):
    book.admit(NOW_MS, make(0, roles=ROLE_RELAY))
    book.admit(NOW_MS, make(1, roles=ROLE_RENDEZVOUS | ROLE_RELAY))
    book.admit(NOW_MS, make(2))
    assert book.select([key_of(2), key_of(9)]) == [make(2)]
    assert sorted(one.key for one in book.list_roles(ROLE_RELAY)) == sorted([key_of(0), key_of(1)])
    assert [one.key for one in book.list_roles(ROLE_RENDEZVOUS)] == [key_of(1)]
