"""The router of a whole node: what it explains, what it writes down, what a question may ask of it."""

from __future__ import annotations

import pytest

from meshnode.errors import CommandRejected, PolicyRefused
from meshnode.node.asking import _read_terms
from meshnode.testing import mesh
from tests.support.serving_net import ScriptedEngine


async def test_node_explains_where_a_question_goes_and_writes_down_where_it_went():
    async with mesh(2, engine=["echo", None], suite="ed25519") as nodes:
        host, asker = nodes
        found = await asker.route("hello")
        assert found.chosen == host.peer_id
        (candidate,) = found.candidates
        assert (candidate.author, candidate.local, candidate.eligible) == (host.author, False, True)
        assert candidate.cost_us >= candidate.prefill_us + candidate.decode_us > 0
        assert await asker.placements() == []
        await asker.ask("hello", extra={"meshnode": {"private": True, "on_break": "continue"}})
        (asked,) = await asker.placements()
        assert (asked.role, asked.owner, asked.allowed) == ("asking", host.author, True)
        (served,) = await host.placements()
        assert (served.role, served.requester) == ("serving", asker.author)
        own = (await host.route()).candidates[0]
        assert (own.local, own.author) == (True, host.author)
        with pytest.raises(CommandRejected, match="2000 placements"):
            await asker.placements(limit=2_000)


async def test_foreign_question_ends_in_a_policy_error_when_there_are_only_accounts():
    account = ScriptedEngine(shareable=False, name="moonshot")
    async with mesh(2, engine=[account, None], suite="ed25519") as nodes:
        owner, asker = nodes
        with pytest.raises(PolicyRefused):
            await asker.ask("hello")
        assert (await owner.ask("hello")).local
    assert len(account.requests) == 1


@pytest.mark.parametrize("terms", [7, {"private": 1}, {"on_break": "hope"}, {"other": True}])
def test_terms_that_nobody_knows_are_refused(terms):
    with pytest.raises(CommandRejected, match="'meshnode' cannot be used"):
        _read_terms(terms)
