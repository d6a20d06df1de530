"""When links become branches, and when they cease to be."""

from __future__ import annotations

from meshnode.core.effects import Send
from meshnode.core.entropy import Entropy
from meshnode.core.messages import Graft, Prune
from meshnode.core.outbox import Outbox
from meshnode.core.plumtree import BACK_OFF_MS, BUSY, CROSSING_MS, REPAIRS_MAX, Plumtree
from meshnode.core.settings import Limits, Timing


class Tree:
    """A tree on its own."""

    def __init__(self, *peers: str, eager: int = 0) -> None:
        self.outbox = Outbox()
        self.tree = Plumtree(self.outbox, Entropy(bytes(32)), Limits(), Timing())
        for number, peer in enumerate(peers):
            self.tree.add(peer)
            if number < eager:
                self.tree.on_graft(0, peer)

    def said(self, kind: type) -> list[str]:
        return [
            effect.to[0]
            for effect in self.outbox.take()
            if isinstance(effect, Send) and isinstance(effect.message, kind)
        ]

    def hear_much(self, now_ms: int) -> None:
        """Let a second end in which much was said."""
        for number in range(BUSY + 1):
            self.tree.note_new(now_ms - 1_000 + number * 125)

    def repeat(self, now_ms: int, peer: str, count: int) -> None:
        for _ in range(count):
            self.tree.note_duplicate(now_ms, peer)


def test_first_neighbours_become_branches():
    scene = Tree("a", "b", "c", "d")
    for peer in "abcd":
        scene.tree.grow(5_000, peer)
    assert scene.said(Graft) == ["a", "b"]
    assert scene.tree.eager == ("a", "b")
    assert scene.tree.is_branch("a")
    assert not scene.tree.is_branch("d")
    scene.hear_much(7_000)
    for peer in "cd":
        scene.tree.grow(7_000, peer)
    assert scene.said(Graft) == ["c"]


def test_three_duplicates_in_a_row_prune_a_branch():
    scene = Tree("a", "b", "c", eager=3)
    scene.repeat(5_000, "a", 2)
    scene.tree.note_fresh(5_000, "a")
    scene.repeat(5_000, "a", 2)
    assert scene.said(Prune) == []
    scene.repeat(5_000, "a", 1)
    assert scene.said(Prune) == ["a"]
    assert scene.tree.eager == ("b", "c")


def test_one_branch_is_pruned_a_second():
    scene = Tree("a", "b", "c", "d", eager=4)
    scene.repeat(5_000, "a", 3)
    scene.repeat(5_500, "b", 9)
    assert scene.said(Prune) == ["a"]
    scene.repeat(6_000, "b", 1)
    assert scene.said(Prune) == ["b"]


def test_last_branch_is_kept_and_three_where_much_is_said():
    scene = Tree("a", "b", "c", eager=3)
    for number in range(BUSY):
        scene.tree.note_new(5_000 + number * 125)
    assert scene.tree.is_enough
    scene.tree.note_new(6_000)
    assert not scene.tree.is_enough
    scene.repeat(7_000, "a", 9)
    assert scene.said(Prune) == []
    scene.tree.note_new(90_000)
    assert scene.tree.is_enough
    scene.repeat(90_000, "a", 3)
    scene.repeat(95_000, "b", 3)
    scene.repeat(99_000, "c", 9)
    assert scene.said(Prune) == ["a", "b"]
    assert scene.tree.eager == ("c",)


def test_last_two_branches_that_bring_something_are_kept_whatever_else_there_is():
    scene = Tree("a", "b", "c", "mute", eager=4)
    scene.hear_much(6_000)
    scene.tree.note_fresh(6_000, "a")
    scene.repeat(6_000, "b", 9)
    assert scene.said(Prune) == []
    scene.tree.note_fresh(6_000, "c")
    scene.repeat(6_000, "b", 1)
    assert scene.said(Prune) == ["b"]


def test_neighbours_that_announce_become_branches_where_branches_bring_nothing():
    scene = Tree("a", "b", "mute", eager=2)
    scene.hear_much(6_000)
    assert scene.said(Graft) == []
    scene.tree.note_announced(6_500, "a")
    scene.hear_much(8_000)
    assert scene.said(Graft) == []
    scene.tree.add("c")
    scene.tree.note_announced(6_500, "c")
    scene.hear_much(9_000)
    assert scene.said(Graft) == ["c"]
    for peer in "ab":
        scene.tree.note_fresh(9_500, peer)
    scene.tree.note_announced(9_500, "mute")
    scene.hear_much(10_000)
    assert scene.said(Graft) == []


def test_single_branch_that_brings_something_is_enough():
    scene = Tree("a", "b", eager=1)
    scene.tree.note_fresh(5_500, "a")
    scene.tree.note_announced(5_500, "b")
    scene.hear_much(6_000)
    assert scene.said(Graft) == []
    scene.tree.note_announced(8_500, "b")
    scene.hear_much(9_000)
    assert scene.said(Graft) == ["b"]


def test_tree_without_branches_is_not_enough():
    assert not Tree("a").tree.is_enough


def test_pushes_of_a_peer_that_is_no_branch_are_pruned_again():
    scene = Tree("a", "b")
    scene.repeat(5_000, "a", 3)
    assert scene.said(Prune) == ["a"]


def test_second_pull_from_a_peer_makes_it_a_branch():
    scene = Tree("a")
    scene.tree.note_pulled(5_000, "a")
    assert scene.said(Graft) == []
    scene.tree.note_pulled(5_000, "a")
    assert scene.said(Graft) == ["a"]
    for _ in range(2):
        scene.tree.note_pulled(5_500, "a")
    assert scene.said(Graft) == []


def test_lost_branch_is_replaced_where_few_are_left():
    scene = Tree("a", "b", "c", "d", eager=3)
    scene.tree.drop(5_000, "d")
    scene.tree.drop(5_000, "a")
    assert scene.said(Graft) == []
    scene.tree.add("e")
    scene.tree.drop(5_000, "b")
    assert scene.said(Graft) == ["e"]
    assert scene.tree.eager == ("c", "e")


def test_prune_by_the_other_side_leaves_at_least_one_branch():
    scene = Tree("a", "b", "c", eager=2)
    scene.tree.on_prune(5_000, "a")
    assert scene.said(Graft) == []
    scene.tree.on_prune(5_000, "b")
    assert scene.said(Graft) == ["c"]
    assert scene.tree.eager == ("c",)


def test_peer_that_changes_a_link_all_the_time_is_not_listened_to():
    scene = Tree("a", "b")
    scene.tree.on_graft(5_000, "a")
    scene.tree.on_graft(5_200, "a")
    scene.tree.on_prune(5_400, "a")
    assert scene.tree.eager == ("a",)
    scene.tree.on_prune(5_500, "a")
    scene.tree.on_graft(5_900, "a")
    assert "a" not in scene.tree.eager[:-1]
    scene.tree.on_prune(6_000, "a")
    assert "a" not in scene.tree.eager[:-1]


def test_link_that_was_pruned_is_no_branch_again_for_a_minute_unless_it_is_missed():
    scene = Tree("a", "b", eager=2)
    scene.tree.on_prune(5_000, "a")
    scene.tree.on_prune(5_000, "b")
    assert scene.said(Graft) == []
    scene.tree.note_announced(9_500, "a")
    scene.hear_much(9_000)
    scene.hear_much(10_000)
    scene.tree.grow(10_000, "a")
    assert scene.said(Graft) == []
    scene.tree.note_pulled(11_000, "b")
    scene.tree.note_pulled(11_000, "b")
    assert scene.said(Graft) == ["b"]
    scene.tree.grow(5_000 + BACK_OFF_MS, "a")
    assert scene.said(Graft) == ["a"]


def test_repairs_of_one_link_end_until_the_back_off_has_passed():
    scene = Tree("a")
    now_ms = 0
    for number in range(REPAIRS_MAX + 2):
        now_ms += 5_000
        scene.tree.on_prune(now_ms, "a")
        for _ in range(3):
            scene.tree.note_pulled(now_ms + 1_000, "a")
        assert scene.said(Graft) == (["a"] if number < REPAIRS_MAX else [])
    for _ in range(2):
        scene.tree.note_pulled(now_ms + BACK_OFF_MS, "a")
    assert scene.said(Graft) == ["a"]


def test_graft_within_the_back_off_is_a_fault_of_who_has_not_pulled():
    scene = Tree("a", "b", eager=2)
    scene.repeat(5_000, "a", 3)
    assert scene.said(Prune) == ["a"]
    assert scene.tree.on_graft(5_000 + CROSSING_MS - 1, "a")
    assert not scene.tree.is_branch("a")
    assert not scene.tree.on_graft(5_000 + CROSSING_MS, "a")
    scene.tree.note_served("a", 1)
    assert scene.tree.on_graft(12_000, "a")
    assert scene.tree.is_branch("a")


def test_graft_after_the_back_off_needs_no_reason():
    scene = Tree("a", "b", eager=2)
    scene.tree.on_prune(5_000, "a")
    assert not scene.tree.on_graft(5_000 + BACK_OFF_MS - CROSSING_MS - 1, "a")
    assert scene.tree.on_graft(5_000 + BACK_OFF_MS - CROSSING_MS, "a")
    assert scene.tree.is_branch("a")


def test_pulls_excuse_a_few_grafts_only():
    scene = Tree("a", "b", eager=2)
    taken = []
    now_ms = 0
    for _ in range(REPAIRS_MAX + 1):
        now_ms += 10_000
        scene.tree.on_prune(now_ms, "a")
        scene.tree.note_served("a", 2)
        taken.append(scene.tree.on_graft(now_ms + CROSSING_MS, "a"))
    assert taken == [True] * REPAIRS_MAX + [False]
    scene.tree.note_served("a", 2)
    assert scene.tree.on_graft(now_ms + BACK_OFF_MS, "a")
    scene.tree.on_prune(now_ms + BACK_OFF_MS + 1_000, "a")
    scene.tree.note_served("a", 2)
    assert scene.tree.on_graft(now_ms + BACK_OFF_MS + 2_000, "a")


def test_pushes_are_waited_for_twice_as_long_as_they_usually_take():
    scene = Tree("a")
    assert scene.tree.pull_after_ms == 180
    for _ in range(64):
        scene.tree.note_delay(120)
    assert scene.tree.pull_after_ms == 240
    for _ in range(64):
        scene.tree.note_delay(9_000)
    assert scene.tree.pull_after_ms == 280
    for _ in range(64):
        scene.tree.note_delay(0)
    assert scene.tree.pull_after_ms == 180
