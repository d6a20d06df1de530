"""What waits to be ordered: everything said, but for what only a forked author stands behind."""

from __future__ import annotations

from dag.identity import VerifiedVertex
from dag.intake import Intake
from meshnode.core.backlog import Backlog
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level


class Scene:
    """A backlog beside its intake."""

    def __init__(self, authors: int = 3) -> None:
        self.builder = DagBuilder(authors).profiles()
        self.intake = Intake(self.builder.genesis)
        self.backlog = Backlog(self.intake.index, self.intake.authors)
        for signed in self.builder.vertices:
            self.add(signed)

    def add(self, signed: VerifiedVertex) -> VerifiedVertex:
        self.intake.restore(signed)
        self.backlog.add(signed)
        return signed

    def ids(self) -> list[bytes]:
        return [ref.id for ref in self.backlog.list_left((), count_max=1_000)]


def test_everything_said_waits_until_it_is_put_out():
    scene = Scene()
    note = scene.add(scene.builder.vertex(0))
    assert scene.ids()[-1] == note.id
    assert len(scene.backlog) == 4
    taken = scene.backlog.take(signed.ref for signed in scene.builder.vertices[:3])
    assert list(taken) == scene.builder.vertices[:3]
    assert scene.ids() == [note.id]


def test_content_is_handed_out_in_the_order_of_the_commit_where_it_is_kept():
    scene = Scene()
    one, two = scene.builder.vertices[:2]
    assert scene.backlog.take([two.ref, one.ref]) == (two, one)
    assert scene.backlog.take([two.ref]) == ()


def test_what_lies_below_the_horizon_waits_no_longer():
    scene = Scene()
    note = scene.add(scene.builder.vertex(0))
    scene.backlog.drop(note.vertex.lamport - 1)
    assert scene.ids() == [note.id]
    assert scene.backlog.take([scene.builder.vertices[0].ref]) == ()


def test_vertices_of_a_forked_author_wait_apart_until_somebody_builds_on_them():
    scene = Scene()
    first = scene.add(scene.builder.vertex(0))
    second = scene.add(scene.builder.twin(first))
    assert first.id not in scene.ids()
    assert second.id not in scene.ids()
    own = scene.add(scene.builder.vertex(0, parents=[]))
    assert own.id not in scene.ids()
    other = scene.add(scene.builder.vertex(1, parents=[own.ref]))
    assert {first.id, own.id, other.id} <= set(scene.ids())
    assert second.id not in scene.ids()


def test_what_others_stand_on_already_stays_when_its_author_turns_out_forked():
    scene = Scene()
    first = scene.add(scene.builder.vertex(0))
    other = scene.add(scene.builder.vertex(1, parents=[first.ref]))
    second = scene.add(scene.builder.twin(first))
    assert {first.id, other.id} <= set(scene.ids())
    assert second.id not in scene.ids()
    scene.backlog.take([second.ref])
    scene.backlog.drop(100)
    assert scene.ids() == []


def test_forgotten_vertices_wait_no_longer_when_their_author_turns_out_forked():
    scene = Scene()
    first = scene.add(scene.builder.vertex(0, parents=[]))
    scene.add(scene.builder.vertex(0, parents=[]))
    last = scene.add(scene.builder.vertex(1))
    scene.intake.advance_horizon(level(first.vertex.lamport))
    assert scene.intake.prune(level(first.vertex.lamport))
    scene.add(scene.builder.twin(last))
    assert first.id not in scene.ids()


def test_what_other_blocks_cover_is_left_to_them_and_the_rest_is_given_oldest_first():
    scene = Scene()
    first = scene.add(scene.builder.vertex(0))
    second = scene.add(scene.builder.vertex(1))
    third = scene.add(scene.builder.vertex(2, parents=()))
    scene.backlog.take([scene.builder.vertices[0].ref])
    left = scene.backlog.list_left([second.ref, first.ref], count_max=10)
    assert left == [third.ref]
    ids = scene.ids()
    assert [ref.id for ref in scene.backlog.list_left((), count_max=2)] == ids[:2]


def test_what_only_a_forked_author_stands_behind_covers_what_is_below_it():
    scene = Scene()
    below = scene.add(scene.builder.vertex(1))
    first = scene.add(scene.builder.vertex(0))
    assert below.ref in first.vertex.parents
    scene.add(scene.builder.twin(first))
    assert below.ref not in scene.backlog.list_left([first.ref], count_max=10)
