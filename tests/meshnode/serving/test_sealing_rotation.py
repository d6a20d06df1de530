"""Keys that are replaced under those who ask: refused, told, asked again; never brought back."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meshnode.engines.base import EngineError
from meshnode.serving import probes
from meshnode.serving.protocol import Refuse, encode_frame
from meshnode.serving.sealed_stream import SealRefused
from tests.support.sealed_net import (
    fail,
    kinds,
    make_profile,
    rotate,
    seal_streams,
    sealed_net,
    shows_nothing,
)
from tests.support.sealing import draw
from tests.support.serving_net import (
    ScriptedEngine,
    answer,
    gated,
    until,
)

WORDS = ("canary", " says hello")


@pytest.fixture
async def scene():
    async with sealed_net(ScriptedEngine(WORDS)) as scene:
        yield scene


async def test_key_in_its_grace_still_opens(scene):
    rotate(scene.server)
    assert (await answer(scene.client)).sealed
    assert scene.server.sealing.figures.refused_keys == 0


async def test_expired_key_is_refused_and_the_question_goes_out_again_with_the_new_one(scene):
    rotate(scene.server, keep_ms=0)
    scene.directory.own = make_profile(scene.server, seq=1)
    got = await answer(scene.client)
    assert got.sealed
    assert got.attempts == ()
    assert shows_nothing(scene)
    assert kinds(scene, by_asker=False)[0] is Refuse
    assert scene.server.sealing.figures.refused_keys == 1
    assert (await answer(scene.client)).sealed
    report = await probes.fetch_report(scene.client, scene.server.peer, 0)
    assert report.load.slots == 1
    assert scene.server.sealing.figures.refused_keys == 1, "what was learned is kept"
    scene.published.publish(scene.server, seq=1)
    assert (await answer(scene.client)).sealed
    assert scene.client.sealing._renewed == {}, "until the mesh says so, too"


async def test_probe_takes_the_new_key_too(scene):
    rotate(scene.server, keep_ms=0)
    scene.directory.own = make_profile(scene.server, seq=1)
    assert (await probes.fetch_report(scene.client, scene.server.peer, 0)).load.slots == 1
    assert scene.server.sealing.figures.refused_keys == 1


async def test_key_that_expires_twice_in_one_question_ends_it(scene):
    refusals: list[object] = []

    async def handle(stream):
        await stream.receive()
        rotate(scene.server, now_ms=200 + len(refusals), keep_ms=0)
        refusals.append(make_profile(scene.server, seq=1 + len(refusals)))
        await stream.send(encode_frame(Refuse(msgspec.msgpack.encode(refusals[-1]))))
        await stream.finish()
        await stream.receive()

    scene.server.handle_stream = handle
    error = await fail(scene)
    assert "other sealing keys" in str(error)
    assert len(refusals) >= 2


@pytest.mark.parametrize("newer", [True, False])
async def test_keys_of_before_are_never_brought_back(scene, newer):
    """Somebody has stolen an old key, and its owner has erased it: he says it is the newest."""
    old = make_profile(scene.server, seq=0)
    rotate(scene.server, keep_ms=0)
    scene.published.publish(scene.server, seq=5 if newer else 0)
    scene.meddle = lambda asked, at, frame: (
        [frame] if asked or at else [encode_frame(Refuse(msgspec.msgpack.encode(old)))]
    )
    error = await fail(scene)
    assert isinstance(error, SealRefused | EngineError)
    assert scene.client.sealing._renewed == {}
    assert shows_nothing(scene)


async def test_forged_profile_in_a_refusal_is_an_offence(scene):
    forged = make_profile(scene.client, seq=9)
    for profile in (
        msgspec.structs.replace(forged, author=scene.server.author),
        forged,
        make_profile(scene.server, seq=9, by=draw("somebody")),
    ):
        scene.meddle = lambda asked, at, frame, profile=profile: (
            [frame] if asked or at else [encode_frame(Refuse(msgspec.msgpack.encode(profile)))]
        )
        await fail(scene)
        assert scene.client.sealing._renewed == {}


async def test_what_refusals_taught_is_bounded(scene, monkeypatch):
    monkeypatch.setattr("meshnode.serving.sealing.RENEWED_MAX", 1)
    other = await scene.net.add("other", ScriptedEngine(WORDS))
    directory = seal_streams(other, scene.published)
    scene.directory.own, directory.own = None, None
    for node, own in ((scene.server, scene.directory), (other, directory)):
        rotate(node, keep_ms=0)
        own.own = make_profile(node, seq=1)
        assert (await answer(scene.client, peer=node.name)).sealed
    assert [*scene.client.sealing._renewed] == [other.author]


async def test_answer_goes_on_when_the_key_rotates_under_it(scene):
    engine = gated("canary", slots=1)
    scene.server.desk.engine.script = engine.script
    engine.gate = scene.server.desk.engine.gate
    scene.server.desk.engine.script = ["canary", scene.server.desk.engine.gate, " on"]
    asking = asyncio.create_task(answer(scene.client))
    await until(lambda: len(scene.server.desk.engine.requests) == 1)
    rotate(scene.server, keep_ms=0)
    scene.server.desk.engine.gate.set()
    assert (await asking).text == "canary on"
