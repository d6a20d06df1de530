"""What two real nodes hand their transport: question and answer stand in none of it, if sealed."""

from __future__ import annotations

import pytest

from meshnode.testing import mesh
from meshnode.transport.session import Session

QUESTION = "canaryOfTheQuestion says"
"""The echo engine says it back, so it is in the answer, too."""


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


def was_carried(pieces, word):
    """Whether a word crossed the wire, also where a chunk of the answer holds it alone."""
    sent = b"".join(pieces)
    return word.encode() in sent


@pytest.mark.parametrize("suite", ["hybrid", "ed25519"])
async def test_question_and_answer_cross_the_wire_sealed_where_members_have_keys(carried, suite):
    async with mesh(2, engine=[None, "echo"], share="digest", suite=suite) as (asker, server):
        answer = await asker.ask(QUESTION)
        asked, answered = (await asker.status()).sealing, (await server.status()).sealing
    sealed = suite == "hybrid"
    assert "canaryOfTheQuestion" in answer.text
    assert answer.sealed is sealed
    # Without keys everything is there to be read: so what is kept here is what crosses the wire.
    assert was_carried(carried, QUESTION) is not sealed
    assert was_carried(carried, "canaryOfTheQuestion") is not sealed
    assert was_carried(carried, "chat.completion.chunk") is not sealed
    if sealed:
        assert asked is not None and answered is not None
        assert (asked.asked, answered.answered, answered.refused) == (1, 1, 0)
        assert asked.key != answered.key
    else:
        assert asked is answered is None
