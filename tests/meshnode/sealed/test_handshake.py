"""Both sides come to the same keys, nobody else does, and either algorithm alone is enough."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pqcrypto.kem import ml_kem_768

from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.kem import Encapsulated
from meshnode.sealed import handshake
from meshnode.sealed.handshake import ANSWER_DOMAIN, ASK_DOMAIN, Asking
from tests.support.sealing import (
    ALICE,
    BOB,
    EVE,
    accept,
    begin,
    bind,
    draw,
    encapsulate_to,
    make_secrets,
)


def change(record, **fields):
    return msgspec.structs.replace(record, **fields)


def test_both_sides_come_to_the_same_keys_and_no_stream_has_anothers():
    asking = begin()
    answer, keys = accept(asking)
    assert asking.finish(answer) == keys
    assert len({*keys, *accept(begin())[1]}) == 4, "an encapsulation is drawn for each stream"


@pytest.mark.parametrize(
    "field",
    ["network", "asker", "server", "asker_transport", "server_transport", "session"],
)
def test_keys_are_of_this_place_only(field):
    other = change(bind(), **{field: "x" if field.endswith("transport") else b"x"})
    asking = begin()
    answer, keys = accept(asking, other)
    assert keys.ask != asking.ask_key
    assert asking.finish(answer).answer != keys.answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", 2),
        ("version", 2),
        ("server_key", bytes(16)),
        ("ephemeral", draw("another key")),
        ("ciphertext", draw("another ciphertext", 1_088)),
    ],
)
def test_changed_open_gives_other_keys(field, value):
    asking = begin()
    honest_key = asking.ask_key
    asking.open = change(asking.open, **{field: value})  # type: ignore[misc]
    answer, keys = accept(asking)
    assert keys.ask != honest_key
    assert asking.finish(answer) != keys


@pytest.mark.parametrize(
    ("field", "value"),
    [("ephemeral", draw("another key")), ("ciphertext", draw("another ciphertext", 1_088))],
)
def test_changed_accept_gives_another_answer_key(field, value):
    asking = begin()
    answer, keys = accept(asking)
    finished = asking.finish(change(answer, **{field: value}))
    assert finished.ask == keys.ask
    assert finished.answer != keys.answer


def test_who_has_not_the_servers_keys_cannot_read_the_question():
    asking = begin()
    _, keys = accept(asking, server=EVE)
    assert keys.ask != asking.ask_key


def test_who_has_not_the_askers_keys_cannot_read_the_answer():
    """Somebody who speaks in the asker's place is answered under the keys of the asker's profile."""
    impostor = Asking(bind(), ring=EVE.ring, server=BOB.keys, version=1, number=1, seed=draw("e"))
    answer, keys = accept(impostor)
    assert keys.ask == impostor.ask_key
    with pytest.raises(MalformedMessage, match="not held here"):
        impostor.finish(answer)
    claimed = impostor.finish(change(answer, asker_key=EVE.keys.id))
    assert claimed.answer != keys.answer


def test_broken_ml_kem_alone_opens_nothing():
    """Whoever learns what both encapsulations hold still lacks what X25519 gives."""
    to_bob, to_alice = encapsulate_to(BOB), encapsulate_to(ALICE)
    asking = begin(encapsulated=to_bob)
    answer, keys = accept(asking, encapsulated=to_alice)
    assert asking.finish(answer) == keys
    guessed = Asking(
        bind(),
        ring=EVE.ring,
        server=BOB.keys,
        version=1,
        number=1,
        seed=draw("not the asker's"),
        encapsulated=to_bob,
    )
    assert guessed.ask_key != asking.ask_key


def test_broken_x25519_alone_opens_nothing():
    """Whoever knows every X25519 secret still lacks what was encapsulated."""
    asking = begin()
    again = begin(encapsulated=Encapsulated(bytes(32), asking.open.ciphertext))
    assert again.open == asking.open
    assert again.ask_key != asking.ask_key


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_key_that_gives_everybody_the_same_secret_is_refused(point):
    asking = begin()
    answer, _ = accept(asking)
    asking.open = change(asking.open, ephemeral=point)  # type: ignore[misc]
    with pytest.raises(MalformedMessage, match="no secret"):
        accept(asking)
    with pytest.raises(MalformedMessage, match="no secret"):
        begin().finish(change(answer, ephemeral=point))
    with pytest.raises(MalformedMessage, match="no secret"):
        Asking(
            bind(),
            ring=ALICE.ring,
            server=change(BOB.keys, x25519_key=point),
            version=1,
            number=1,
            seed=draw("e"),
        )


def test_profile_that_names_no_ml_kem_key_is_told():
    with pytest.raises(MalformedMessage, match="that is none"):
        Asking(
            bind(),
            ring=ALICE.ring,
            server=change(BOB.keys, mlkem768_key=b"\xff" * 1_184),
            version=1,
            number=1,
            seed=draw("e"),
        )


def test_an_older_pair_of_the_asker_still_reads_the_answer():
    """News of its newer one may not have reached who answers."""
    asking = Asking(
        bind(),
        ring=ALICE.ring.rotate(make_secrets("alice's next"), 2),
        server=BOB.keys,
        version=1,
        number=1,
        seed=draw("e"),
    )
    answer, keys = accept(asking)
    assert asking.finish(answer) == keys


def derive(salt, secret, info):
    """HKDF-SHA-256 of another library."""
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def digest(domain, *parts):
    return hashlib.sha256(domain + b"\x00" + encode(parts)).digest()


def test_another_library_comes_to_the_same_keys():
    """The whole schedule once more: ML-KEM of pqcrypto, X25519 and HKDF of `cryptography`."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    def exchange(seed, public):
        return X25519PrivateKey.from_private_bytes(seed).exchange(
            X25519PublicKey.from_public_bytes(public)
        )

    ciphertext, shared = ml_kem_768.encaps(BOB.keys.mlkem768_key)
    asking = begin(encapsulated=Encapsulated(bytes(shared), bytes(ciphertext)))
    second_ciphertext, second_shared = ml_kem_768.encaps(ALICE.keys.mlkem768_key)
    answer, keys = accept(
        asking, encapsulated=Encapsulated(bytes(second_shared), bytes(second_ciphertext))
    )
    transcript = digest(ASK_DOMAIN, bind(), asking.open, BOB.keys)
    secret = bytes(shared) + exchange(draw("e"), BOB.keys.x25519_key)
    assert keys.ask == derive(transcript, secret, b"ask")
    chain = derive(transcript, secret, b"chain")
    secret = (
        chain
        + bytes(second_shared)
        + exchange(draw("f"), asking.open.ephemeral)
        + exchange(draw("f"), ALICE.keys.x25519_key)
    )
    assert keys.answer == derive(
        digest(ANSWER_DOMAIN, transcript, answer, ALICE.keys), secret, b"answer"
    )


def test_keys_are_not_shown():
    _, keys = accept(begin())
    assert repr(keys) == "StreamKeys(masked)"
    assert handshake.SEED_BYTES == 32
