"""Commits in the journal: what was told is found again, by index and by vertex."""

from __future__ import annotations

import sqlite3

import pytest

from dag.order import GENESIS_COMMIT_DIGEST, Commit
from dag.types import Ref
from meshnode.core.events import Committed
from meshnode.shell import commit_table
from meshnode.shell.journal import open_journal
from meshnode.shell.store import FILE_NAME, Store

NETWORK = bytes(32)


def make_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def make_event(index: int, count: int = 3) -> Committed:
    vertices = tuple(Ref(number, make_id(1_000 * index + number)) for number in range(count))
    commit = Commit(
        index, make_id(index), GENESIS_COMMIT_DIGEST, vertices[-1].id, vertices, 50 * index
    )
    return Committed(commit, count - 1)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path, NETWORK)
    yield store
    store.close()


def test_commits_are_read_in_order_behind_an_index(store):
    store.append((), [make_event(1), make_event(2), make_event(3)])
    assert [found.index for found in store.read_commits(after=1, limit=9)] == [2, 3]
    (first,) = store.read_commits(after=0, limit=1)
    event = make_event(1)
    assert first.vertices == tuple(ref.id for ref in event.commit.vertices)
    assert (first.said, first.time_ms, first.leader) == (2, 50, event.commit.leader)
    assert store.read_commits(after=3, limit=9) == []


def test_a_vertex_leads_to_the_commit_that_put_it_out(store):
    store.append((), [make_event(number, 600) for number in (1, 2)])
    wanted = [make_id(1_000 * index + number) for index in (1, 2) for number in range(600)]
    found = store.find_commits([*wanted, make_id(9)])
    assert [found[vertex].index for vertex in wanted] == [1] * 600 + [2] * 600
    assert make_id(9) not in found


def test_the_journal_says_how_far_the_order_was_told(store):
    assert store.load().delivered == 0
    store.append((), [make_event(1), make_event(2)])
    assert store.load().delivered == 2


def test_what_is_told_twice_is_kept_once(store):
    store.append((), [make_event(1)])
    store.append((), [make_event(1)])
    assert len(store.read_commits(after=0, limit=9)) == 1


def test_commits_go_with_the_last_of_their_vertices(store):
    events = [make_event(number) for number in (1, 2, 3)]
    store.append((), events)
    first, second, last = ([ref.id for ref in event.commit.vertices] for event in events)
    commit_table.forget_vertices(store._connection, [*first, *second[:2], *last])
    assert [found.index for found in store.read_commits(after=0, limit=9)] == [2, 3]
    assert list(store.find_commits([*first, *second, *last])) == second[2:]
    assert store.load().delivered == 3


def test_a_journal_of_before_knows_no_commits_until_it_is_opened_for_writing(store, tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.executescript("DROP TABLE commits; DROP TABLE ordered;")
    connection.close()
    old = Store.open_readonly(tmp_path / FILE_NAME)
    assert old.read_commits(after=0, limit=9) == []
    assert old.find_commits([make_id(1)]) == {}
    old.close()
    Store.open(tmp_path, NETWORK).close()
    store.append((), [make_event(1)])
    assert store.load().delivered == 1


async def test_commits_become_durable_with_the_records_of_their_batch(tmp_path):
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append((), [make_event(1)])
    assert [found.index for found in await journal.read_commits(after=0, limit=9)] == [1]
    vertex = make_event(1).commit.vertices[0].id
    assert (await journal.find_commits([vertex]))[vertex].index == 1
    await journal.close()
