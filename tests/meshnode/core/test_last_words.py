"""What of an author's chain the order left out, and what of that was said again."""

from __future__ import annotations

from dag.types import LANE_SPEECH, Kind, Ref
from dag.vertex import Vertex, encode_vertex, seal
from meshnode.core.last_words import GAPS_MAX, NAMED_MAX, Gap, LastWord, follow, is_unordered

AUTHOR = bytes(32)


def say(seq, *extra):
    """A vertex of a chain, of lamport `10 * seq + 1`; nobody here looks at signatures."""
    before = (Ref(10 * seq, bytes(32)),) if seq else ()
    parents = (*before, *sorted(extra))
    lamport = 10 * seq + 1
    vertex = Vertex(1, AUTHOR, AUTHOR, LANE_SPEECH, seq, lamport, Kind.NOTE, 0, parents, b"")
    return seal(encode_vertex(vertex), b"signature")


def put_out(*seqs, last=None):
    """The last word after these were put out."""
    for seq in seqs:
        last = follow(last, say(seq))
    return last


def list_unordered(last, upto):
    return [seq for seq in range(upto) if is_unordered(last, seq, say(seq).id)]


def test_what_was_put_out_is_in_order_and_what_comes_later_is_not():
    last = put_out(0, 1, 2)
    assert last == LastWord(AUTHOR, 2, say(2).ref)
    assert list_unordered(last, 5) == [3, 4]


def test_nothing_is_in_order_of_who_was_never_put_out():
    assert list_unordered(None, 2) == [0, 1]


def test_what_was_left_out_before_another_is_unordered():
    last = put_out(0, 4, 5, 7)
    assert last.gaps == (Gap(1, 3, 41), Gap(6, 6, 71))
    assert list_unordered(last, 10) == [1, 2, 3, 6, 8, 9]


def test_first_words_may_be_left_out_as_well():
    assert list_unordered(put_out(2), 3) == [0, 1]


def test_second_vertex_of_a_slot_changes_nothing():
    last = put_out(0, 4)
    assert put_out(3, last=last) is last
    assert put_out(4, last=last) is last


def test_what_was_said_again_is_not_unordered():
    last = follow(put_out(0, 3), say(4, say(1).ref))
    assert list_unordered(last, 5) == [2]


def test_what_comes_right_behind_a_gap_may_say_it_again():
    last = follow(put_out(0), say(3, say(1).ref))
    assert list_unordered(last, 4) == [2]


def test_names_of_what_is_younger_than_the_gap_are_not_kept():
    last = follow(put_out(0, 3), say(6, Ref(45, b"o" * 32)))
    assert last.named == (b"o" * 32,), "the gap before it is the younger one"
    last = follow(put_out(0, 3, 4), say(5, Ref(45, b"o" * 32)))
    assert last.named == ()


def test_oldest_of_many_gaps_counts_as_put_out():
    last = put_out(*range(1, 2 * GAPS_MAX, 2))
    assert list_unordered(last, 2 * GAPS_MAX) == list(range(0, 2 * GAPS_MAX, 2))
    last = put_out(2 * GAPS_MAX + 1, last=last)
    assert len(last.gaps) == GAPS_MAX
    assert list_unordered(last, 2 * GAPS_MAX + 2) == list(range(2, 2 * GAPS_MAX + 1, 2))


def test_too_many_names_count_as_all_said_again():
    last = put_out(0, 2)
    names = [Ref(5, bytes([number]) * 32) for number in range(1, NAMED_MAX + 2)]
    for seq, ref in enumerate(names[:-1], start=3):
        last = follow(last, say(seq, ref))
    assert (list_unordered(last, 3), len(last.named)) == ([1], NAMED_MAX)
    last = follow(last, say(last.seq + 1, names[-1]))
    assert (last.gaps, last.named, list_unordered(last, 3)) == ((), (), [])
