"""The notation of conformance cases: layers of short names become signed block vertices.

A block is named 'author.round', with a letter for a further block of the same slot: '2.13a'. Inside
a slot digests ascend as the letters do, no letter first; to make that so, such blocks are stamped
with the first time whose id falls in the letter's share of all ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from consensus.block import Block, BlockBody, encode_body
from consensus.committee import Committee
from consensus.errors import ConsensusError
from dag.canonical import encode
from dag.crypto import sign_suite
from dag.genesis import Validator
from dag.identity import (
    VerifiedVertex,
    compute_author_id,
    derive_public_keys,
    verify_vertex,
)
from dag.keys import PublicKeys, SecretKeys, derive_secret_keys
from dag.types import LANE_BLOCKS, WIRE_VERSION, Kind
from dag.vertex import Envelope, SignedVertex, Vertex, compute_signed_message, compute_vertex_id

NETWORK: Final = bytes(32)
START_MS: Final = 1_000_000
ROUND_MS: Final = 100_000
_NAME: Final = re.compile(r"(\d+)\.(\d+)([a-z]?)")


class InvalidCase(ConsensusError):
    """A case that the notation does not cover."""

    code = "invalid_case"


class Name(msgspec.Struct, frozen=True, order=True):
    """A block's name in a case."""

    round: int
    author: int
    letter: str = ""

    def __str__(self) -> str:
        return f"{self.author}.{self.round}{self.letter}"


class Draft(msgspec.Struct, frozen=True):
    """A block of a case, its parents in the order given; genesis blocks among them."""

    name: Name
    parents: tuple[Name, ...]


class Built(msgspec.Struct, frozen=True):
    """A block of a case as a signed vertex, and as it is read where no rule is applied."""

    name: Name
    signed: VerifiedVertex
    block: Block


class Signer(msgspec.Struct, frozen=True):
    """The keys of a case's author."""

    author: bytes
    secrets: SecretKeys
    keys: PublicKeys


@lru_cache(256)
def make_signer(number: int) -> Signer:
    """The keys of the author at a position: the same in every case."""
    secrets = derive_secret_keys(number.to_bytes(32, "big"))
    keys = derive_public_keys(secrets, "ed25519")
    return Signer(compute_author_id(keys.ed25519_key, keys.mldsa65_key), secrets, keys)


def make_validators(stakes: Sequence[int]) -> tuple[Validator, ...]:
    """The committee's members of a case."""
    return tuple(Validator(make_signer(i).author, stake) for i, stake in enumerate(stakes))


def parse_name(text: str) -> Name:
    """Read 'author.round' with an optional letter. Raises `InvalidCase`."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise InvalidCase(f"{text!r} is no block name")
    return Name(int(match[2]), int(match[1]), match[3])


def find_names(text: str) -> list[Name]:
    """The block names in a sentence."""
    return [Name(int(match[2]), int(match[1]), match[3]) for match in _NAME.finditer(text)]


def parse_layers(members: int, layers: Sequence[Mapping[str, Any]]) -> list[Draft]:
    """The blocks of a case, parents before children. Raises `InvalidCase`."""
    drafts: dict[Name, Draft] = {
        Name(0, author): Draft(Name(0, author), ()) for author in range(members)
    }
    for layer in layers:
        for round_ in _parse_rounds(layer["r"]):
            for name, words in _list_blocks(layer, round_, members):
                if name in drafts:
                    raise InvalidCase(f"block {name} is given twice")
                drafts[name] = Draft(name, _parse_parents(name, words, drafts))
    return [draft for draft in drafts.values() if draft.name.round > 0]


def _parse_rounds(given: int | str) -> range:
    first, _, last = str(given).partition("-")
    return range(int(first), int(last or first) + 1)


def _list_blocks(
    layer: Mapping[str, Any], round_: int, members: int
) -> list[tuple[Name, Sequence[str]]]:
    if "all" in layer:
        words = str(layer["all"]).split()
        return [(Name(round_, author), words) for author in layer.get("by", range(members))]
    blocks: list[tuple[Name, Sequence[str]]] = []
    for key, words in layer["b"].items():
        match = re.fullmatch(r"(\d+)([a-z]?)", str(key))
        if match is None:
            raise InvalidCase(f"{key!r} names no author")
        blocks.append((Name(round_, int(match[1]), match[2]), str(words).split()))
    return blocks


def _parse_parents(
    name: Name, words: Sequence[str], drafts: Mapping[Name, Draft]
) -> tuple[Name, ...]:
    parents: dict[Name, None] = {}
    for word in words:
        if word == "*":
            for below in sorted(drafts):
                if below.round == name.round - 1 and not below.letter:
                    parents[below] = None
        elif word.startswith("-"):
            parents.pop(parse_name(word[1:]), None)
        else:
            parents[parse_name(word)] = None
    for parent in parents:
        if parent not in drafts:
            raise InvalidCase(f"{name} names {parent}, which stands nowhere before it")
    own = [parent for parent in parents if parent.author == name.author]
    return tuple(dict.fromkeys([*sorted(own, reverse=True)[:1], *parents]))


def build(committee: Committee, drafts: Sequence[Draft]) -> list[Built]:
    """Sign the blocks of a case as their authors would. Raises `InvalidCase`."""
    letters: dict[tuple[int, int], list[str]] = {}
    for draft in drafts:
        letters.setdefault((draft.name.round, draft.name.author), []).append(draft.name.letter)
    built: dict[Name, Built] = {}
    for draft in drafts:
        if draft.name.author >= len(committee):
            raise InvalidCase(f"{draft.name}: the committee has {len(committee)} members")
        variants = sorted(letters[draft.name.round, draft.name.author])
        share = (variants.index(draft.name.letter), len(variants))
        built[draft.name] = build_block(committee, draft, built, share=share)
    return list(built.values())


def build_block(
    committee: Committee,
    draft: Draft,
    built: Mapping[Name, Built],
    *,
    share: tuple[int, int] = (0, 1),
) -> Built:
    """Sign one block over blocks that were built, genesis left out."""
    parents = [built[name] for name in draft.parents if name.round > 0]
    own = parents[0] if parents and parents[0].name.author == draft.name.author else None
    body = BlockBody(
        epoch=committee.epoch,
        round=draft.name.round,
        previous_round=own.name.round if own else 0,
        parent_count=len(parents),
    )
    refs = tuple(parent.signed.ref for parent in parents)
    vertex = Vertex(
        version=WIRE_VERSION,
        network=NETWORK,
        author=make_signer(draft.name.author).author,
        lane=LANE_BLOCKS,
        seq=own.signed.vertex.seq + 1 if own else 0,
        lamport=1 + max((ref.lamport for ref in refs), default=0),
        kind=Kind.BLOCK,
        time_ms=START_MS + ROUND_MS * draft.name.round,
        parents=refs,
        body=encode_body(body),
    )
    while not _is_in_share(compute_vertex_id(vertex), share):
        vertex = msgspec.structs.replace(vertex, time_ms=vertex.time_ms + 1)
    signed = sign(draft.name.author, vertex)
    block = Block(signed.ref, draft.name.author, draft.name.round, refs, time_ms=vertex.time_ms)
    return Built(draft.name, signed, block)


def _is_in_share(vertex_id: bytes, share: tuple[int, int]) -> bool:
    position, count = share
    return vertex_id[0] * count // 256 == position


def sign(signer: int, vertex: Vertex) -> VerifiedVertex:
    """Sign any vertex, also one that breaks rules, and check the signature as a peer would."""
    keys = make_signer(signer)
    vertex_id = compute_vertex_id(vertex)
    signature = sign_suite("ed25519", keys.secrets, compute_signed_message(vertex_id))
    wire = encode(Envelope(encode(vertex), signature))
    return verify_vertex(keys.keys, "ed25519", SignedVertex(vertex_id, vertex, wire, signature))
