"""Asking a node: of whoever serves, or, for a price, of whoever sells. A part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from consensus.member_records import describe_end
from dag.genesis import Share
from meshnode.errors import CommandRejected
from meshnode.node.context import make_context
from meshnode.node.measuring import QuestionMeter
from meshnode.node.together import stream_together
from meshnode.serving.question import Question
from meshnode.together.plan import make_plan
from meshnode.together.prompts import get_bytes_max, insert_system
from meshnode.trading.purchase import Wish
from meshnode.views import Answer, Finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from dag.vertex import SignedVertex
    from meshnode.node.blobs import Blobs
    from meshnode.node.lookup import Lookup
    from meshnode.node.port import RuntimePort
    from meshnode.routing.decision import Decision
    from meshnode.routing.query import Query
    from meshnode.serving.client import Asker
    from meshnode.serving.desk import Desk
    from meshnode.shell.runtime import Runtime
    from meshnode.together.plan import Plan
    from meshnode.trading.buying import Buyer
    from meshnode.views import StreamItem

    Messages = Sequence[Mapping[str, Any]]

ASK_TIMEOUT_MS: Final = 120_000
TERMS_FIELD: Final = "meshnode"
YOUNG_MS: Final = 10_000
SETTLE_MS: Final = 1_500
"""A question to a node younger than `YOUNG_MS` waits this long for its peers' adverts."""


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a paid answer is to be like; what is left out does not matter."""

    context_tokens: int | None = None
    sla_bp: int | None = None
    first_token_ms: int | None = None
    reputation_bp: int | None = None


class RouteTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a question may be placed: the field `meshnode` of a request, which nobody else sees."""

    private: bool = False
    """No digest of the prompt is compared with what peers report, and none is kept there."""
    on_break: Literal["error", "continue"] = "error"
    """Whether the same model elsewhere goes on with an answer that broke off, once."""
    tenant: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """Who asks here, such as the name of an API key."""


class QuestionDesk:
    """Puts questions together and gives them to who finds an answer."""

    def __init__(
        self,
        runtime: Runtime,
        lookup: Lookup,
        port: RuntimePort,
        asker: Asker,
        *,
        find_desk: Callable[[], Desk | None],
        find_buyer: Callable[[], Buyer | None],
    ) -> None:
        self._runtime = runtime
        self._lookup = lookup
        self._port = port
        self._asker = asker
        self._find_desk = find_desk
        self._find_buyer = find_buyer
        self._started_ms = runtime.now_ms()
        self._blobs: Blobs | None = None
        self.meter = QuestionMeter()
        """Counts what is asked through this node."""

    @property
    def port(self) -> RuntimePort:
        """The node, as questions see it."""
        return self._port

    def set_blobs(self, blobs: Blobs) -> None:
        """From now on vertices whose text is a blob can be built on."""
        self._blobs = blobs

    def set_asker(self, asker: Asker) -> None:
        """There is an engine now, so questions may be answered here."""
        self._asker = asker

    async def make_question(
        self,
        prompt: str | Messages,
        *,
        model: str,
        share: str | None,
        timeout_ms: int,
        knowledge: Sequence[str],
        peer: str | None,
        fields: Mapping[str, Any],
        context: Sequence[str] = (),
    ) -> Question:
        """A question as it is asked of anybody. Raises `CommandRejected`."""
        if peer:
            self._refuse_outsider(peer)
        await self._settle(model)
        used = await self._lookup.find_vertices(context)
        named = await self._lookup.find_vertices(knowledge)
        known = [signed for signed in named if signed.id not in {each.id for each in used}]
        text = ""
        if used or known:
            names, context_tokens = self._lookup.list_names(), self.find_context_tokens(model)
            texts = await self._read_blobs(used, known, context_tokens)
            text = make_context(used, known, names, context_tokens=context_tokens, texts=texts)
        given = {name: value for name, value in fields.items() if value is not None}
        terms = _read_terms(given.pop(TERMS_FIELD, None))
        return Question(
            request={**given, "messages": _make_messages(prompt, text)},
            model=model,
            share=_check_share(share),
            timeout_ms=timeout_ms,
            knowledge=tuple(signed.id for signed in (*used, *known)),
            peer=peer or "",
            private=terms.private,
            resume=terms.on_break == "continue",
            tenant=terms.tenant,
        )

    def _refuse_outsider(self, peer: str) -> None:
        """Say why somebody cannot be asked who is no member any more."""
        names = self._lookup.list_names()
        for author, record in self._runtime.roll.gone.items():
            if names.get(author) == peer or author.hex().startswith(peer.lower()):
                raise CommandRejected(
                    describe_end(record), hint="`meshnode member list` shows who takes part"
                )

    async def _read_blobs(
        self, used: Sequence[SignedVertex], known: Sequence[SignedVertex], context_tokens: int
    ) -> dict[bytes, str]:
        """What lies in blobs of that which a question builds on; what is named must be there."""
        if self._blobs is None:
            return {}
        bytes_max = get_bytes_max(context_tokens)
        read = self._blobs.read_texts
        found = await read(known, bytes_max=bytes_max, required=False)
        return found | await read(used, bytes_max=bytes_max, required=True)

    def explain(self, question: Question) -> tuple[Query, Decision]:
        """Where a question would go now, and why."""
        return self._asker.explain(question)

    def find_context_tokens(self, model: str) -> int:
        """The longest context in which a model is served; 0 where nobody says."""
        return self._asker.dispatcher.find_context_tokens(model)

    async def stream_watched(
        self, make_question: Callable[[], Awaitable[Question]], wish: Wish | None
    ) -> AsyncGenerator[StreamItem, None]:
        """The items of `stream`, counted as one question from before it is put together."""
        with self.meter.watch() as watched:
            async with aclosing(self.stream(await make_question(), wish)) as items:
                async for item in items:
                    watched.note(item)
                    yield item

    async def stream(
        self, question: Question, wish: Wish | None
    ) -> AsyncGenerator[StreamItem, None]:
        """The answer of whoever serves, or, with a wish, of whoever sells."""
        if wish is None:
            source = self._asker.stream(question)
        else:
            source = self._require_buyer(question).stream(question, wish)
        async with aclosing(source) as items:
            async for item in items:
                yield item

    def _require_buyer(self, question: Question) -> Buyer:
        if question.peer:
            raise CommandRejected(
                "a paid question goes to whoever sells, not to a peer of one's choice",
                hint="leave out either the peer or the price",
            )
        buyer = self._find_buyer()
        if buyer is None:
            raise CommandRejected("this node does not trade", hint="open it with open_node()")
        return buyer

    async def _settle(self, model: str) -> None:
        """Right after its start a node has yet to hear what others serve: give them a moment."""
        desk, runtime = self._find_desk(), self._runtime
        if desk is not None and desk.serves(model):
            return
        others = any(member.id != runtime.author for member in runtime.view().members)
        if others and runtime.now_ms() - self._started_ms < YOUNG_MS:
            await self._port.settle(timeout_ms=SETTLE_MS)


class AskingMethods(ABC):
    """Questions and answers."""

    @abstractmethod
    def _get_questions(self) -> QuestionDesk:
        """The node's desk. Raises `NodeClosed`."""

    async def ask(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> Answer:
        """Ask the mesh and wait for the whole answer; the arguments are those of `stream`."""
        items = self.stream(
            prompt,
            model=model,
            share=share,
            timeout_ms=timeout_ms,
            knowledge=knowledge,
            peer=peer,
            max_tokens=max_tokens,
            temperature=temperature,
            extra=extra,
            max_price_uruv=max_price_uruv,
            max_spend_uruv=max_spend_uruv,
            wishes=wishes,
            context=context,
            ensemble=ensemble,
            debate=debate,
            judge=judge,
        )
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Finished):
                    return item.answer
        raise AssertionError("a stream ends with `Finished` or an error")

    async def stream(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> AsyncGenerator[StreamItem, None]:
        """Ask the mesh and take the answer as it comes.

        Leaving the iterator, or cancelling who reads it, stops the work of whoever answers. With a
        price the answer is bought: a bid is placed at once, and what was delivered is paid.

        Args:
            prompt: A question, or a list of chat messages.
            model: A model's id, or `auto`; of a paid question also an instrument of the market.
            share: `digest` keeps the answer out of the result vertex.
            timeout_ms: For everything, from now to the last word.
            knowledge: Vertices it builds on: their text precedes it; parents of the result.
            peer: Ask only this one: its id, the start of it, or its name.
            max_tokens: Longest answer.
            temperature: As the model understands it.
            extra: Further fields of the request, passed on as they are.
            max_price_uruv: Pay at most so much per lot of 1,000 billed tokens.
            max_spend_uruv: Pay at most so much for the whole answer.
            wishes: Of the provider: `context_tokens`, `sla_bp`, `first_token_ms`, `reputation_bp`.
            context: As `knowledge`, but the text of each must be there, and fit.
            ensemble: So many peers (2 to 6) answer at once; limits are for the whole.
            debate: So many times (1 to 3) they see each other's answers and revise.
            judge: Who makes one answer of theirs: a further query (`judge`), or a `vote`.
        """
        desk = self._get_questions()
        plan = make_plan(ensemble, debate, judge)
        wish = make_wish(model, max_tokens, max_price_uruv, max_spend_uruv, wishes)
        make_question = partial(
            desk.make_question,
            prompt,
            model=model,
            share=share,
            timeout_ms=timeout_ms,
            knowledge=knowledge,
            peer=peer,
            fields={**(extra or {}), "max_tokens": max_tokens, "temperature": temperature},
            context=context,
        )
        async with aclosing(_stream(desk, make_question, wish, plan)) as items:
            async for item in items:
                yield item


async def _stream(
    desk: QuestionDesk,
    make_question: Callable[[], Awaitable[Question]],
    wish: Wish | None,
    plan: Plan | None,
) -> AsyncGenerator[StreamItem, None]:
    """The answer of one, or with a plan of several."""
    if plan is None:
        source = desk.stream_watched(make_question, wish)
    else:
        source = stream_together(desk, await make_question(), wish, plan)
    async with aclosing(source) as items:
        async for item in items:
            yield item


def make_wish(
    model: str,
    max_tokens: int | None,
    max_price_uruv: int | None,
    max_spend_uruv: int | None,
    wishes: Mapping[str, int] | None,
) -> Wish | None:
    """What is to be bought, None where nothing is. Raises `CommandRejected`."""
    try:
        wanted = msgspec.convert(dict(wishes or {}), Wishes)
    except msgspec.ValidationError as error:
        raise CommandRejected(
            f"the wishes cannot be used: {error}",
            hint=f"there are {', '.join(Wishes.__struct_fields__)}",
        ) from None
    if max_price_uruv is None:
        if max_spend_uruv is not None or wishes:
            raise CommandRejected(
                "a paid question needs its highest price", hint="give max_price_uruv"
            )
        return None
    return Wish(
        max_price_uruv=max_price_uruv,
        max_spend_uruv=max_spend_uruv,
        model=model,
        answer_tokens=max_tokens,
        **msgspec.structs.asdict(wanted),
    )


def _read_terms(data: object) -> RouteTerms:
    try:
        return RouteTerms() if data is None else msgspec.convert(data, RouteTerms)
    except msgspec.ValidationError as error:
        raise CommandRejected(
            f"'{TERMS_FIELD}' cannot be used: {error}",
            hint=f"there are {', '.join(RouteTerms.__struct_fields__)}",
        ) from None


def _check_share(share: str | None) -> Share:
    match share:
        case None | "full":
            return "full"
        case "digest":
            return "digest"
        case _:
            raise CommandRejected(f"share is '{share}'", hint="choose 'full' or 'digest'")


def _make_messages(prompt: str | Messages, context: str) -> list[Any]:
    messages: Messages = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    )
    if not context:
        return list(messages)
    return insert_system(messages, context)
