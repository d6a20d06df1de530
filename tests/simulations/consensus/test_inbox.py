"""Blocks that wait, and a log that loses what was not synced."""

from __future__ import annotations

from random import Random

from consensus.committee import Committee
from dag.genesis import Validator
from simulations.consensus import inbox as inboxes
from simulations.consensus.inbox import Inbox, Log
from simulations.consensus.vertices import make_block_vertex

COMMITTEE = Committee(0, [Validator(bytes([i]) * 32, 1) for i in range(4)])


def make(author, parents=(), round_=1):
    return make_block_vertex(
        COMMITTEE,
        author,
        [parent.ref for parent in parents],
        round_=round_,
        previous_round=0,
        seq=0,
        time_ms=5,
    )


def test_block_waits_until_the_last_of_its_parents_is_known():
    low = [make(author) for author in range(3)]
    top = make(3, low, 2)
    inbox = Inbox()
    assert inbox.add(top, [low[0].id, low[1].id])
    assert top.id in inbox
    assert inbox.list_wanted(1) == (low[0].id,)
    assert inbox.release(low[0].id) == []
    assert inbox.release(low[1].id) == [top]
    assert len(inbox) == 0
    assert inbox.list_wanted(9) == ()


def test_what_waits_itself_is_not_wanted():
    low, middle = make(0), make(1, [make(0)], 2)
    top = make(2, [middle], 3)
    inbox = Inbox()
    inbox.add(middle, [low.id])
    inbox.add(top, [middle.id])
    assert inbox.list_wanted(9) == (low.id,)


def test_flood_by_one_author_takes_no_room_of_others(monkeypatch):
    monkeypatch.setattr(inboxes, "WAITING_MAX", 4)
    inbox = Inbox(authors=2)
    missing = [bytes([number]) * 32 for number in range(9)]
    floods = [make(0, round_=round_) for round_ in range(1, 4)]
    added = [inbox.add(block, missing[number : number + 1]) for number, block in enumerate(floods)]
    assert added == [True, True, False]
    assert inbox.add(make(1), missing[8:])
    assert inbox.list_wanted(2) == (missing[0], missing[8])
    assert inbox.add(make(1, round_=2), missing[1:2])
    assert inbox.list_wanted(4) == (missing[1], missing[8], missing[0])
    assert inbox.release(missing[0]) == floods[:1]
    assert inbox.add(floods[2], missing[2:3])


def test_crash_keeps_what_was_synced():
    log = Log()
    blocks = [make(author) for author in range(4)]
    for block in blocks[:2]:
        log.append(block)
    log.sync()
    for block in blocks[2:]:
        log.append(block)
    log.crash(Random(1))
    assert log.entries[:2] == blocks[:2]
    assert log.synced == len(log.entries)
