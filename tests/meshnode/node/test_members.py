"""Real nodes over the real transport: who is expelled is out everywhere, and is told why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshnode.errors import CommandRejected, MeshError
from meshnode.event_views import MemberOut
from meshnode.testing import mesh

LIMIT_S = 60


async def wait_for(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await condition():  # noqa: ASYNC110 - several nodes come to it, in their own time
            await asyncio.sleep(0.02)


async def has_expelled(nodes, author: str) -> bool:
    return all([(await node.member(author)).standing == "expelled" for node in nodes])


async def sees_none(nodes, author: str = "") -> bool:
    """Whether none of these nodes has a connection to an author, or to anybody."""
    for node in nodes:
        ready = [peer.author for peer in await node.peers() if peer.ready]
        if author in ready or (ready and not author):
            return False
    return True


async def has_seen(nodes, decision: str) -> bool:
    return all([decision in [one.id for one in await node.decisions()] for node in nodes])


async def test_expelled_node_is_out_everywhere_and_stays_out_and_is_told_why():
    async with mesh(4, engine="echo", suite="ed25519", transport="libp2p") as nodes:
        *honest, out = nodes
        assert (await honest[0].ask("hello", peer=out.author)).author == out.author
        question = await honest[0].expel(out.author[:12], reason="it floods the mesh")
        await wait_for(lambda: has_seen(honest, question.id))
        with pytest.raises(CommandRejected, match="asks for this already"):
            await honest[1].expel(out.name, reason="again")
        for node in honest:
            await node.vote(question.id, "yes")
        await wait_for(lambda: has_expelled(honest, out.author))
        shown = await honest[1].member(out.author)
        assert (shown.reason, shown.cause) == ("it floods the mesh", question.id)
        await wait_for(lambda: sees_none(honest, out.author))
        await wait_for(lambda: sees_none([out]))
        with pytest.raises(MeshError, match="expelled by decision"):
            await honest[0].ask("hello", peer=out.author)
        await wait_for(lambda: is_told(out, "it floods the mesh"))
        # It dials again, is let in nowhere, and the others go on without it.
        note = await honest[2].publish("we go on")
        place = await honest[0].finality(note.id, wait_ms=LIMIT_S * 1_000)
        assert place.final
        assert await sees_none(honest, out.author)
        assert [one.author for one in await honest[0].members(standing="expelled")] == [out.author]


async def is_told(node, reason: str) -> bool:
    return any(reason in problem for problem in (await node.status()).problems)


async def test_expulsion_is_answered_before_it_is_in_order():
    async with mesh(2, engine=lambda _: None, suite="ed25519") as nodes:
        question = await nodes[0].expel(nodes[1].author, reason="floods")
        await nodes[0].vote(question.id, "yes")
        await wait_for(lambda: has_ballots(nodes[:1], question.id))


async def has_ballots(nodes, decision: str) -> bool:
    found = [one for node in nodes for one in await node.decisions() if one.id == decision]
    return bool(found) and all(one.ballots for one in found)


async def test_node_that_ends_its_identity_says_nothing_more_and_others_hear_of_it():
    async with mesh(3, engine=lambda _: None, suite="ed25519") as nodes:
        seen: list[MemberOut] = []

        async def follow() -> None:
            async for event in nodes[0].events():
                if isinstance(event, MemberOut):
                    seen.append(event)
                    return

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await nodes[2].revoke_identity(reason="stolen")
        async with asyncio.timeout(LIMIT_S):
            await following
        assert seen[0].author == nodes[2].author
        assert "revoked its own identity" in seen[0].reason
        with pytest.raises(CommandRejected, match="no member"):
            await nodes[0].expel(nodes[2].author, reason="again")


async def test_invitation_is_listed_and_taken_back():
    async with mesh(1, engine=lambda _: None, suite="ed25519") as (node,):
        assert await node.invitations() == []
        await node.invite(uses=3)
        await node.invite(expires_in_ms=0)
        first, second = await node.invitations()
        assert (first.uses, first.role, first.used_by, second.expires_ms) == (3, "peer", (), None)
        await node.revoke_invitation(first.key[:10])

        async def is_revoked() -> bool:
            return any(one.revoked_at for one in await node.invitations())

        await wait_for(is_revoked)
        left, revoked = await node.invitations()
        assert left.key == second.key
        assert (revoked.key, revoked.uses) == (first.key, 0)
        assert revoked.revoked_at is not None
        for text, problem in ((first.key, "was taken back"), ("zz", "no such one")):
            with pytest.raises(CommandRejected, match=problem):
                await node.revoke_invitation(text)


async def test_what_cannot_be_is_refused_at_once():
    async with mesh(1, engine=lambda _: None, suite="ed25519") as (node,):
        with pytest.raises(CommandRejected, match="only validator"):
            await node.revoke_identity()
        with pytest.raises(CommandRejected, match="nobody would have a seat"):
            await node.expel(node.author, reason="why not")
        with pytest.raises(CommandRejected, match="by invitation only"):
            await node.invite(role="open")
        with pytest.raises(CommandRejected, match="no newcomer"):
            await node.vouch(node.author)
        with pytest.raises(CommandRejected, match="no standing"):
            await node.members(standing="tall")
        with pytest.raises(CommandRejected, match="characters"):
            await node.expel(node.author, reason="")
        assert (await node.member(node.name)).founder
