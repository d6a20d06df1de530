"""What this node says: when it may speak, and in which order.

A node that was restored from an old copy, or joined twice with one identity, could sign a second
vertex for a slot. So after every start it first asks its peers for its own last vertices, and speaks
only when all of them are here. One peer may lie or have been away, so several are heard. Its first profile is signed before that, because it is what a
guest shows at the door; it is kept and shown again after a restart, never signed twice.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dag.bodies import PROFILE_DECODER
from dag.errors import InvalidMessage
from dag.identity import VerifiedVertex, trust_stored, validate_profile
from dag.introduction import strip_proof
from dag.types import BODY_BYTES_MAX, COUNTER_MAX, LANE_SPEECH, Kind, Ref
from dag.vertex import decode_signed
from meshnode.core.chain import Chain, Publication
from meshnode.core.commands import Renew
from meshnode.core.effects import StoreValue
from meshnode.core.events import Published, PublishFailed
from meshnode.core.inputs import Standing
from meshnode.core.messages import GetLast
from meshnode.core.repeating import Repeating
from meshnode.errors import CommandRejected, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dag.intake import Intake
    from dag.vertex import SignedVertex
    from meshnode.core.commands import Publish
    from meshnode.core.inputs import Vertices
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Request, Requests
    from meshnode.core.settings import Settings
    from meshnode.core.store import Store

FIRST_PROFILE_KEY: Final = "first-profile"
WITNESSES_MIN: Final = 3
"""Peers whose word on the own past is waited for, where there are so many members."""
WITNESSES_MAX: Final = 8
"""Peers that are asked at most."""
KNOWLEDGE_MAX: Final = 6
"""So that the own previous vertex and the highest head fit beside it."""


class Speech(StrEnum):
    """Whether this node may speak."""

    WAITING = "waiting"
    """Until peers have said what they last heard of this node."""
    CATCHING_UP = "catching_up"
    """Own vertices are known of and not here yet."""
    OPEN = "open"
    FORKED = "forked"
    """Another process signs with the same keys: this one is silent for good."""


class Publishing:
    """The own chain and everything that waits to be said."""

    def __init__(
        self,
        settings: Settings,
        network: bytes,
        *,
        intake: Intake,
        outbox: Outbox,
        requests: Requests,
        store: Store,
        get_horizon: Callable[[], int],
        on_credentials: Callable[[tuple[bytes, ...]], None],
    ) -> None:
        """`get_horizon`: the lamport at or below which nothing gets a place in the order."""
        self._settings = settings
        self._intake = intake
        self._outbox = outbox
        self._requests = requests
        self._store = store
        self._on_credentials = on_credentials
        self._chain = Chain(
            network,
            settings.author,
            intake,
            outbox,
            get_horizon=get_horizon,
            on_sealed=self._on_sealed,
        )
        self._repeating = Repeating(outbox, intake.authors, self.say)
        self._waiting: deque[Publication] = deque()
        self._speech = Speech.WAITING
        self._patience_ms = 0
        self._settled_ms = 0
        """When whoever is there can be taken to have been asked."""
        self._asked: dict[str, None] = {}
        self._witnesses: dict[str, None] = {}
        """Asked peers whose whole answer has come."""
        self._lacking: dict[bytes, None] = {}
        self._first: VerifiedVertex | None = None
        self._profile = b""
        """What the own newest profile says."""
        self._wanted = settings.profile
        """What it is to say."""

    @property
    def speech(self) -> Speech:
        """Whether this node may speak."""
        return self._speech

    @property
    def repeats(self) -> dict[bytes, bytes]:
        """By which vertex each of the last that were lost was said again."""
        return self._repeating.repeats

    @property
    def queued(self) -> int:
        """Publications that were accepted and are not out yet."""
        return len(self._waiting) + len(self._chain)

    def restore(self, signed: VerifiedVertex, lost: Sequence[SignedVertex]) -> None:
        """Take back a stored vertex; `lost` is what got no place in the order by it."""
        self._note_lost(lost)
        if signed.vertex.author == self._settings.author:
            self.note_own(signed)

    def note_own(self, signed: VerifiedVertex) -> None:
        """Remember what the own newest profile says; called for restored own vertices too."""
        vertex = signed.vertex
        self._repeating.note_own(signed)
        if vertex.lane == LANE_SPEECH and vertex.kind == Kind.PROFILE:
            self._profile = strip_proof(vertex.body)
            if vertex.seq == 0:
                self._first = signed

    def start(self, now_ms: int, first_profile: bytes) -> None:
        """Prepare the first profile, and wait for word of the own past."""
        self._patience_ms = now_ms + self._settings.timing.last_answer_ms
        if self._intake.authors.is_forked(self._settings.author):
            self._speech = Speech.FORKED
        if self._first is None and first_profile:
            self._first = trust_stored(decode_signed(first_profile))
        if self._first is None:
            self._draft_first(now_ms)
            return
        self._show_credentials(self._first)
        self._open_if_alone(now_ms)

    def _draft_first(self, now_ms: int) -> None:
        profile = Publication(None, Kind.PROFILE, self._settings.profile)
        vertex = self._chain.build_first(now_ms, profile, self._find_inviter())
        try:
            self._intake.authors.check_profile(vertex)
        except InvalidMessage as error:
            raise ConfigError(
                f"this network would refuse the own profile: {error}", hint="ask for a new ticket"
            ) from error

    def _find_inviter(self) -> Ref | None:
        if not self._settings.inviter:
            return None
        record = self._intake.authors.get(self._settings.inviter)
        if record is None or not record.profiles:
            raise ConfigError(
                "the credentials hold no profile of who invited this node that is of this time",
                hint="set the clock of this machine, or ask for a new ticket",
            )
        return record.profiles[0]

    def _show_credentials(self, first: VerifiedVertex) -> None:
        record = self._intake.authors.get(self._settings.author)
        founder = record is not None and record.founder
        self._on_credentials(() if founder else (*self._settings.credentials, first.wire))

    def _open_if_alone(self, now_ms: int) -> None:
        """Without other members there is nobody to ask."""
        if all(record.id == self._settings.author for record in self._intake.authors):
            self._open(now_ms)

    def submit(self, now_ms: int, token: int, command: Publish | Renew) -> None:
        """Accept something to say. Raises `CommandRejected`, and then nothing has changed."""
        if self._speech is Speech.FORKED:
            raise CommandRejected(
                "another process has signed with this node's keys",
                hint="make a new identity, and stop the other copy",
            )
        if isinstance(command, Renew):
            self._renew(now_ms, command.profile)
            return
        if self.queued >= self._settings.limits.publications_max:
            raise CommandRejected(
                f"{self.queued} publications wait already", hint="publish more slowly"
            )
        publication = Publication(token, command.kind, command.body, self._check(command))
        self._waiting.append(publication)
        self._build(now_ms)

    def _renew(self, now_ms: int, body: bytes) -> None:
        settings = self._settings
        try:
            profile = PROFILE_DECODER.decode(body)
            validate_profile(profile, settings.genesis.suite, settings.author)
        except InvalidMessage as error:
            raise CommandRejected(f"no peer would take this profile: {error.message}") from error
        if profile.libp2p_key != PROFILE_DECODER.decode(settings.profile).libp2p_key:
            raise CommandRejected("a profile is renewed with another transport key")
        if body == self._wanted:
            return
        self._wanted = body
        if self._speech is Speech.OPEN:
            self.say(now_ms, Publication(None, Kind.PROFILE, body))

    def say(self, now_ms: int, publication: Publication) -> None:
        """Publish what the node itself has to say."""
        if self._speech is not Speech.FORKED:
            self._waiting.append(publication)
            self._build(now_ms)

    def repeat(self, now_ms: int) -> None:
        """Say again what fell below the horizon of the order, and what could not be said above it."""
        self._repeating.repeat(now_ms)
        if self._waiting:
            self._build(now_ms)

    def _check(self, command: Publish) -> tuple[Ref, ...]:
        size_bytes = len(command.body)
        if size_bytes > BODY_BYTES_MAX:
            raise CommandRejected(
                f"the body has {size_bytes} bytes where at most {BODY_BYTES_MAX} fit",
                hint="publish its digest, or split it",
            )
        if not 0 <= command.kind <= COUNTER_MAX or command.kind in {Kind.PROFILE, Kind.BLOCK}:
            raise CommandRejected(f"kind {command.kind} is not for applications to publish")
        if len(command.knowledge) > KNOWLEDGE_MAX:
            raise CommandRejected(f"at most {KNOWLEDGE_MAX} vertices can be named as knowledge")
        refs: dict[bytes, Ref] = {}
        for vertex_id in command.knowledge:
            entry = self._intake.index.get(vertex_id)
            if entry is None or entry.lane != LANE_SPEECH:
                raise CommandRejected(
                    f"knowledge {vertex_id.hex()[:16]} is not held here",
                    hint="wait until it has arrived, or name another",
                )
            refs[vertex_id] = entry.ref
        return tuple(sorted(refs.values()))

    def _build(self, now_ms: int) -> None:
        if self._speech is Speech.OPEN and self._intake.index.get_last(
            self._settings.author, LANE_SPEECH
        ):
            while self._waiting and self._chain.build(now_ms, self._waiting[0]):
                self._waiting.popleft()

    def _on_sealed(self, now_ms: int, publication: Publication, signed: VerifiedVertex) -> None:
        if signed.vertex.seq == 0:
            self._first = signed
            self._outbox.persist(StoreValue(FIRST_PROFILE_KEY, signed.wire))
            self._show_credentials(signed)
            if self._speech is Speech.OPEN:
                self._speak_first(now_ms)
            else:
                self._open_if_alone(now_ms)
            return
        if self._chain.is_late(signed.vertex.lamport):
            # The horizon has passed it meanwhile. It has not left this node: it is drafted anew.
            self._waiting.extendleft(reversed((publication, *self._chain.withdraw())))
            self._build(now_ms)
            return
        self._store.admit_own(now_ms, signed)
        if publication.token is not None:
            self._outbox.emit(Published(publication.token, signed))

    def on_ready(self, now_ms: int, peer: str) -> None:
        """Ask a peer for the own last vertices."""
        if self._speech is not Speech.WAITING or len(self._asked) >= WITNESSES_MAX:
            return
        if not self._asked:
            self._settled_ms = now_ms + self._settings.timing.witness_ms
        self._asked[peer] = None
        number = self._requests.next_number()
        self._outbox.send((peer,), GetLast(number, self._settings.author))
        self._requests.open(
            now_ms, number, peer, (), on_answer=self._on_answer, on_end=self._on_end
        )

    def _on_answer(self, now_ms: int, request: Request, message: Vertices) -> None:
        for candidate in message.candidates:
            signed = candidate.signed
            own = signed.vertex.author == self._settings.author
            if (
                own
                and candidate.standing is Standing.VERIFIED
                and self._store.take_own_past(now_ms, signed)
            ):
                self._lacking[signed.id] = None
        if message.last:
            self._witnesses[request.peer] = None
            if self._is_heard(now_ms):
                self._catch_up(now_ms)

    def _on_end(self, _now_ms: int, request: Request) -> None:
        """A peer that gave no answer leaves its place to another."""
        if request.peer not in self._witnesses:
            self._asked.pop(request.peer, None)

    def _is_heard(self, now_ms: int) -> bool:
        count, others = len(self._witnesses), len(self._intake.authors) - 1
        enough = count >= min(WITNESSES_MIN, others) or now_ms >= self._settled_ms
        return count > 0 and enough

    def _catch_up(self, now_ms: int) -> None:
        if self._speech is Speech.WAITING:
            self._speech = Speech.CATCHING_UP
            self._try_open(now_ms)

    def _try_open(self, now_ms: int) -> None:
        if all(vertex_id in self._intake.index for vertex_id in self._lacking):
            self._open(now_ms)

    def _open(self, now_ms: int) -> None:
        if self._speech in {Speech.WAITING, Speech.CATCHING_UP}:
            self._speech = Speech.OPEN
            self._lacking = {}
            self._speak_first(now_ms)

    def _speak_first(self, now_ms: int) -> None:
        """Let the first profile into the own store, then say what has changed since."""
        held = self._intake.index.get_last(self._settings.author, LANE_SPEECH)
        if held is None:
            if self._first is None:
                return
            self._store.admit_own(now_ms, self._first)
        if self._profile != self._wanted:
            self._waiting.appendleft(Publication(None, Kind.PROFILE, self._wanted))
        self._build(now_ms)

    def on_admitted(
        self,
        now_ms: int,
        signed: VerifiedVertex,
        lost: Sequence[SignedVertex],
        *,
        made_here: bool,
    ) -> None:
        """A vertex is stored; `lost` is what got no place in the order by it."""
        self._note_lost(lost)
        if made_here:
            self.note_own(signed)
        elif signed.vertex.author == self._settings.author:
            self._on_handed_back(now_ms, signed)

    def _note_lost(self, lost: Sequence[SignedVertex]) -> None:
        if lost:
            own = self._settings.author
            self._repeating.note_lost(each for each in lost if each.vertex.author == own)

    def _on_handed_back(self, now_ms: int, signed: VerifiedVertex) -> None:
        """A peer handed back an own vertex: drafts are made anew on top of it."""
        self.note_own(signed)
        self._waiting.extendleft(reversed(self._chain.withdraw()))
        if self._speech is Speech.CATCHING_UP:
            self._try_open(now_ms)
        self._build(now_ms)

    def stop(self) -> None:
        """A fork of the own chain is proved: say nothing any more."""
        self._speech = Speech.FORKED
        for publication in (*self._chain.withdraw(), *self._waiting):
            if publication.token is not None:
                reason = "another process has signed with this node's keys"
                self._outbox.emit(PublishFailed(publication.token, reason))
        self._waiting.clear()

    def tick(self, now_ms: int) -> None:
        """Speak when enough were heard, or nobody could be asked in time."""
        if self._speech is Speech.WAITING and (
            now_ms >= self._patience_ms or self._is_heard(now_ms)
        ):
            self._catch_up(now_ms)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self._speech is not Speech.WAITING:
            return None
        return min(self._patience_ms, self._settled_ms) if self._witnesses else self._patience_ms
