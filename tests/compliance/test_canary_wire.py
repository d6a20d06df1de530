"""A provider's key and the wire: all that two nodes send each other is kept, and looked through."""

from __future__ import annotations

import pytest

from meshnode.engines.registry import create_engine
from meshnode.errors import MeshError
from meshnode.secret import Secret
from meshnode.testing import mesh, wait_for_equal_heads
from meshnode.transport.session import Session
from tests.support.kimi_provider import KEY, kimi_provider

CANARY = b"canaryPlatform"
QUESTION = "What does the line carry?"


@pytest.fixture
def carried(monkeypatch):
    """Everything that any node is sent, in the clear, as it is before and after encryption."""
    pieces: list[bytes] = []
    feed = Session.feed

    def keep(self, link, data):
        pieces.append(bytes(data))
        return feed(self, link, data)

    monkeypatch.setattr(Session, "feed", keep)
    return pieces


async def test_key_never_crosses_the_wire_and_what_it_bought_does(carried):
    with kimi_provider() as provider:
        options = {"base_url": provider.base_url, "api_key": KEY, "retries_max": 0}
        engine = create_engine("moonshot", options)
        async with mesh(2, engine=[engine, None], suite="ed25519") as (owner, other):
            answer = await owner.ask(QUESTION)
            await wait_for_equal_heads([owner, other])
            provider.refusals.append((401, {"type": "x", "message": f"bad key {KEY}"}))
            with pytest.raises(MeshError) as caught:
                await owner.ask(QUESTION)
            with pytest.raises(MeshError) as refused:
                await other.ask(QUESTION)
            await owner.publish("a note")
            await wait_for_equal_heads([owner, other])
    assert f"Bearer {KEY}" in provider.authorizations
    sent = b"".join(carried)
    assert answer.text.encode() in sent
    assert CANARY not in sent
    assert "canaryPlatform" not in f"{caught.value} {refused.value} {Secret(KEY)!r}"
