"""Plays the validity cases, which say in a sentence what the block under test is like.

The setting is a committee of 4 in epoch 7, rounds 1 to 5 full and known; the block under test is
author 1's of round 6. A sentence is read by its key words, the first rule that matches; block names
in it are parents. What stays unread fails the case, so that nothing passes by not being understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from consensus.block import CommitVote, encode_body, read_body
from consensus.committee import Committee
from consensus.errors import InvalidBlock
from consensus.floor import FloorState
from consensus.leader import RoundRobin
from consensus.notation import (
    NETWORK,
    Built,
    Draft,
    InvalidCase,
    Name,
    build,
    build_block,
    find_names,
    make_signer,
    make_validators,
    parse_layers,
    sign,
)
from consensus.ordering import Accepted, Dropped, Later, Ordering, OrderingState
from consensus.validity import check_last_leader, judge_bytes
from dag.errors import InvalidSignature
from dag.identity import VerifiedVertex, verify_vertex
from dag.index import Index
from dag.types import Ref
from dag.vertex import SignedVertex

MEMBERS: Final = 4
EPOCH: Final = 7
TESTED: Final = Name(6, 1)
OWN: Final = Name(5, 1)
FULL: Final = (OWN, Name(5, 0), Name(5, 2), Name(5, 3))
UNKNOWN: Final = Ref(5, b"\xff" * 32)
OUTSIDERS: Final = 4
"""The first signer number that is not in the committee."""


class World:
    """The setting of the validity cases."""

    def __init__(self, *, floor: int = 0) -> None:
        self.committee = Committee(EPOCH, make_validators([1] * MEMBERS))
        self.index = Index()
        self.built: dict[Name, Built] = {}
        layers = [{"r": "1-5", "all": "*"}]
        built = build(self.committee, parse_layers(MEMBERS, layers))
        start = OrderingState(floor=FloorState(floor, floor))
        self.ordering = Ordering(
            NETWORK, self.committee, RoundRobin(self.committee), index=self.index, start=start
        )
        for item in built:
            self.hold(item)

    def hold(self, item: Built) -> None:
        """Take in a block as known."""
        self.built[item.name] = item
        self.offer(item.signed)

    def draft(self, *parents: Name, name: Name = TESTED) -> Built:
        """The block under test over these parents; not offered."""
        return build_block(self.committee, Draft(name, parents), self.built)

    def vary(self, item: Built, *, signer: int = TESTED.author, **changes: Any) -> VerifiedVertex:
        """The same block with other fields of its vertex or, by the name 'body', of its body."""
        vertex = item.signed.vertex
        body = msgspec.structs.replace(read_body(vertex.body), **changes.pop("body", {}))
        changed = msgspec.structs.replace(vertex, body=encode_body(body), **changes)
        return sign(signer, changed)

    def offer(self, signed: SignedVertex) -> str:
        """What becomes of a vertex: 'accept', 'reject', 'drop' or 'hold'."""
        missing = self.index.find_missing(signed.vertex)
        missing = tuple(ref for ref in missing if not self.ordering.store.is_below_floor(ref))
        try:
            # Nothing came before this epoch, so nothing may be named for genesis either.
            check_last_leader(judge_bytes(signed, NETWORK, self.committee), ())
        except InvalidBlock:
            pass
        else:
            if missing:
                return "hold"
        verdict = self.ordering.add(signed)
        if isinstance(verdict, Later):
            return "hold"
        if signed.id not in self.index and not self.index.find_missing(signed.vertex):
            self.index.add(signed)
        if isinstance(verdict, Accepted):
            return "accept"
        return "drop" if isinstance(verdict, Dropped) else "reject"


_COUNTS: Final = (("one", 1), ("two", 2), ("quorum", 3), ("three", 3))
Trial = Callable[[World, str], Iterator[str]]


def _try_genesis(world: World, text: str) -> Iterator[str]:
    del text
    yield world.offer(world.vary(world.draft(*FULL), body={"round": 0, "previous_round": 0}))


def _try_wrong_genesis(world: World, text: str) -> Iterator[str]:
    del text
    first = world.draft(name=Name(1, 1))
    yield world.offer(world.vary(first, parents=(UNKNOWN,), lamport=6, body={"parent_count": 1}))


def _try_outsider(world: World, text: str) -> Iterator[str]:
    """An author beyond the committee, of the block or of a parent: no index exists for it."""
    for number in re.findall(r"\d+", text.partition("index")[2]) or [OUTSIDERS]:
        base = world.draft(*FULL)
        author = make_signer(int(number)).author
        foreign = world.vary(
            world.built[OWN], signer=int(number), author=author, time_ms=int(number)
        )
        if "parent" not in text:
            yield world.offer(foreign)
            continue
        world.offer(foreign)
        parents = (*base.signed.vertex.parents, foreign.ref)
        yield world.offer(world.vary(base, parents=parents, body={"parent_count": 5}))


def _try_rejected_parent(world: World, text: str) -> Iterator[str]:
    name = (find_names(text) or [Name(5, 3)])[0]
    broken = world.draft(Name(4, name.author), name=name)
    world.offer(broken.signed)
    parents = [world.built[parent].signed.ref for parent in FULL if parent != name]
    item = world.draft(*FULL)
    yield world.offer(world.vary(item, parents=(*parents, broken.signed.ref)))
    yield world.offer(world.vary(item, parents=(*parents, broken.signed.ref)))


def _try_horizon(world: World, text: str) -> Iterator[str]:
    if "parent" in text:
        above = World(floor=3)
        yield above.offer(above.draft(Name(3, 1), *FULL[1:]).signed)
        return
    yield World(floor=TESTED.round).offer(world.draft(*FULL).signed)


def _try_twin(world: World, text: str) -> Iterator[str]:
    del text
    world.offer(world.draft(*FULL).signed)
    yield world.offer(world.draft(*FULL[:3]).signed)


def _try_two_by_one_author(world: World, text: str) -> Iterator[str]:
    twin = Name(5, 2, "a")
    if twin in find_names(text) or "twin" in text or "both" in text:
        item = world.draft(Name(4, 2), Name(4, 0), Name(4, 1), name=Name(5, 2))
        world.hold(Built(twin, item.signed, item.block))
        yield world.offer(world.draft(*FULL, twin).signed)
        return
    yield world.offer(world.draft(*FULL, *(find_names(text) or [Name(4, 2)])).signed)


def _try_twice(world: World, text: str) -> Iterator[str]:
    item = world.draft(*FULL)
    again = world.built[(find_names(text) or [Name(5, 2)])[0]].signed.ref
    parents = (*item.signed.vertex.parents, again)
    yield world.offer(world.vary(item, parents=parents, body={"parent_count": len(parents)}))


def _try_high_parent(world: World, text: str) -> Iterator[str]:
    del text
    world.hold(world.draft(Name(5, 0), *FULL, name=Name(6, 0)))
    yield world.offer(world.draft(*FULL[:1], *FULL[2:], Name(6, 0)).signed)


def _try_epoch(world: World, text: str) -> Iterator[str]:
    """Any other epoch is refused, but one that has not begun is so for now only."""
    number = re.search(r"epoch (\d+)", text)
    epoch = int(number[1]) if number else EPOCH - 1
    yield world.offer(world.vary(world.draft(*FULL), body={"epoch": epoch}))


def _try_chain(world: World, text: str) -> Iterator[str]:
    del text
    yield world.offer(world.vary(world.draft(*FULL), network=b"\x01" * 32))


def _try_signature(world: World, text: str) -> Iterator[str]:
    del text
    signed = world.draft(*FULL).signed
    try:
        verify_vertex(make_signer(0).keys, "ed25519", signed)
    except InvalidSignature:
        yield "reject"


def _try_unknown_parent(world: World, text: str) -> Iterator[str]:
    del text
    item = world.draft(*FULL)
    yield world.offer(world.vary(item, parents=(*item.signed.vertex.parents[:3], UNKNOWN)))


def _try_size(world: World, text: str) -> Iterator[str]:
    del text
    votes = tuple(CommitVote(index + 1, bytes(32)) for index in range(65))
    yield world.offer(world.vary(world.draft(*FULL), body={"votes": votes}))


def _try_time(world: World, text: str) -> Iterator[str]:
    time_ms = 0 if "below" in text or "before" in text else 2**62
    yield world.offer(world.vary(world.draft(*FULL), time_ms=time_ms))


def _try_again(world: World, text: str) -> Iterator[str]:
    del text
    signed = world.draft(*FULL).signed
    world.offer(signed)
    yield world.offer(signed)


def _try_no_parents(world: World, text: str) -> Iterator[str]:
    del text
    yield world.offer(world.draft().signed)


def _try_order(world: World, text: str) -> Iterator[str]:
    del text
    yield world.offer(world.draft(*FULL[1:2], OWN, *FULL[2:]).signed)


def _try_without_own(world: World, text: str) -> Iterator[str]:
    del text
    item = world.draft(*FULL)
    parents = item.signed.vertex.parents[1:]
    yield world.offer(world.vary(item, parents=parents, body={"parent_count": len(parents)}))


def _try_full(world: World, text: str) -> Iterator[str]:
    del text
    yield world.offer(world.draft(*FULL).signed)


def _try_parents(world: World, text: str) -> Iterator[str]:
    """Parents by name; 'own' is the block of the round below, 'others' the rest of round 5."""
    names = find_names(text)
    if any(name.round >= TESTED.round for name in names):
        yield from _try_high_parent(world, text)
        return
    own = [name for name in names if name.author == TESTED.author] or [OWN]
    rest = [name for name in names if name.author != TESTED.author]
    count = next((number for word, number in _COUNTS if re.search(rf"\b{word}\b", text)), 0)
    if "other" in text:
        rest += FULL[1 : 1 + (count or 3)]
    elif count and not rest:
        rest += FULL[1:count]
    if not rest:
        raise InvalidCase(f"not understood: {text!r}")
    yield world.offer(world.draft(*own, *rest).signed)


_TRIALS: Final[tuple[tuple[str, Trial], ...]] = (
    (r"wrong digest|forged genesis", _try_wrong_genesis),
    (r"round-0|round 0", _try_genesis),
    (r"author index|outside the committee|not in the committee", _try_outsider),
    (r"rejected before|invalid parent|invalid ancestor", _try_rejected_parent),
    (r"horizon", _try_horizon),
    (r"second, different|equivocat", _try_twin),
    (r"listed twice|same parent twice", _try_twice),
    (r"two (parents|blocks)|twins?\b|2\.5a", _try_two_by_one_author),
    (r"same round|own round|higher round|round 6 or|round [67]\b.*parent|parent.*round [67]\b",
     _try_high_parent),
    (r"epoch", _try_epoch),
    (r"chain id|other chain|wrong chain|network id", _try_chain),
    (r"signature|signed", _try_signature),
    (r"timestamp|clock", _try_time),
    (r"unknown|not (yet )?(known|received|held|here)|missing parent|never seen", _try_unknown_parent),
    (r"size|too (many|large|big)|limit|more than", _try_size),
    (r"same block|duplicate|offered again", _try_again),
    (r"no parents", _try_no_parents),
    (r"not first", _try_order),
    (r"(no|without( an?)?) own|own (parent|previous block|block)( is)? (missing|absent|left out|not among)",
     _try_without_own),
    (r"^all four", _try_full),
    (r"", _try_parents),
)  # fmt: skip

_EXPECTED: Final[Mapping[str, tuple[str, ...]]] = {
    "accept": ("accept",),
    "valid": ("accept",),
    "present": ("accept",),
    "invalid": ("reject", "drop"),
    "rejected": ("reject", "drop"),
    "reject": ("reject", "drop"),
    "never": ("reject", "drop"),
    "drop": ("drop",),
    "ignore": ("drop",),
    "hold": ("hold",),
    "held": ("hold",),
    "wait": ("hold",),
    "waits": ("hold",),
    "suspend": ("hold",),
    "suspended": ("hold",),
    "quarantined": ("hold",),
    "quarantine": ("hold",),
    "pin": ("accept", "hold"),
}
"""What the first words of an expectation allow. An inert block that comes again is dropped."""


def play_validity(case: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    """Play a case of block validity; gives (expected, got) pairs. Raises `InvalidCase`."""
    text, expected = str(case["parents_or_change"]).lower(), str(case["expect"]).lower()
    word = next((word for word in re.findall(r"[a-z]+", expected) if word in _EXPECTED), None)
    if word is None:
        raise InvalidCase(f"not understood: {expected!r}")
    trial = next(trial for pattern, trial in _TRIALS if re.search(pattern, text))
    outcomes = list(trial(World(), text))
    if trial is _try_epoch and word == "reject":
        outcomes = ["reject" if outcome == "hold" else outcome for outcome in outcomes]
    for outcome in outcomes:
        yield (expected, outcome if outcome not in _EXPECTED[word] else expected)
