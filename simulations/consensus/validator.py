"""A validator as a process of the simulator: the real kernel, fed by messages and timers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from consensus.block import count_block_parents
from consensus.knowledge import Knowledge
from consensus.ordering import Accepted, Ordering
from consensus.pacemaker import Pacemaker
from dag.types import Ref
from simulations.consensus.inbox import Inbox, Log
from simulations.consensus.messages import Answer, Ask, Blocks, Want
from simulations.consensus.vertices import NETWORK, make_block_vertex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consensus.block import Block
    from consensus.proposal import Proposal
    from dag.order import Commit
    from dag.vertex import SignedVertex
    from simulations.consensus.mesh import ValidatorMesh
    from simulations.process import Context

BEACON_MS: Final = 300
"""How often the own last block is said again, so that a still mesh notices what was lost."""
SILENT_MS: Final = 1_500
"""Who has not been heard for so long is not connected."""
SENT_MAX: Final = 200
WANTED_MAX: Final = 100
PRUNE_EVERY: Final = 32
Moment = Literal["", "before_write", "after_write"]


class Validator:
    """One copy of one author: what it holds, what it makes, and the order it sees."""

    def __init__(self, mesh: ValidatorMesh, author: int, copy: int = 0) -> None:
        self.mesh = mesh
        self.author = author
        self.copy = copy
        """Which of an author's twins it is."""
        self.log = Log()
        self.life = 0
        self.clock_offset_ms = 0
        self.write_ms = mesh.options.write_ms
        """From making a block to its being durable."""
        self.die_at: Moment = ""
        """Crash when the next own block is written."""
        self.pool: list[bytes] = []
        """Batches to be referred to."""
        self.in_flight: dict[bytes, int] = {}
        """Batches that own blocks refer to, with their rounds."""

    def on_start(self, context: Context) -> None:
        """See `Process`; also after a crash."""
        self.context = context
        mesh = self.mesh
        self.schedule = mesh.make_schedule()
        self._released: list[Block] = []
        """Blocks that were inert and count now."""
        self.ordering = Ordering(
            NETWORK,
            mesh.committee,
            self.schedule,
            payload=mesh.make_payload_order(),
            gc_depth=mesh.options.gc_depth,
            on_released=self._released.append,
        )
        self.pacemaker = Pacemaker(
            self.ordering,
            self.schedule,
            self.author,
            settings=mesh.options.pace,
            now_ms=self.now_ms,
            must_ask=self.life > 0,
        )
        self.knowledge = Knowledge(self.ordering.store)
        self.inbox = Inbox(len(mesh.committee))
        self.signed: dict[bytes, SignedVertex] = {}
        """All that is known, above the floor."""
        self.last_own: SignedVertex | None = None
        self.last_of: dict[int, bytes] = {}
        """Id of the highest block held of each author."""
        self._heard_ms: dict[int, int] = {}
        self._answers: dict[int, bytes] = {}
        self.is_replaying = False
        self.connected = 0
        """Who was connected when the own last block was proposed, as bits."""
        self._making: SignedVertex | None = None
        self._connected = 0
        self._entered = 0
        self._commits = 0
        self._recover()
        self._connect()
        self.pacemaker.on_payload(is_waiting=bool(self.pool))
        context.set_timer("beacon", BEACON_MS)
        context.set_timer("drive", 0)

    @property
    def now_ms(self) -> int:
        """What its own clock shows."""
        return self.mesh.start_ms + self.context.now_ms + self.clock_offset_ms

    def submit(self, batch: bytes) -> None:
        """A client brings a batch."""
        self.pool.append(batch)
        if self.context.is_up:
            self.pacemaker.on_payload(is_waiting=True)
            self.context.set_timer("drive", 0)

    def crash(self) -> None:
        """Lose everything but the log."""
        self.context.stop()
        for name in ("beacon", "drive", "written"):
            self.context.cancel_timer(name)
        self.log.crash(self.context.random)
        self.life += 1
        self.die_at = ""
        self.pool += self.in_flight
        self.in_flight = {}

    def restart(self) -> None:
        """Come back from the log."""
        self.context.is_up = True
        self.on_start(self.context)

    # --- messages -------------------------------------------------------------------------------

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`."""
        author = self.mesh.validators[source].author
        self._hear(author)
        match message:
            case Blocks(blocks, held):
                self._take_all(source, blocks)
                lacking = tuple(filter(self._lacks, held))
                if lacking:
                    self._say(source, Want(lacking))
            case Want(ids):
                self._serve(source, author, ids)
            case Ask():
                self._say(source, Answer(self.signed.get(self.last_of.get(author, b""))))
            case Answer(block):
                self._answers[author] = b"" if block is None else block.id
                self._take_all(source, () if block is None else (block,))
        if self.mesh.options.drained:
            context.set_timer("drive", 0)
        else:
            self._drive()

    def _hear(self, author: int) -> None:
        is_new = author not in self._heard_ms
        self._heard_ms[author] = self.context.now_ms
        if is_new and self.life:
            self._connect()

    def _connect(self) -> None:
        """Who was heard lately is connected; in the first life everybody is, to begin with."""
        since_ms = self.context.now_ms - SILENT_MS
        connected = 0
        for author in range(len(self.mesh.committee)):
            heard_ms = self._heard_ms.get(author, 0 if not self.life else since_ms - 1)
            if heard_ms >= since_ms:
                connected |= 1 << author
            elif self._heard_ms.pop(author, None) is not None:
                self.knowledge.on_disconnected(author)
        self._connected = connected
        self.pacemaker.on_connected(self.now_ms, connected)

    def _serve(self, source: int, author: int, ids: tuple[bytes, ...]) -> None:
        if any(self.knowledge.has(author, block_id) for block_id in ids):
            # It was sent and has not arrived, and so perhaps all else that was.
            self.knowledge.on_disconnected(author)
        store = self.ordering.store
        held = [block for block in map(store.get, ids) if block is not None]
        found = self.knowledge.list_unknown(author, held, count_max=SENT_MAX)
        self.knowledge.on_sent(author, found)
        named = {block.id: self.signed[block.id] for block in found}
        # What breaks a rule is no block, and is served like one.
        named |= {key: self.signed[key] for key in ids if key in self.signed}
        if named:
            self._say(source, Blocks(tuple(named.values())))

    def _say(self, target: int, message: Blocks | Want | Ask | Answer) -> None:
        size_bytes = message.size_bytes if isinstance(message, Blocks) else 100
        self.context.send(target, message, size_bytes)

    # --- blocks ---------------------------------------------------------------------------------

    def _take_all(self, source: int, blocks: Iterable[SignedVertex]) -> None:
        before = len(self.inbox)
        for signed in blocks:
            self._take(signed)
        if len(self.inbox) > before:
            self._say(source, Want(self.inbox.list_wanted(WANTED_MAX)))

    def _lacks(self, block_id: bytes) -> bool:
        return block_id not in self.signed and block_id not in self.inbox

    def _take(self, signed: SignedVertex) -> None:
        if not self._lacks(signed.id):
            return
        missing = self._find_missing(signed)
        if missing:
            self.inbox.add(signed, missing)
            return
        ready = [signed]
        while ready:
            signed = ready.pop()
            self._admit(signed)
            ready += self.inbox.release(signed.id)
        self._advance()

    def _find_missing(self, signed: SignedVertex) -> list[bytes]:
        floor = self.ordering.store.floor_lamport
        count = count_block_parents(signed.vertex)
        return [
            ref.id
            for place, ref in enumerate(signed.vertex.parents)
            if ref.id not in self.signed
            and ref.id not in self.mesh.batches
            and (place >= count or ref.lamport > floor)
        ]

    def _admit(self, signed: SignedVertex) -> None:
        self.signed[signed.id] = signed
        self.log.append(signed)
        self._judge(signed)

    def _judge(self, signed: SignedVertex) -> None:
        verdict = self.ordering.add(signed)
        if isinstance(verdict, Accepted):
            self._accept(signed, verdict.block)

    def _accept(self, signed: SignedVertex, block: Block) -> None:
        self._note_last(block)
        self.knowledge.on_block(block)
        self.mesh.ledger.on_accepted(self, signed, block)
        if signed is self._making:
            self._making = None
            self.pacemaker.on_own(self.now_ms, block)
        elif block.author != self.author or not self.mesh.is_twinned(self.author):
            # A liar with two faces does not mind its other face.
            self.pacemaker.on_block(self.now_ms, block)
        if block.author == self.author and not self.mesh.is_twinned(self.author):
            self._note_own(signed)

    def is_made(self, signed: SignedVertex) -> bool:
        """Whether this is the block being made here and now."""
        return signed is self._making

    def _note_own(self, signed: SignedVertex) -> None:
        if self.last_own is None or signed.vertex.seq > self.last_own.vertex.seq:
            self.last_own = signed

    def _note_last(self, block: Block) -> None:
        last = self.ordering.store.get(self.last_of.get(block.author, b""))
        if last is None or block.round > last.round:
            self.last_of[block.author] = block.id

    def _advance(self) -> None:
        for decision, commit in self.ordering.advance():
            self.mesh.ledger.on_decided(self, decision, commit)
            while self._released:
                block = self._released.pop(0)
                self._accept(self.signed[block.id], block)
            if commit is not None:
                self._finish(commit)
        self.mesh.ledger.on_advanced(self)

    def _finish(self, commit: Commit) -> None:
        self.pacemaker.on_commit(self.now_ms, commit)
        for ref in commit.vertices:
            self.in_flight.pop(ref.id, None)
            if ref.id in self.pool:
                self.pool.remove(ref.id)
        horizon = self.ordering.horizon
        for batch in [key for key, round_ in self.in_flight.items() if round_ <= horizon]:
            del self.in_flight[batch]
            self.pool.append(batch)
        self.pacemaker.on_payload(is_waiting=bool(self.pool))
        self._commits += 1
        if self._commits % PRUNE_EVERY == 0:
            self._prune()

    def _prune(self) -> None:
        self.knowledge.prune()
        store = self.ordering.store
        floor, kept = store.floor_lamport, dict.fromkeys(self.last_of.values())
        self.signed = {
            key: signed
            for key, signed in self.signed.items()
            if signed.vertex.lamport > floor or key in kept or store.get(key) is not None
        }

    # --- time -----------------------------------------------------------------------------------

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""
        if name == "drive":
            self._drive()
        elif name == "written":
            self._write()
            self._drive()
        else:
            self._beacon()
            context.set_timer("beacon", BEACON_MS)
            self._drive()

    def _beacon(self) -> None:
        """Say the own last block again, byte for byte, what is held, and what is missing."""
        self._connect()
        wanted = self.inbox.list_wanted(WANTED_MAX)
        said = () if self.last_own is None else (self.last_own,)
        beacon = Blocks(said, tuple(self.last_of.values()))
        for target in self.mesh.list_targets(self):
            self._say(target, beacon)
            if wanted:
                self._say(target, Want(wanted))
            if self.pacemaker.is_recovering:
                self._say(target, Ask())

    def _drive(self) -> None:
        """Make every block that is due, and be woken for the next."""
        if not self.context.is_up:
            return
        self._count_answers()
        while (proposal := self.pacemaker.propose(self.now_ms)) is not None:
            self._making = self._make(proposal)
            self.connected = self._connected | 1 << self.author
            if self.write_ms:
                if self.write_ms > self.mesh.options.write_ms:
                    self.mesh.note("disk")
                self.context.set_timer("written", self.write_ms)
                break
            self._write()
            if not self.context.is_up:
                return
        self._push_on_entering()
        due_ms = self.pacemaker.next_deadline(self.now_ms)
        if due_ms is not None and due_ms > self.now_ms:
            self.context.set_timer("drive", due_ms - self.now_ms)

    def _count_answers(self) -> None:
        for author, block_id in list(self._answers.items()):
            if not block_id or block_id in self.signed:
                del self._answers[author]
                self.pacemaker.on_answered(self.now_ms, author)

    def _make(self, proposal: Proposal) -> SignedVertex:
        payload: tuple[Ref, ...] = ()
        if proposal.references_payload:
            payload = tuple(Ref(1, batch) for batch in self.pool[:64])
            del self.pool[:64]
            self.in_flight |= dict.fromkeys((ref.id for ref in payload), proposal.round)
            self.pacemaker.on_payload(is_waiting=bool(self.pool))
        return make_block_vertex(
            self.mesh.committee,
            self.author,
            [block.ref for block in proposal.parents],
            round_=proposal.round,
            previous_round=proposal.previous_round,
            seq=0 if self.last_own is None else self.last_own.vertex.seq + 1,
            time_ms=self.now_ms,
            payload=payload,
        )

    def _write(self) -> None:
        """Make the own new block durable, then count it, then send it."""
        signed = self._making
        if signed is None:
            return
        if self.die_at == "before_write":
            self.mesh.crash(self)
            return
        self.signed[signed.id] = signed
        self.log.append(signed)
        self.log.sync()
        if self.die_at == "after_write":
            self.mesh.crash(self)
            return
        self.last_own = signed
        self._judge(signed)
        self.send(signed)
        self._advance()

    def send(self, signed: SignedVertex) -> None:
        """Send an own block, with what each peer is not known to have below it."""
        block = self.ordering.store.get(signed.id)
        alone = Blocks((signed,))
        for target in self.mesh.list_targets(self):
            author = self.mesh.validators[target].author
            if block is None or not self.mesh.options.pushes_history:
                self._say(target, alone)
                continue
            self._push(target, author, [block])

    def _push(self, target: int, author: int, roots: list[Block]) -> None:
        found = self.knowledge.list_unknown(author, roots, count_max=SENT_MAX)
        if found:
            self.knowledge.on_sent(author, found)
            self._say(target, Blocks(tuple(self.signed[block.id] for block in found)))

    def _push_on_entering(self) -> None:
        entered = self.pacemaker.entered_round
        if entered == self._entered or not self.mesh.options.pushes_history:
            return
        self._entered = entered
        roots = list(self.ordering.store.get_round(entered - 1))
        for target in self.mesh.list_targets(self):
            self._push(target, self.mesh.validators[target].author, roots)

    def _recover(self) -> None:
        self.is_replaying = True
        entries, self.log.entries = self.log.entries, []
        for signed in entries:
            if signed.id not in self.signed:
                self.signed[signed.id] = signed
                self.log.append(signed)
                self._judge(signed)
                self._advance()
        self.log.sync()
        self.is_replaying = False
