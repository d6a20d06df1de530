"""How often neighbours are exchanged: seldom once a view has stood, and soon again when it is shaken."""

from __future__ import annotations

import pytest

from meshnode.core.effects import Dial, Hangup
from meshnode.core.messages import Disconnect
from meshnode.core.overlay import CALM_AFTER, CALM_FACTOR, SETTLED_MS
from tests.support.overlay_scene import OverlayScene

MINUTE_MS = 60_000


def count_draws(scene: OverlayScene, minutes: int) -> int:
    """Members drawn for an exchange; all of them come, and stay."""
    draws = 0
    for _ in range(minutes * 60):
        effects = scene.live(1_000)
        for dial in scene.dials(effects):
            scene.accept(dial)
            draws += 1
        for effect in effects:
            if isinstance(effect, Hangup):
                scene.disconnect(effect.peer)
    return draws


def make_scene() -> OverlayScene:
    scene = OverlayScene(outbound_min=2)
    for dial in scene.dials(scene.started) + scene.dials(scene.tick(500)):
        scene.accept(dial)
    return scene


def make_calm_scene() -> OverlayScene:
    scene = make_scene()
    assert 4 <= count_draws(scene, CALM_AFTER + 1) <= 6
    return scene


def lose(scene: OverlayScene, *, politely: bool) -> None:
    peer = next(item.peer for item in scene.active.values() if item.outbound)
    if politely:
        scene.receive(peer, Disconnect(()))
    scene.disconnect(peer)
    assert peer not in scene.active


def test_exchanges_are_rarer_while_nothing_shakes_the_view():
    scene = make_calm_scene()
    assert 8 <= count_draws(scene, 10 * CALM_FACTOR) <= 12


def count_until_draw(scene: OverlayScene) -> int:
    """Seconds until a member is drawn although no place is free."""
    for seconds in range(3 * 60):
        effects = scene.live(1_000)
        if any(isinstance(effect, Dial) for effect in effects):
            return seconds
    raise AssertionError("nobody was drawn")


@pytest.mark.parametrize("politely", [False, True])
def test_lost_neighbour_is_a_reason_to_look_around_and_an_exchanged_one_is_not(politely):
    scene = make_calm_scene()
    while count_until_draw(scene) < 60:  # an exchange has just begun: the next is far off
        pass
    due_ms = scene.overlay._cross_due_ms
    lose(scene, politely=politely)
    is_sooner = scene.overlay._cross_due_ms < due_ms
    assert is_sooner is not politely
    assert (scene.overlay._shaken_ms == scene.now_ms) is not politely


def test_neighbour_that_withholds_is_a_reason_to_look_around():
    scene = make_calm_scene()
    scene.live(SETTLED_MS)
    peer = next(iter(scene.active))
    scene.overlay.on_withheld(scene.now_ms, peer)
    assert scene.overlay._shaken_ms < scene.now_ms
    scene.overlay.on_withheld(scene.now_ms, peer)
    assert scene.overlay._shaken_ms == scene.now_ms
    assert scene.overlay._cross_due_ms <= scene.now_ms + MINUTE_MS
