"""The promises of the order, kept book of over all honest validators and checked at every event.

What is compared are decisions as they are handed out, across crashes: a validator that replays its
log reports everything again, and must report the same. Expectations are computed here, from stake
and from the blocks alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.block import read_body
from consensus.committer import FIRST_SLOT
from consensus.decision import Slot, Status
from simulations.consensus.certified import Certified
from simulations.consensus.grounds import PROMISE, Grounds, compute_quorum
from simulations.consensus.repeats import check_repeats
from simulations.consensus.settled import Settled
from simulations.errors import CheckFailed

if TYPE_CHECKING:
    import random

    from consensus.block import Block
    from consensus.decision import Decision
    from dag.order import Commit
    from dag.vertex import SignedVertex
    from simulations.consensus.mesh import ValidatorMesh
    from simulations.consensus.validator import Validator

INBOX_MAX: Final = 3_000
AHEAD_ROUNDS: Final = 4
"""Rounds behind a commit whose leaders are compared."""


class Ledger:
    """What honest validators have decided, ordered and made."""

    def __init__(self, mesh: ValidatorMesh) -> None:
        self._mesh = mesh
        committee = mesh.committee
        self._grounds = Grounds(
            mesh.options.profile, [member.stake for member in committee.validators]
        )
        self._quorum = compute_quorum(mesh.options.profile, committee.total_stake)
        self._certified = Certified(committee, self._quorum, mesh.liars)
        self._settled = Settled(mesh.options.reputation_window)
        self._signed: dict[tuple[int, int], bytes] = {}
        """Blocks of honest authors by (author, place in the lane)."""
        self._frames: dict[int, tuple[int, tuple[tuple[int, ...], ...]]] = {}
        """Of each commit the horizon behind it and the leaders of the rounds above it."""
        self.decided: dict[Slot, tuple[Status, bytes]] = {}
        self.leaders: dict[Slot, int] = {}
        """Whose the decided slots are."""
        self.commits: list[Commit] = []
        """The agreed sequence, as long as the longest."""
        self.committed_ns: list[int] = []
        """When each commit was first known anywhere."""
        self.made: dict[tuple[int, int], bytes] = {}
        """Blocks of honest authors by (author, round)."""
        self.made_ns: dict[bytes, int] = {}
        """When each block was first accepted, its author's own acceptance."""
        self.final_ns: dict[tuple[bytes, int], int] = {}
        """When a vertex was output at its author's, or a batch at whoever brought it."""
        self.twinned: dict[int, None] = {}
        """Authors of whom honest validators, taken together, hold two blocks of one slot."""
        self._faces: dict[tuple[int, int], bytes] = {}
        self._anchored: dict[Slot, dict[int, tuple[int, ...]]] = {}
        """Leaders of the rounds between a slot and its anchor, when it was decided."""
        self._foreseen: dict[int, dict[tuple[int, ...], None]] = {}
        """By round, who was to lead it, seen from the commits shortly before."""
        self._heights: dict[tuple[int, int], int] = {}
        self._next_slots: dict[tuple[int, int], Slot] = {}
        self._output: dict[tuple[int, int], dict[bytes, None]] = {}
        self._slots: dict[tuple[int, int], dict[tuple[int, int], None]] = {}
        self._places: dict[bytes, tuple[int, int]] = {}

    # --- blocks ---------------------------------------------------------------------------------

    def on_accepted(self, one: Validator, signed: SignedVertex, block: Block) -> None:
        """A validator takes a block for valid."""
        if not self._mesh.is_honest(one.author):
            return
        self._check_valid(one, signed, block)
        self._places[block.id] = slot = (block.author, block.round)
        if self._mesh.is_honest(block.author):
            self.made_ns.setdefault(block.id, self._mesh.world.kernel.now_ns)
            if self.made.setdefault(slot, block.id) != block.id:
                raise CheckFailed("I8 one-block", f"author {slot[0]} has two in round {slot[1]}")
            place = (block.author, signed.vertex.seq)
            if self._signed.setdefault(place, block.id) != block.id:
                raise CheckFailed(
                    "I8 one-block", f"author {place[0]} signed place {place[1]} twice"
                )
        elif self._faces.setdefault(slot, block.id) != block.id:
            self._mesh.note("twins")
            self.twinned[block.author] = None
        self._certified.on_accepted(one.ordering.store, block)
        if one.is_made(signed):
            self._check_rounds(one, block)
            self._check_connected(one)
        if len(one.inbox) > INBOX_MAX:
            raise CheckFailed("I13 bounded", f"{len(one.inbox)} blocks wait")

    def _check_valid(self, one: Validator, signed: SignedVertex, block: Block) -> None:
        """What no valid block can be, by the vertex and the blocks it names."""
        body = read_body(signed.vertex.body)
        store = one.ordering.store
        named = [store.get(ref.id) for ref in signed.vertex.parents[: body.parent_count]]
        held = [parent for parent in named if parent is not None]
        # Of the first round above the floor some may be forgotten too, by their lamport.
        is_cut = 0 < block.round - 2 <= store.floor and len(held) < len(named)
        if block.round > 1 and block.round - 1 > store.floor and not is_cut:
            below = {parent.author for parent in held if parent.round == block.round - 1}
            stake = sum(self._mesh.committee.validators[author].stake for author in below)
            if stake < self._quorum:
                raise CheckFailed("valid", f"round {block.round} stands on stake {stake}")
        authors = [parent.author for parent in held]
        if len(dict.fromkeys(authors)) < len(authors):
            raise CheckFailed("valid", f"round {block.round} names an author twice")
        if any(parent.round >= block.round for parent in held):
            raise CheckFailed("valid", f"round {block.round} stands on its own round or above")

    def _check_rounds(self, one: Validator, block: Block) -> None:
        """I10: rounds may be left out only where no slot is left undecided without the own vote."""
        for missed in range(block.previous_round + 1, block.round):
            if one.ordering.cursor.round <= missed:
                raise CheckFailed(
                    "I10 votes", f"author {one.author} leaves out undecided round {missed}"
                )

    def _check_connected(self, one: Validator) -> None:
        """B08: what is made reaches a quorum, so that it is found again after a loss of the log."""
        if self._mesh.committee.weigh(one.connected) < self._quorum:
            raise CheckFailed("B08 reach", f"author {one.author} makes a block for too few")

    # --- decisions ------------------------------------------------------------------------------

    def on_decided(self, one: Validator, decision: Decision, commit: Commit | None) -> None:
        """A validator hands out the decision of a slot."""
        if not self._mesh.is_honest(one.author):
            return
        self._check_slot(decision)
        self._check_sequence(one, decision)
        self.leaders[decision.slot] = decision.author
        if not one.is_replaying:
            self._grounds.check(one.ordering.store, decision)
            self._check_anchor(one, decision, commit)
        if commit is None:
            return
        key = (self._get_node(one), one.life)
        height = self._heights.get(key, 0)
        self._heights[key] = commit.index
        if commit.index != height + 1:
            raise CheckFailed("I2 prefix", f"commit {commit.index} follows {height}")
        if commit.index > len(self.commits):
            self.commits.append(commit)
            self.committed_ns.append(self._mesh.world.kernel.now_ns)
            self._mesh.world.kernel.note(commit.digest)
        elif self.commits[commit.index - 1] != commit:
            raise CheckFailed("I2 prefix", f"commit {commit.index} differs at {one.author}")
        self._check_frame(one, commit, decision.slot.round)
        self._check_output(one, key, commit)

    def on_advanced(self, one: Validator) -> None:
        """A validator has handed out all it can."""
        if self._mesh.is_honest(one.author):
            self._settled.check(one, self.get_height(one))

    def _check_frame(self, one: Validator, commit: Commit, round_: int) -> None:
        """I14: after equal commits the horizon and the coming leaders are equal."""
        leaders = []
        for ahead in range(round_ + 1, round_ + 1 + AHEAD_ROUNDS):
            leaders.append(one.schedule.get_leaders(ahead))
            self._foreseen.setdefault(ahead, {})[leaders[-1]] = None
        found = (one.ordering.horizon, tuple(leaders))
        if self._frames.setdefault(commit.index, found) != found:
            raise CheckFailed(
                "I14 frame", f"horizon or leaders differ behind commit {commit.index}"
            )
        if commit.index > 1 and commit.time_ms < self.commits[commit.index - 2].time_ms:
            raise CheckFailed("I14 frame", f"time runs backwards at commit {commit.index}")

    def _check_sequence(self, one: Validator, decision: Decision) -> None:
        """Slots are handed out one after the other, all offsets of a round, skips too."""
        key, slot = (self._get_node(one), one.life), decision.slot
        expected = self._next_slots.get(key, FIRST_SLOT)
        if slot != expected:
            raise CheckFailed("I2 prefix", f"slot {tuple(slot)} is decided, {tuple(expected)} due")
        last = slot.offset + 1 == len(one.schedule.get_leaders(slot.round))
        self._next_slots[key] = Slot(slot.round + last, 0 if last else slot.offset + 1)

    def _check_slot(self, decision: Decision) -> None:
        block_id = b"" if decision.block is None else decision.block.id
        found = (decision.status, block_id)
        if self.decided.setdefault(decision.slot, found) != found:
            raise CheckFailed("I1 slot", f"{tuple(decision.slot)} is decided two ways")

    def _check_anchor(self, one: Validator, decision: Decision, commit: Commit | None) -> None:
        """The anchor of a slot is the first committed one a wave above it.

        With reputation, rounds between them may be led by others once leaders were chosen anew, so
        a slot may have been skipped when the anchor was found and be committed afterwards. A commit
        that chose them anew itself was found under leaders who are not known any more.
        """
        slot, get_leaders = decision.slot, one.schedule.get_leaders
        window = self._mesh.options.reputation_window
        chose = commit is not None and window > 0 and commit.index % window == 0
        if decision.anchor is not None and not chose:
            first = slot.round + self._mesh.committee.thresholds.wave
            between = range(first, decision.anchor.round)
            self._anchored[slot] = {round_: get_leaders(round_) for round_ in between}
        if decision.status != Status.COMMIT:
            return
        for below, leaders in self._anchored.items():
            if leaders.get(slot.round) == get_leaders(slot.round):
                raise CheckFailed(PROMISE, f"{tuple(below)} was decided past {tuple(slot)}")

    def _check_output(self, one: Validator, key: tuple[int, int], commit: Commit) -> None:
        horizon = self._frames[commit.index - 1][0] if commit.index > 1 else 0
        output = self._output.setdefault(key, {})
        slots = self._slots.setdefault(key, {})
        now_ns = self._mesh.world.kernel.now_ns
        for ref in commit.vertices:
            if ref.id in output:
                raise CheckFailed("I3 once", f"{ref.id.hex()[:12]} is put out twice")
            output[ref.id] = None
            self.final_ns.setdefault((ref.id, one.author), now_ns)
            place = self._places.get(ref.id)
            if place is None:
                continue
            if place in slots:
                raise CheckFailed("I3 once", f"two blocks of slot {place} are put out")
            slots[place] = None
            if place[1] <= horizon:
                raise CheckFailed("I9 output", f"block {place} lies below horizon {horizon}")

    def _get_node(self, one: Validator) -> int:
        return one.context.index

    # --- the end --------------------------------------------------------------------------------

    def has_output(self, one: Validator, vertex_id: bytes) -> bool:
        """Whether a validator has put out a vertex in its present life."""
        return vertex_id in self._output.get((self._get_node(one), one.life), {})

    def is_foreseen(self, round_: int) -> bool:
        """Whether the leaders of a round were known and the same while blocks of it were made."""
        return len(self._foreseen.get(round_, {})) == 1

    def get_height(self, one: Validator) -> int:
        """How many commits a validator has handed out in its present life."""
        return self._heights.get((self._get_node(one), one.life), 0)

    def check_end(self, stream: random.Random) -> None:
        """What can only be seen when all is over."""
        one = stream.choice(self._mesh.honest)
        check_repeats(self._mesh, one.log.entries, stream, self.get_height(one))
