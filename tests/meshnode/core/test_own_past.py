"""Validators are asked for the own last block until they answer, and answers until they are whole."""

from __future__ import annotations

from typing import Any

import pytest

from dag.identity import VerifiedVertex
from meshnode.core.inputs import Candidate, Standing, Vertices
from meshnode.core.messages import GetLast
from meshnode.core.outbox import Outbox
from meshnode.core.own_past import OwnPast
from meshnode.core.requests import Requests
from tests.support.block_dag import BlockDag

GET_MS = 2_000


class Scene:
    """Asks as validator 0 of four."""

    def __init__(self) -> None:
        self.dag = BlockDag()
        self.stored: dict[bytes, None] = {}
        self.sunk: dict[bytes, None] = {}
        self.answered: list[int] = []
        self.outbox = Outbox()
        self.requests = Requests(self.outbox, GET_MS, lambda *_: None)
        self.past = OwnPast(
            self.dag.builder.people[0].author,
            self.outbox,
            self.requests,
            is_stored=self.stored.__contains__,
            is_to_come=lambda _, signed: signed.id not in self.sunk,
            on_answered=lambda _, validator: self.answered.append(validator),
        )

    def asked(self) -> list[tuple[str, int]]:
        sent: list[Any] = self.outbox.take()
        assert all(isinstance(effect.message, GetLast) for effect in sent)
        return [(effect.to[0], effect.message.request) for effect in sent]

    def answer(
        self,
        number: int,
        *signed: VerifiedVertex,
        last: bool = True,
        standing: Standing = Standing.VERIFIED,
    ) -> None:
        candidates = tuple(Candidate(item, standing) for item in signed)
        self.requests.answer(0, Vertices(number, candidates, last=last))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_answer_without_own_blocks_counts_at_once(scene):
    scene.past.ask(0, "b", 1)
    ((peer, number),) = scene.asked()
    assert peer == "b"
    scene.answer(number, scene.dag.builder.last(0))
    assert scene.answered == [1]
    scene.past.check(0)
    assert scene.answered == [1]


def test_an_answer_counts_once_the_own_block_it_names_is_stored(scene):
    block = scene.dag.row(1)[0]
    scene.past.ask(0, "b", 1)
    ((_, number),) = scene.asked()
    scene.answer(number, block, last=False)
    scene.past.check(0)
    assert scene.answered == []
    scene.answer(number)
    assert scene.answered == []
    scene.stored[block.id] = None
    scene.past.check(0)
    assert scene.answered == [1]


def test_blocks_that_are_not_verified_or_not_own_hold_nothing_up(scene):
    own, other = scene.dag.row(1)[:2]
    scene.past.ask(0, "b", 1)
    ((_, number),) = scene.asked()
    scene.answer(number, other, last=False)
    scene.answer(number, own, standing=Standing.DUPLICATE)
    assert scene.answered == [1]


def test_who_does_not_answer_in_time_is_asked_again(scene):
    scene.past.ask(0, "b", 1)
    scene.asked()
    scene.requests.tick(GET_MS)
    ((peer, number),) = scene.asked()
    assert peer == "b"
    scene.answer(number)
    assert scene.answered == [1]
    assert scene.asked() == []


def test_who_is_gone_is_not_asked(scene):
    scene.past.ask(0, "b", 1)
    scene.asked()
    scene.past.drop_peer("b")
    scene.requests.drop_peer(0, "b")
    assert scene.asked() == []


def test_what_is_answered_after_the_committee_has_changed_counts_for_nobody(scene):
    scene.past.ask(0, "b", 1)
    ((_, number),) = scene.asked()
    scene.past.end()
    scene.answer(number)
    assert scene.answered == []
    scene.requests.tick(GET_MS)
    assert scene.asked() == []


def test_a_block_that_sank_below_the_horizon_holds_nothing_up(scene):
    block = scene.dag.row(1)[0]
    scene.sunk[block.id] = None
    scene.past.ask(0, "b", 1)
    ((_, number),) = scene.asked()
    scene.answer(number, block)
    assert scene.answered == [1]
