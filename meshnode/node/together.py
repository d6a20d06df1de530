"""Questions that several answer, asked through this node's desk."""

from __future__ import annotations

import secrets
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dag.types import Kind
from meshnode.errors import CommandRejected
from meshnode.serving.question import check_question, encode_request
from meshnode.serving.results import Reasoning, choose_share, make_result_body
from meshnode.together.conversation import Conversation
from meshnode.together.port import Serving
from meshnode.together.prompts import get_bytes_max
from meshnode.views import Answer, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from meshnode.node.asking import QuestionDesk
    from meshnode.serving.question import Question
    from meshnode.together.plan import Plan
    from meshnode.together.port import Outcome, Turn
    from meshnode.trading.purchase import Wish
    from meshnode.views import StreamItem

VOTE_MODEL: Final = "vote"
VOTE_ENGINE: Final = "together"
"""No model has written the outcome of a vote: its result says so."""
_DRAW_BITS: Final = 64
_WITH_TOOLS: Final = ("tools", "functions")


class Turns:
    """The questions of one conversation; the port of `meshnode.together`."""

    def __init__(self, desk: QuestionDesk, question: Question, wish: Wish | None) -> None:
        self._desk = desk
        self._question = question
        self._wish = wish

    @property
    def messages(self) -> Sequence[dict[str, Any]]:
        """What the person asked, context included."""
        messages: Sequence[dict[str, Any]] = self._question.request["messages"]
        return messages

    @property
    def timeout_ms(self) -> int:
        """For the whole."""
        return self._question.timeout_ms

    @property
    def spend_uruv(self) -> int | None:
        """For the whole."""
        return None if self._wish is None else self._wish.max_spend_uruv

    def read_clock_ms(self) -> int:
        """Milliseconds that never go back."""
        return self._desk.port.read_clock_ms()

    def draw(self) -> int:
        """Chance."""
        return secrets.randbits(_DRAW_BITS)

    def list_serving(self) -> list[Serving]:
        """Who can answer, the cheapest first; nobody where the market finds who does."""
        if self._wish is not None:
            return []
        _, decision = self._desk.explain(self._question)
        eligible = [each for each in decision.candidates if each.obstacle is None]
        eligible.sort(key=lambda each: (each.is_suspect, each.cost_us, each.peer))
        return [Serving(peer=each.peer, name=each.name) for each in eligible]

    def get_bytes_max(self) -> int:
        """How many bytes of others' answers can be put before a model."""
        return get_bytes_max(self._desk.find_context_tokens(self._question.model))

    async def stream(self, turn: Turn) -> AsyncGenerator[StreamItem, None]:
        """Ask a question; the items and errors are those of a single one."""
        question, wish = self._question, self._wish
        request = {**question.request, "messages": list(turn.messages)}
        seed = request.get("seed")
        if turn.sample and isinstance(seed, int):
            request["seed"] = seed + turn.sample
        known = question.knowledge
        if turn.parents is not None:
            known = tuple(bytes.fromhex(each) for each in turn.parents)
        asked = replace(
            question,
            request=request,
            knowledge=known,
            peer=turn.peer or question.peer,
            timeout_ms=turn.timeout_ms,
        )
        if wish is not None and turn.spend_uruv is not None:
            wish = replace(wish, max_spend_uruv=turn.spend_uruv)

        async def make_question() -> Question:
            return asked

        async with aclosing(self._desk.stream_watched(make_question, wish)) as items:
            async for item in items:
                yield item

    async def publish(self, outcome: Outcome) -> Answer:
        """Sign the outcome of a vote: a result of this node, built on the answers."""
        port, question, ballot = self._desk.port, self._question, outcome.ballot
        reasoning = Reasoning(
            body=encode_request({**question.request, "model": VOTE_MODEL}),
            requester=port.author,
            model=f"{VOTE_MODEL} {ballot.votes}/{ballot.voters}",
            model_revision="",
            engine=VOTE_ENGINE,
            content=outcome.text,
            finish_reason=outcome.finish_reason,
            prompt_tokens=0,
            completion_tokens=0,
            queued_ms=0,
            first_token_ms=outcome.total_ms,
            total_ms=outcome.total_ms,
        )
        body, share = await make_result_body(
            port, reasoning, choose_share(port.share, question.share)
        )
        parents = tuple(bytes.fromhex(each) for each in outcome.parents)
        signed = await port.publish(Kind.RESULT, body, parents)
        return Answer(
            text=outcome.text,
            model=reasoning.model,
            engine=VOTE_ENGINE,
            author=port.author.hex(),
            peer=port.peer,
            name=port.name,
            local=True,
            share=share,
            vertex=signed.id.hex(),
            lamport=signed.vertex.lamport,
            verified=True,
            finish_reason=outcome.finish_reason,
            usage=Usage(prompt_tokens=0, completion_tokens=0),
            queued_ms=0,
            first_token_ms=outcome.total_ms,
            total_ms=outcome.total_ms,
        )


async def stream_together(
    desk: QuestionDesk, question: Question, wish: Wish | None, plan: Plan
) -> AsyncGenerator[StreamItem, None]:
    """The answer of several. Raises what `Conversation.stream` and a single question raise."""
    check_question(question)
    if any(question.request.get(name) for name in _WITH_TOOLS):
        raise CommandRejected(
            "several cannot answer a question with tools: calls are not compared",
            hint="ask without tools, or a single peer",
        )
    if question.request.get("n") not in (None, 1):
        raise CommandRejected(
            "several answers of each of several", hint="leave out either 'n' or the ensemble"
        )
    async with aclosing(Conversation(Turns(desk, question, wish), plan).stream()) as items:
        async for item in items:
            yield item
