"""Joining from a certified snapshot, for a node that starts empty or lags far behind.

    CHECKPOINT     a peer tells of a certified state that is far ahead of this node
    GET_SNAPSHOT   its chain of headers is fetched and followed from the committee of genesis
    GET_PROFILES   validators that this node has not met: their keys are bound to their ids
    GET_SNAPSHOT   the parts of the state, from every peer that may hold them in turn
    GET            what the state pins at or below its floor: first profiles, evidence, last words

Then the journal gets all of it in one transaction, and the core is begun anew from the journal, as
after any restart. Until then nothing has changed; where it comes to nothing, the node goes on as it
was and waits longer and longer before it tries again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from consensus.checkpoint import check_part
from dag.authors import is_first_profile, read_profile
from dag.canonical import encode
from dag.errors import InvalidMessage, Offence
from dag.keys import PublicKeys
from dag.types import LANE_SPEECH
from dag.vertex import compute_signed_message
from meshnode.core.checkpointing import join_pieces
from meshnode.core.effects import (
    Restart,
    StoreSnapshot,
    StoreValue,
    StoreVertex,
    Verify,
    VerifyItem,
)
from meshnode.core.grounded import list_groundless
from meshnode.core.inputs import Candidate, Checks, Outcome, Standing
from meshnode.core.last_words import LastWord, is_unordered
from meshnode.core.messages import GET_IDS_MAX, Checkpoint, Get, GetProfiles
from meshnode.core.pinned import PINNED_PIECE, decode_pinned, list_pinned
from meshnode.core.recovered import CHAIN_BYTES_MAX, PRUNED_KEY, StoredSnapshot, read_checkpoint
from meshnode.core.snapshot_proof import SnapshotProof, read_proof
from meshnode.core.snapshot_sections import SnapshotSections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dag.intake import Intake
    from meshnode.core.inputs import Vertices
    from meshnode.core.messages import Snapshot
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.replica import Replica
    from meshnode.core.requests import Offend, Request, Requests
    from meshnode.core.settings import Settings
    from meshnode.core.store import Store

REST_FIRST_MS: Final = 10_000
REST_MOST_MS: Final = 600_000
RUNS_MAX: Final = 8
"""Attempts without a rest, where peers hold a later state than the one that was asked for."""
RESTART_REASON: Final = "snapshot"


@dataclass(slots=True, eq=False)
class _Run:
    """A transfer under way."""

    number: int = 1
    """Of the attempts since the last rest."""
    passed: dict[str, None] = field(default_factory=dict)
    """Peers that did not serve it."""
    told: Checkpoint | None = None
    """The checkpoint whose proof is asked for."""
    turns: int = 0
    proof: SnapshotProof | None = None
    keys: dict[bytes, PublicKeys] = field(default_factory=dict)
    """Of authors that this node does not know yet."""
    parts: list[bytes] = field(default_factory=list)
    wanted: dict[bytes, bool] = field(default_factory=dict)
    """Pinned vertices to be fetched, and whether the state is worth nothing without."""
    pins: dict[bytes, tuple[str, Candidate]] = field(default_factory=dict)
    """Those that came, and from whom."""
    pinned: tuple[bytes, ...] = ()
    last: LastWord | None = None
    """Of what this node said and the state has put in order."""


class StateTransfer:
    """The checkpoints peers tell of, and at most one transfer."""

    def __init__(
        self,
        settings: Settings,
        network: bytes,
        *,
        intake: Intake,
        outbox: Outbox,
        requests: Requests,
        store: Store,
        peers: Peers,
        replica: Replica,
        offend: Offend,
    ) -> None:
        self._genesis = settings.genesis
        self._checkpoint_commits = settings.genesis.parameters.checkpoint_commits
        self._lag_checkpoints = settings.limits.transfer_lag_checkpoints
        self._author = settings.author
        self._network = network
        self._intake = intake
        self._authors = intake.authors
        self._outbox = outbox
        self._requests = requests
        self._store = store
        self._peers = peers
        self._replica = replica
        self._offend = offend
        self._sections = SnapshotSections(outbox, settings.timing.get_ms, offend)
        self._told: dict[str, Checkpoint] = {}
        self._run: _Run | None = None
        self._number = 0
        """The question for vertices that is open."""
        self._rest_ms = REST_FIRST_MS
        self._rest_until_ms: int | None = None
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether a transfer is under way: then nothing else is fetched, and nothing is said."""
        return self._run is not None

    @property
    def is_over(self) -> bool:
        """Whether the journal has changed below the core: it must be begun anew."""
        return self._is_over

    def is_asked(self, request: int) -> bool:
        """Whether an answer is for the transfer, and not for the store."""
        return self._number != 0 and request == self._number

    # --- when ------------------------------------------------------------------------------------

    def on_checkpoint(self, now_ms: int, peer: str, message: Checkpoint) -> None:
        """A peer tells of its newest certified checkpoint."""
        self._told[peer] = message
        self._consider(now_ms)

    def on_pruned(self, now_ms: int, commit: int) -> None:
        """A peer lacks what was asked for, because it was pruned after a commit."""
        if commit - self._replica.head.index > self._checkpoint_commits:
            self._consider(now_ms, lag=self._checkpoint_commits)

    def _consider(self, now_ms: int, lag: int | None = None) -> None:
        """Begin a transfer where one is needed."""
        if self._run is None and not self._is_over and self._rest_until_ms is None:
            run = _Run()
            if self._find_ahead(run, lag):
                self._run = run
                self._ask_chain(now_ms, run)

    def _find_ahead(self, run: _Run, lag: int | None = None) -> list[str]:
        """The peers that tell of a state far ahead, the furthest first."""
        own = self._replica.head.index
        if lag is None:
            lag = self._lag_checkpoints * self._checkpoint_commits if own else 0
        ahead = [
            peer
            for peer, told in self._told.items()
            if told.index > own + lag and peer not in run.passed
        ]
        return sorted(ahead, key=lambda peer: -self._told[peer].index)

    def _fail(self, now_ms: int, run: _Run) -> None:
        """Nobody serves it: go after a later state where peers have moved on to one, else rest."""
        later = _Run(run.number + 1)
        ahead = self._find_ahead(later, 0)
        index = 0 if run.told is None else run.told.index
        if not index or not ahead or self._told[ahead[0]].index <= index or run.number == RUNS_MAX:
            self._give_up(now_ms)
            return
        self._number = 0
        self._run = later
        self._ask_chain(now_ms, later)

    def _give_up(self, now_ms: int) -> None:
        self._run = None
        self._number = 0
        self._rest_until_ms = now_ms + self._rest_ms
        self._rest_ms = min(2 * self._rest_ms, REST_MOST_MS)

    def tick(self, now_ms: int) -> None:
        """Pass over who is silent; look again after a rest."""
        self._sections.tick(now_ms)
        if self._rest_until_ms is not None and self._rest_until_ms <= now_ms:
            self._rest_until_ms = None
            self._consider(now_ms)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return self._rest_until_ms if self._run is None else self._sections.next_deadline()

    def drop_peer(self, now_ms: int, peer: str) -> None:
        """A connection has ended."""
        self._told.pop(peer, None)
        self._sections.drop_peer(now_ms, peer)

    def on_piece(self, now_ms: int, peer: str, message: Snapshot) -> None:
        """A peer sends a piece of a snapshot."""
        self._sections.on_piece(now_ms, peer, message)

    def _charge(self, now_ms: int, run: _Run, peer: str, error: InvalidMessage) -> None:
        run.passed[peer] = None
        self._offend(now_ms, peer, error.offence, error.message)

    # --- the proof -------------------------------------------------------------------------------

    def _ask_chain(self, now_ms: int, run: _Run) -> None:
        ahead = self._find_ahead(run, 0)
        if not ahead:
            self._fail(now_ms, run)
            return
        run.told = told = self._told[ahead[0]]
        self._sections.ask(
            now_ms,
            ahead[0],
            told.index,
            0,
            size_max=CHAIN_BYTES_MAX,
            on_data=partial(self._on_chain, run),
            on_failure=partial(self._on_no_chain, run),
        )

    def _on_no_chain(self, run: _Run, now_ms: int, peer: str) -> None:
        run.passed[peer] = None
        self._ask_chain(now_ms, run)

    def _on_chain(self, run: _Run, now_ms: int, peer: str, data: bytes) -> None:
        assert run.told is not None
        try:
            proof = read_proof(self._genesis, self._network, run.told, data)
        except InvalidMessage as error:
            self._charge(now_ms, run, peer, error)
            self._ask_chain(now_ms, run)
            return
        voters = dict.fromkeys(signed.vertex.author for signed in proof.votes)
        unknown = tuple(
            author
            for author in voters
            if author not in run.keys and self._authors.get_keys(author) is None
        )
        if unknown:
            asked = unknown[:GET_IDS_MAX]
            again = partial(self._on_keys, run, data, asked)
            self._ask(now_ms, peer, asked, partial(self._learn_keys, run), again, profiles=True)
            return
        items = proof.make_items({author: self._get_keys(run, author) for author in voters})
        self._outbox.run(Verify(items), partial(self._on_votes_checked, run, proof, peer))

    def _get_keys(self, run: _Run, author: bytes) -> PublicKeys:
        keys = run.keys.get(author) or self._authors.get_keys(author)
        assert keys is not None, "keys are fetched before signatures are checked"
        return keys

    def _learn_keys(self, run: _Run, _peer: str, candidates: Sequence[Candidate]) -> None:
        """Take keys from first profiles: an author's id is the digest of its keys."""
        for candidate in candidates:
            vertex = candidate.signed.vertex
            if is_first_profile(vertex):
                run.keys[vertex.author] = read_profile(vertex, self._authors.suite).keys

    def _on_keys(
        self, run: _Run, data: bytes, asked: tuple[bytes, ...], now_ms: int, peer: str
    ) -> None:
        if any(author in run.keys for author in asked):
            self._on_chain(run, now_ms, peer, data)
        else:
            self._on_no_chain(run, now_ms, peer)

    def _on_votes_checked(
        self, run: _Run, proof: SnapshotProof, peer: str, now_ms: int, outcome: Outcome
    ) -> None:
        assert isinstance(outcome, Checks)
        if all(outcome.verdicts):
            run.proof = proof
            self._fetch_part(now_ms, run)
            return
        run.passed[peer] = None
        self._offend(now_ms, peer, Offence.BAD_SIGNATURE, "votes for its snapshot are forged")
        self._ask_chain(now_ms, run)

    # --- the state -------------------------------------------------------------------------------

    def _take_turn(self, run: _Run) -> str | None:
        """The next of the peers that may hold the state; None where all were passed over."""
        assert run.proof is not None
        index = run.proof.header.index
        holders = [
            peer
            for peer, told in self._told.items()
            if told.index >= index and peer not in run.passed
        ]
        run.turns += 1
        return holders[run.turns % len(holders)] if holders else None

    def _fetch_part(self, now_ms: int, run: _Run) -> None:
        assert run.proof is not None
        header = run.proof.header
        while len(run.parts) < len(header.parts) and not header.parts[len(run.parts)].size_bytes:
            run.parts.append(b"")
        if len(run.parts) == len(header.parts):
            self._begin_pins(now_ms, run)
            return
        peer = self._take_turn(run)
        if peer is None:
            self._fail(now_ms, run)
            return
        self._sections.ask(
            now_ms,
            peer,
            header.index,
            len(run.parts) + 1,
            size_max=header.parts[len(run.parts)].size_bytes,
            on_data=partial(self._on_part, run),
            on_failure=partial(self._on_no_part, run),
        )

    def _on_part(self, run: _Run, now_ms: int, peer: str, data: bytes) -> None:
        assert run.proof is not None
        try:
            check_part(run.proof.header.parts[len(run.parts)], data)
        except InvalidMessage as error:
            self._charge(now_ms, run, peer, error)
        else:
            run.parts.append(data)
        self._fetch_part(now_ms, run)

    def _on_no_part(self, run: _Run, now_ms: int, peer: str) -> None:
        run.passed[peer] = None
        self._fetch_part(now_ms, run)

    # --- what it pins ----------------------------------------------------------------------------

    def _begin_pins(self, now_ms: int, run: _Run) -> None:
        assert run.proof is not None
        header = run.proof.header
        try:
            pieces = join_pieces(read_checkpoint(self._make_snapshot(run)))
            state = decode_pinned(pieces.get(PINNED_PIECE, b""))
        except InvalidMessage:
            self._give_up(now_ms)  # another version of this program made it
            return
        needed = {ref.id for ref in (*state.profiles, *(proof.ref for proof in state.evidence))}
        run.pinned = tuple(ref.id for ref in list_pinned(state, header.floor.speech))
        run.last = next((word for word in state.last if word.author == self._author), None)
        wanted = [each for each in run.pinned if not self._store.is_stored(each)]
        wanted.sort(key=lambda each: each not in needed)
        run.wanted = {each: each in needed for each in wanted}
        self._fetch_pins(now_ms, run)

    def _make_snapshot(self, run: _Run) -> StoredSnapshot:
        assert run.proof is not None
        return StoredSnapshot(run.proof.header.index, run.proof.chain, tuple(run.parts))

    def _fetch_pins(self, now_ms: int, run: _Run) -> None:
        asked = tuple([each for each in run.wanted if each not in run.pins][:GET_IDS_MAX])
        if not asked:
            self._check_pins(run)
            return
        peer = self._take_turn(run)
        if peer is None:
            self._fail(now_ms, run)
            return
        again = partial(self._on_pins, run, asked)
        self._ask(now_ms, peer, asked, partial(self._take_pins, run), again)

    def _take_pins(self, run: _Run, peer: str, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if candidate.signed.id in run.wanted:
                run.pins[candidate.signed.id] = (peer, candidate)

    def _on_pins(self, run: _Run, asked: tuple[bytes, ...], now_ms: int, peer: str) -> None:
        missing = [each for each in asked if each not in run.pins]
        if len(missing) == len(asked):
            run.passed[peer] = None
        for each in missing:
            if not run.wanted[each]:
                del run.wanted[each]
        self._fetch_pins(now_ms, run)

    def _check_pins(self, run: _Run) -> None:
        """Check the signatures that admission could not check: a guest's profile came only now."""
        candidates = [candidate for _, candidate in run.pins.values()]
        self._learn_keys(run, "", candidates)
        for each in list_groundless([one.signed for one in candidates], self._authors):
            del run.pins[each]  # somebody it stands on never got a place in the order
        unchecked: list[bytes] = []
        items: list[VerifyItem] = []
        for each, (_, candidate) in run.pins.items():
            signed, author = candidate.signed, candidate.signed.vertex.author
            if candidate.standing is not Standing.VERIFIED:
                unchecked.append(each)
                message = compute_signed_message(signed.id)
                items.append(VerifyItem(self._get_keys(run, author), message, signed.signature))
        self._outbox.run(Verify(tuple(items)), partial(self._on_pins_checked, run, unchecked))

    def _on_pins_checked(
        self, run: _Run, unchecked: Sequence[bytes], now_ms: int, outcome: Outcome
    ) -> None:
        assert isinstance(outcome, Checks)
        forged = [
            each for each, valid in zip(unchecked, outcome.verdicts, strict=True) if not valid
        ]
        for each in forged:
            peer, _ = run.pins.pop(each)
            run.passed[peer] = None
            detail = f"vertex {each.hex()[:16]} is not its author's"
            self._offend(now_ms, peer, Offence.BAD_SIGNATURE, detail)
        if forged:
            self._fetch_pins(now_ms, run)
        elif run.proof is not None and run.proof.header.index <= self._replica.head.index:
            self._give_up(now_ms)  # it has caught up meanwhile
        else:
            self._install(run)

    # --- vertices by name ------------------------------------------------------------------------

    def _ask(
        self,
        now_ms: int,
        peer: str,
        names: tuple[bytes, ...],
        take: Callable[[str, Sequence[Candidate]], None],
        go_on: Callable[[int, str], None],
        *,
        profiles: bool = False,
    ) -> None:
        """Ask a peer for vertices, or for the profiles of authors."""

        def on_answer(_now_ms: int, request: Request, message: Vertices) -> None:
            take(request.peer, message.candidates)

        def on_end(now_ms: int, request: Request) -> None:
            self._number = 0
            go_on(now_ms, request.peer)

        self._number = number = self._requests.next_number()
        question = GetProfiles(number, names) if profiles else Get(number, names)
        self._outbox.send((peer,), question)
        self._requests.open(now_ms, number, peer, names, on_answer=on_answer, on_end=on_end)

    # --- the end ---------------------------------------------------------------------------------

    def _install(self, run: _Run) -> None:
        """Put all of it into the journal at once; this core takes no more input."""
        assert run.proof is not None
        floor = run.proof.header.floor
        for each in (*run.pinned, *self._list_unordered(run.last)):
            self._store.pin(each)
        self._store.close(floor)
        pins = [candidate.signed for _, candidate in run.pins.values()]
        for signed in sorted(pins, key=lambda signed: signed.ref):
            if not self._store.is_stored(signed.id):
                self._outbox.persist(StoreVertex(signed.id, signed.wire))
        self._outbox.persist(StoreSnapshot(self._make_snapshot(run), 1))
        self._outbox.persist(StoreValue(PRUNED_KEY, encode(floor)))
        self._peers.hang_up_all("it joins from a snapshot")
        self._outbox.add(Restart(RESTART_REASON))
        self._run = None
        self._is_over = True

    def _list_unordered(self, last: LastWord | None) -> list[bytes]:
        """What this node said and nobody put in order: the core that is begun anew says it again."""
        found: list[bytes] = []
        entry = self._intake.index.get_last(self._author, LANE_SPEECH)
        while entry is not None:
            if is_unordered(last, entry.seq, entry.ref.id):
                found.append(entry.ref.id)
            entry = self._intake.index.get(entry.parents[0].id) if entry.seq else None
        return found
