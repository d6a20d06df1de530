"""Members through the HTTP interface: every argument arrives, every answer comes back."""

from __future__ import annotations

import pytest

from meshnode.client import connect
from meshnode.errors import MalformedMessage, MeshError
from tests.support.fake_node import INVITATION, MEMBER, VERTEX, open_gateway

DAY_MS = 24 * 3_600_000


@pytest.fixture
async def scene(tmp_path):
    async with open_gateway(tmp_path) as (host, _), connect(tmp_path) as node:
        yield host.node, node


async def test_members_are_read_as_the_node_shows_them(scene):
    fake, node = scene
    assert await node.members() == [MEMBER]
    assert fake.calls[-1] == ("members", (), {"standing": None})
    assert await node.members(standing="expelled") == [MEMBER]
    assert fake.calls[-1][2] == {"standing": "expelled"}
    assert await node.member("the attic") == MEMBER
    assert fake.calls[-1] == ("member", ("the attic",), {})


async def test_what_is_said_of_members_arrives_with_every_option(scene):
    fake, node = scene
    assert await node.expel("bob", reason="floods") == VERTEX
    assert fake.calls[-1] == (
        "expel",
        ("bob",),
        {"reason": "floods", "closes_in_ms": 7 * DAY_MS},
    )
    await node.expel("bob", reason="floods", closes_in_ms=5)
    assert fake.calls[-1][2]["closes_in_ms"] == 5
    assert await node.vouch("a/b") == VERTEX
    assert fake.calls[-1] == ("vouch", ("a/b",), {})
    assert await node.revoke_identity() == VERTEX
    assert await node.revoke_identity(reason="stolen") == VERTEX
    assert fake.calls[-1] == ("revoke_identity", (), {"reason": "stolen"})


async def test_invitations_are_read_and_taken_back(scene):
    fake, node = scene
    assert await node.invitations() == [INVITATION]
    assert await node.revoke_invitation("abab") == VERTEX
    assert fake.calls[-1] == ("revoke_invitation", ("abab",), {})


async def test_what_the_interface_cannot_take_is_refused(scene):
    _, node = scene
    for name in ("", "x" * 257):
        with pytest.raises(MalformedMessage, match="names nobody"):
            await node.member(name)
    with pytest.raises(MeshError):
        await node.expel("bob", reason="")
    with pytest.raises(MeshError):
        await node.expel("bob", reason="x" * 401)
