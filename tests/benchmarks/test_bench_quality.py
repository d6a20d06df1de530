"""The benchmark of the checks: its cheats cheat, and its groups are as large as a verdict needs."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from benchmarks._gguf import write_with_fewer_bits
from benchmarks.bench_quality import (
    PROVIDERS,
    Given,
    Row,
    _group,
    _show_piles,
    make_questions,
    show,
    turn,
)
from meshnode.quality.replay import Comparison

ROW = Row(
    provider="p",
    honest=True,
    answers=2,
    flawed=0,
    canaries=3,
    canaries_right=1,
    canaries_suspected=True,
    pile_looks=0,
    pile_as_different=1,
    pile_suspected=False,
    tokens_compared=80,
    tokens_matched=78,
    tokens_first=76,
    groups=1,
    groups_substituted=0,
    groups_open=0,
)


def make_gguf(weights: bytes) -> bytes:
    """A file with one text, one list, and one Q4_1 tensor of a single block beside one of floats."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 2)
    head += text(b"name") + struct.pack("<I", 8) + text(b"tiny")
    head += text(b"list") + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 1, 2)
    head += text(b"plain") + struct.pack("<IQIQ", 1, 1, 0, 0)
    head += text(b"quantised") + struct.pack("<IQIQ", 1, 32, 3, 32)
    head += bytes(-len(head) % 32)
    return head + bytes([0xF5] * 32) + b"head" + weights


@pytest.mark.parametrize(
    ("bits", "expected"), [(4, 0x0F12345678), (1, 0x0F0000000F), (3, 0x0F02244669)]
)
def test_weights_lose_bits_and_nothing_else_changes(tmp_path, bits, expected):
    weights = bytes.fromhex("0f12345678") + bytes(11)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(make_gguf(weights))
    assert write_with_fewer_bits(source, target, bits=bits) == source.stat().st_size
    written = target.read_bytes()
    assert written[:-16] == source.read_bytes()[:-16]
    assert written[-16:-11].hex() == f"{expected:010x}"


def test_cheats_turn_honest_answers():
    answers = [Given("one two", "length", 4), Given("three", "stop", 1)]
    assert turn(answers, "") == answers
    assert turn(answers, "half")[0] == Given("one", "stop", 4)
    assert turn(answers, "limit")[1] == Given("th", "length", 1)
    assert turn(answers, "replayed") == answers[::-1]


def test_groups_are_as_large_as_a_verdict_needs():
    assert _group([Comparison(30, 30)] * 7) == [Comparison(90, 90)] * 2


def test_questions_and_providers_are_all_different():
    assert len(set(make_questions(32))) == 32
    assert len({provider.name for provider in PROVIDERS}) == len(PROVIDERS)


def test_row_shows_what_was_suspected():
    assert show(ROW) == ("| p | honest | 0/2 | 1/3 ! | - | 95.0 % | 97.5 % of 80 | 0/1 (0 open) |")
    assert _show_piles(replace(ROW, pile_looks=200, pile_suspected=True)) == "1/200 !"
