"""Issued invitations are counted, expire, and survive a restart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from nacl.signing import SigningKey

from meshnode import invitations
from meshnode.errors import CommandRejected, StorageError
from meshnode.invitations import InvitationBook
from meshnode.private_files import write_private
from tests.support.dag_builder import make_person

INVITER = make_person(1)
NETWORK = bytes(32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "invitations.bin"


def issue(book, *, uses=1, expires_ms=100, now_ms=0, role="peer"):
    seed = book.issue(
        INVITER.secrets,
        "ed25519",
        network=NETWORK,
        inviter=INVITER.author,
        uses=uses,
        expires_ms=expires_ms,
        role=role,
        now_ms=now_ms,
    )
    return SigningKey(seed).verify_key.encode()


def test_invitation_admits_as_many_authors_as_it_has_uses(path):
    book = InvitationBook(path)
    key = issue(book, uses=2)
    first = book.redeem(key, b"a" * 32, now_ms=1)
    assert book.redeem(key, b"a" * 32, now_ms=2) == first  # asking again is not a second use
    book.redeem(key, b"b" * 32, now_ms=3)
    with pytest.raises(CommandRejected, match="used up"):
        book.redeem(key, b"c" * 32, now_ms=4)


def test_last_use_is_given_once_when_two_come_at_the_same_time(path, monkeypatch):
    book = InvitationBook(path)
    key = issue(book)
    writing, go_on = threading.Event(), threading.Event()

    def write_slowly(target, data):
        writing.set()
        go_on.wait(1)
        write_private(target, data)

    monkeypatch.setattr(invitations, "write_private", write_slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(book.redeem, key, b"a" * 32, now_ms=1)
        assert writing.wait(5)
        second = threads.submit(book.redeem, key, b"b" * 32, now_ms=1)
        go_on.set()
        first.result(5)
        with pytest.raises(CommandRejected, match="used up"):
            second.result(5)
    assert book.issued[0].used_by == (b"a" * 32,)


def test_uses_survive_a_restart(path):
    key = issue(InvitationBook(path))
    InvitationBook(path).redeem(key, b"a" * 32, now_ms=1)
    with pytest.raises(CommandRejected, match="used up"):
        InvitationBook(path).redeem(key, b"b" * 32, now_ms=1)
    assert len(InvitationBook(path).issued) == 1


def test_invitation_expires_unless_it_is_for_ever(path):
    book = InvitationBook(path)
    brief, lasting = issue(book), issue(book, expires_ms=0)
    book.redeem(lasting, b"a" * 32, now_ms=10**12)
    with pytest.raises(CommandRejected, match="expired"):
        book.redeem(brief, b"a" * 32, now_ms=100)


def test_unknown_ticket_is_refused(path):
    with pytest.raises(CommandRejected, match="unknown here"):
        InvitationBook(path).redeem(bytes(32), bytes(32), now_ms=0)


@pytest.mark.parametrize(("uses", "role"), [(0, "peer"), (1_001, "peer"), (1, "king")])
def test_unusable_invitations_are_refused(path, uses, role):
    with pytest.raises(CommandRejected):
        issue(InvitationBook(path), uses=uses, role=role)
    assert not path.exists()


def test_open_invitations_are_bounded_and_expired_ones_make_room(path, monkeypatch):
    monkeypatch.setattr(invitations, "INVITATIONS_MAX", 2)
    book = InvitationBook(path)
    issue(book)
    issue(book, expires_ms=0)
    with pytest.raises(CommandRejected, match="2 invitations are open"):
        issue(book, now_ms=99)
    issue(book, now_ms=100, expires_ms=200)
    assert len(book.issued) == 2


def test_book_holds_no_secret_and_damage_is_named(path):
    book = InvitationBook(path)
    seed = book.issue(
        INVITER.secrets,
        "ed25519",
        network=NETWORK,
        inviter=INVITER.author,
        uses=1,
        expires_ms=0,
        role="peer",
        now_ms=0,
    )
    assert seed not in path.read_bytes()
    path.write_bytes(b"?")
    with pytest.raises(StorageError, match="damaged"):
        InvitationBook(path)
