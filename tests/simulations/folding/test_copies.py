"""What happens to a copy leaves it the same market, or is told."""

from __future__ import annotations

import random

import pytest

from market.state import MarketState
from simulations.errors import CheckFailed
from simulations.folding.copies import LAG_MAX, Copy
from simulations.folding.life import Life


class Scene:
    """A market with two copies."""

    def __init__(self) -> None:
        self.life = Life(2, random.Random(2))
        self.exchange = self.life.exchange
        self.copies = [Copy(self.exchange, random.Random(each)) for each in range(2)]
        self.folded = 0
        self.fold()

    def fold(self) -> None:
        for step in self.exchange.log[self.folded :]:
            for copy in self.copies:
                copy.fold((*step, dict(self.exchange.weights)))
        self.folded = len(self.exchange.log)

    def live(self, commits: int = 10) -> None:
        for _ in range(commits):
            self.life.talk(5)
            self.life.pass_time(is_long=False)
            self.fold()

    def check(self) -> None:
        root = self.exchange.state.root()
        assert [copy.state.root() for copy in self.copies] == [root, root]


def test_copies_fold_shuffled_vertices_to_the_same_root():
    scene = Scene()
    scene.live(30)
    scene.check()
    assert all(copy.state.events == scene.exchange.state.events for copy in scene.copies)


def test_copy_that_lags_catches_up():
    scene = Scene()
    first, _ = scene.copies
    first.lag()
    scene.live(1)
    assert not first.is_level
    scene.live(LAG_MAX)
    assert first.is_level
    scene.check()


def test_copy_is_the_same_after_replay_storing_and_joining():
    scene = Scene()
    first, second = scene.copies
    for happen in (first.replay, first.put_away, lambda: first.join(second), first.refuse_torn):
        scene.live(8)
        happen()
        scene.check()
    scene.live()
    scene.check()


def test_copy_that_was_taken_up_knows_no_events_until_it_folds():
    scene = Scene()
    first, _ = scene.copies
    first.put_away()
    assert not first.has_folded
    scene.live(1)
    assert first.has_folded


def test_broken_snapshot_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch):
    scene = Scene()
    monkeypatch.setattr(MarketState, "restore", lambda _self, _stored: None)
    with pytest.raises(CheckFailed, match="broken bytes were taken"):
        scene.copies[0].refuse_torn()


def test_trace_of_a_refused_snapshot_is_told(monkeypatch: pytest.MonkeyPatch):
    scene = Scene()
    roots = iter((b"before", b"after"))
    monkeypatch.setattr(MarketState, "root", lambda _self: next(roots))
    with pytest.raises(CheckFailed, match="left a trace"):
        scene.copies[0].refuse_torn()


def test_state_that_is_another_after_being_stored_is_told(monkeypatch: pytest.MonkeyPatch):
    scene = Scene()
    genesis = scene.exchange.make_state()
    monkeypatch.setattr(Copy, "_take_up", lambda _self, _stored: genesis)
    with pytest.raises(CheckFailed, match="is another one"):
        scene.copies[0].put_away()
