"""A conversation fits its context: the oldest exchanges go, the system prompt and question stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.context import measure
from meshnode.errors import CommandRejected
from meshnode.kimi import conversation
from meshnode.kimi.conversation import Conversation

texts = st.text(min_size=1, max_size=200)


@given(st.lists(st.tuples(texts, texts), max_size=12), texts, st.integers(200, 2_000))
def test_what_is_sent_fits_and_is_the_newest(exchanges, question, context_tokens):
    talk = Conversation("Be brief.")
    for asked, answered in exchanges:
        talk.remember(asked, answered)
    try:
        messages, forgotten = talk.ask(question, context_tokens=context_tokens, answer_tokens=100)
    except CommandRejected:
        assert measure([{"role": "user", "content": question}]).text_bytes // 3 > (
            context_tokens - 100 - 60
        )
        return
    kept = exchanges[forgotten:]
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert messages[-1] == {"role": "user", "content": question}
    assert [message["content"] for message in messages[1:-1]] == [
        text for exchange in kept for text in exchange
    ]
    assert measure(messages).text_bytes // 3 <= context_tokens - 100


def test_question_that_fits_nowhere_is_refused_and_harms_nothing():
    talk = Conversation()
    with pytest.raises(CommandRejected, match="where 0 fit"):
        talk.ask("Why?", context_tokens=50, answer_tokens=100)
    assert talk.messages == []
    assert not talk.forget_oldest()


def test_memory_is_bounded_and_can_be_cleared(monkeypatch):
    monkeypatch.setattr(conversation, "EXCHANGES_MAX", 2)
    talk = Conversation()
    for number in range(4):
        talk.remember(str(number), "yes")
    messages, forgotten = talk.ask("?", context_tokens=0, answer_tokens=100)
    assert (messages[0]["content"], forgotten) == ("2", 2)
    assert talk.forget_oldest()
    talk.reset()
    assert talk.messages == []
