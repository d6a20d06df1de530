"""Prefix digests chain, are salted, and map to whoever holds them for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.affinity import (
    BLOCK_BYTES,
    DIGEST_TTL_MS,
    PREFIX_BLOCKS_MAX,
    PrefixIndex,
    cut_blocks,
    digest_prefix,
    make_salt,
)

SALT = make_salt(b"network", "m", "r")


def test_digests_name_whole_prefixes():
    blocks = [b"a", b"b", b"c"]
    digests = digest_prefix(blocks, SALT)
    assert digests[:2] == digest_prefix(blocks[:2], SALT)
    changed = digest_prefix([b"x", b"b", b"c"], SALT)
    assert all(one != other for one, other in zip(digests, changed, strict=True))
    assert all(0 <= digest < 1 << 64 for digest in digests)


def test_digests_differ_by_network_model_and_revision():
    salts = [
        make_salt(b"n", "m", "r"),
        make_salt(b"nm", "", "r"),
        make_salt(b"n", "mr", ""),
        make_salt(b"", "nm", "r"),
    ]
    assert len(dict.fromkeys(digest_prefix([b"a"], salt) for salt in salts)) == 4


def test_digests_are_fixed_for_all_versions():
    assert digest_prefix([b"a", b"b"], SALT) == (0xDEEBE71E7ABF2BC7, 0x239710A75991057C)


def test_digests_of_a_prompt_are_bounded():
    assert len(digest_prefix([b"a"] * (PREFIX_BLOCKS_MAX + 1), SALT)) == PREFIX_BLOCKS_MAX


def test_blocks_are_whole():
    assert cut_blocks(b"x" * (2 * BLOCK_BYTES + 1)) == [b"x" * BLOCK_BYTES] * 2
    assert cut_blocks(b"x" * (BLOCK_BYTES - 1)) == []


def test_index_finds_how_much_each_replica_holds():
    index = PrefixIndex()
    index.add("a", (1, 2, 3), now_ms=0)
    index.add("b", (1,), now_ms=0)
    index.add("c", (2, 3), now_ms=0)
    assert index.find_depths((1, 2, 3, 4), now_ms=0) == {"a": 3, "b": 1}
    assert index.find_depths((9,), now_ms=0) == {}
    assert index.find_depths((), now_ms=0) == {}


def test_index_forgets_what_was_removed_replaced_or_gone():
    index = PrefixIndex()
    index.add("a", (1, 2, 3), now_ms=0)
    index.remove("a", (3, 7))
    index.remove("nobody", (1,))
    assert index.find_depths((1, 2, 3), now_ms=0) == {"a": 2}
    index.replace("a", (1,), now_ms=0)
    assert index.find_depths((1, 2), now_ms=0) == {"a": 1}
    index.forget("a")
    index.forget("a")
    assert index.find_depths((1,), now_ms=0) == {}
    index.add("b", (1,), now_ms=0)
    assert index.find_depths((1,), now_ms=0) == {"b": 1}


def test_index_forgets_after_twenty_minutes_unless_told_again():
    index = PrefixIndex()
    index.add("a", (1, 2), now_ms=0)
    index.add("a", (1,), now_ms=5)
    assert index.find_depths((1, 2), now_ms=DIGEST_TTL_MS) == {"a": 1}
    assert index.find_depths((1, 2), now_ms=DIGEST_TTL_MS + 5) == {}


def test_index_keeps_the_newest_digests():
    index = PrefixIndex(digests_max=2)
    index.add("a", (1, 2), now_ms=0)
    index.add("a", (1,), now_ms=1)
    index.add("a", (3,), now_ms=2)
    assert index.find_depths((1,), now_ms=2) == {"a": 1}
    assert index.find_depths((2,), now_ms=2) == {}
    index.add("a", (4, 5, 6), now_ms=3)
    assert index.find_depths((4,), now_ms=3) == {}
    assert index.find_depths((5, 6), now_ms=3) == {"a": 2}


peers = st.sampled_from("abc")
digests = st.lists(st.integers(0, 9), max_size=6).map(tuple)


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "replace", "forget"]), peers, digests)),
    digests,
)
def test_index_agrees_with_a_plain_model(steps, prefix):
    index = PrefixIndex()
    model: dict[str, list[int]] = {}
    for step, peer, told in steps:
        match step:
            case "add":
                index.add(peer, told, now_ms=0)
                model[peer] = model.get(peer, []) + list(told)
            case "remove":
                index.remove(peer, told)
                model[peer] = [each for each in model.get(peer, []) if each not in told]
            case "replace":
                index.replace(peer, told, now_ms=0)
                model[peer] = list(told)
            case _:
                index.forget(peer)
                model.pop(peer, None)
    expected = {}
    for peer, held in model.items():
        depth = next((at for at, each in enumerate(prefix) if each not in held), len(prefix))
        if depth:
            expected[peer] = depth
    assert index.find_depths(prefix, now_ms=0) == expected
