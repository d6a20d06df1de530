"""Deciding together: questions put to the mesh, answers to them, and changes of the committee."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from consensus.errors import InvalidCommittee, InvalidDecision
from consensus.proposal_rules import YES_NO, check_ballot, check_proposal
from consensus.protocol import ProfileName
from dag.bodies import (
    DECISION_DECODER,
    BallotBody,
    CommitteeChange,
    ExpulsionBody,
    ProposalBody,
    StakeChange,
)
from dag.canonical import encode
from dag.types import Kind
from meshnode.core.events import Committed
from meshnode.errors import CommandRejected, InvalidMessage, NodeClosed
from meshnode.node.decision_presenting import show_decision
from meshnode.node.presenting import show_vertex
from meshnode.public_text import check_public_text
from meshnode.shell.subscriptions import SubscriberLagged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consensus.ballots import ProposalRecord
    from meshnode.decision_views import DecisionInfo
    from meshnode.node.lookup import Lookup
    from meshnode.shell.runtime import Runtime
    from meshnode.shell.subscriptions import Subscription
    from meshnode.views import VertexInfo

DECISION_WAIT_MAX_MS: Final = 600_000
STATUSES: Final = ("open", "passed", "failed", "expired", "invalid", "rejected")


class DecisionDesk:
    """What a running node says and shows of decisions."""

    def __init__(self, runtime: Runtime, lookup: Lookup) -> None:
        self._runtime = runtime
        self._lookup = lookup

    def list_decisions(self, status: str | None) -> list[DecisionInfo]:
        """Every proposal that is remembered, newest first. Raises `CommandRejected`."""
        if status is not None and status not in STATUSES:
            raise CommandRejected(
                f"'{status}' is no state of a decision", hint=f"one of {', '.join(STATUSES)}"
            )
        names = self._lookup.list_names()
        records = sorted(
            self._runtime.decisions.list_proposals(),
            key=lambda record: record.opened_at,
            reverse=True,
        )
        return [
            show_decision(record, names)
            for record in records
            if status is None or record.status == status
        ]

    async def show(self, text: str, wait_ms: int) -> DecisionInfo:
        """One proposal, by its id or the beginning of it, closed if it closes within `wait_ms`.

        Raises `CommandRejected`.
        """
        if not 0 <= wait_ms <= DECISION_WAIT_MAX_MS:
            raise CommandRejected(
                f"{wait_ms} ms is no time to wait", hint=f"0 to {DECISION_WAIT_MAX_MS}"
            )
        if wait_ms and not self._is_closed(text):
            await self._wait_closed(text, wait_ms)
        record = self._find(text)
        if record is None:
            raise CommandRejected(
                f"no decision begins with '{text[:80]}'",
                hint="`meshnode decide list` lists them; a new one is there once it is final",
            )
        return show_decision(record, self._lookup.list_names())

    async def propose(
        self,
        question: str,
        *,
        options: Sequence[str],
        closes_in_ms: int,
        electorate: str,
        threshold: str,
    ) -> VertexInfo:
        """Put a question. Raises `CommandRejected`."""
        if electorate not in get_args(Literal["stake", "members"]):
            raise CommandRejected(
                f"'{electorate}' is no electorate", hint="choose 'members' or 'stake'"
            )
        numerator, denominator = _read_threshold(threshold)
        body = ProposalBody(
            question=question,
            options=tuple(options),
            deadline_ms=self._runtime.now_ms() + closes_in_ms,
            electorate=cast('Literal["stake", "members"]', electorate),
            threshold_num=numerator,
            threshold_den=denominator,
        )
        return await self._publish(body)

    async def propose_committee(
        self,
        stakes: Mapping[str, int],
        *,
        profile: str | None,
        gc_commits: int | None,
        question: str | None,
        closes_in_ms: int,
    ) -> VertexInfo:
        """Ask for another committee. Raises `CommandRejected` for one that no epoch can have."""
        found = {self._lookup.find_author(text): stake for text, stake in stakes.items()}
        change = CommitteeChange(
            tuple(StakeChange(author, stake) for author, stake in sorted(found.items())),
            _read_profile(profile),
            gc_commits or 0,
        )
        num, den = self._runtime.decisions.change_threshold
        body = ProposalBody(
            question=question or _describe_change(change, self._lookup.list_names()),
            options=YES_NO,
            deadline_ms=self._runtime.now_ms() + closes_in_ms,
            electorate="stake",
            threshold_num=num,
            threshold_den=den,
            action=change,
        )
        _check(body)
        try:
            self._runtime.decisions.check_change(change)
        except InvalidCommittee as error:
            raise CommandRejected(
                f"this makes no committee: {error.message}", hint="`meshnode validators list`"
            ) from None
        self._refuse_twice(change)
        return await self._publish(body)

    async def vote(self, text: str, option: str, *, reason: str) -> VertexInfo:
        """Answer a question. Raises `CommandRejected`."""
        record = self._find(text)
        knowledge: tuple[bytes, ...] = ()
        if record is None:
            proposal_id, body = await self._find_unordered(text)
            # The ballot stands on what it answers, so that no commit puts it out first.
            knowledge = (proposal_id,)
        elif record.status != "open":
            raise CommandRejected(
                f"this decision is closed: {record.status}",
                hint=f"`meshnode decide show {record.id.hex()[:8]}` shows how it ended",
            )
        else:
            proposal_id, body = record.id, record.body
        self._check_vote(body)
        return await self._publish(
            BallotBody(proposal_id, _find_option(body, option), reason), knowledge
        )

    # --- inside ----------------------------------------------------------------------------------

    async def _wait_closed(self, text: str, wait_ms: int) -> None:
        """Until a proposal has closed, or the time is over."""
        try:
            async with asyncio.timeout(wait_ms / 1_000):
                while True:
                    try:
                        async with self._runtime.events() as events:
                            await self._follow(text, events)
                        return
                    except SubscriberLagged:
                        continue
        except TimeoutError:
            return  # how it stands then is the answer

    async def _follow(self, text: str, events: Subscription) -> None:
        if self._is_closed(text):
            return
        async for event in events:
            if isinstance(event, Committed) and self._is_closed(text):
                return
        raise NodeClosed("the node ended while it was waited for", hint="open it again")

    def _is_closed(self, text: str) -> bool:
        record = self._find(text)
        return record is not None and record.status != "open"

    async def _publish(
        self, body: ProposalBody | BallotBody, knowledge: tuple[bytes, ...] = ()
    ) -> VertexInfo:
        _check(body)
        texts = (body.reason,) if isinstance(body, BallotBody) else (body.question, *body.options)
        check_public_text("what you say", *texts)
        signed = await self._runtime.publish(Kind.DECISION, encode(body), knowledge)
        return show_vertex(signed, self._lookup.list_names())

    def _find(self, text: str) -> ProposalRecord | None:
        """The one proposal whose id begins so, None if there is none. Raises `CommandRejected`."""
        prefix = text.lower()
        found = [
            record
            for record in self._runtime.decisions.list_proposals()
            if prefix and record.id.hex().startswith(prefix)
        ]
        if len(found) > 1:
            raise CommandRejected(
                f"{len(found)} decisions begin with '{prefix}'", hint="give more digits"
            )
        return found[0] if found else None

    async def _find_unordered(self, text: str) -> tuple[bytes, ProposalBody]:
        """A proposal that is stored, and in no commit yet."""
        signed = await self._lookup.find_vertex(text)
        try:
            body = DECISION_DECODER.decode(signed.vertex.body)
        except InvalidMessage:
            body = None
        if isinstance(body, ExpulsionBody):
            body = self._runtime.decisions.describe_expulsion(body)
        if signed.vertex.kind != Kind.DECISION or not isinstance(body, ProposalBody):
            raise CommandRejected(
                f"vertex {signed.id.hex()[:8]} is no proposal",
                hint="`meshnode decide list` lists the open ones",
            )
        return signed.id, body

    def _refuse_twice(self, change: CommitteeChange) -> None:
        """Votes on one change must not be split over two proposals."""
        for record in self._runtime.decisions.list_proposals():
            if record.status == "open" and record.body.action == change:
                short = record.id.hex()[:8]
                raise CommandRejected(
                    f"decision {short} asks for this already",
                    hint=f"answer it with `meshnode decide vote {short} yes`",
                )

    def _check_vote(self, body: ProposalBody) -> None:
        if not self._runtime.decisions.weigh(body, self._runtime.author):
            needs = "a seat in the committee" if body.electorate == "stake" else "membership"
            raise CommandRejected(
                f"this node has no vote on it: a ballot needs {needs}",
                hint="`meshnode validators list` shows who decides",
            )


def _check(body: ProposalBody | BallotBody) -> None:
    try:
        if isinstance(body, BallotBody):
            check_ballot(body)
        else:
            check_proposal(body)
    except InvalidDecision as error:
        raise CommandRejected(error.message) from None


def _read_threshold(text: str) -> tuple[int, int]:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise CommandRejected(
            f"'{text}' is no threshold", hint="give a part of the whole, such as 1/2 or 2/3"
        ) from None
    return value.numerator, value.denominator


def _read_profile(name: str | None) -> Literal["", "bft3", "bft5", "cft"]:
    for known in get_args(ProfileName):
        if name == known:
            return cast("ProfileName", known)
    if name:
        raise CommandRejected(
            f"there is no profile '{name}'", hint=f"one of {', '.join(get_args(ProfileName))}"
        )
    return ""


def _find_option(body: ProposalBody, text: str) -> int:
    """The option with this text, or whose text begins so, or of this number counted from 1."""
    folded = text.strip().casefold()
    options = [option.casefold() for option in body.options]
    if folded in options:
        return options.index(folded)
    found = [
        number for number, option in enumerate(options) if folded and option.startswith(folded)
    ]
    if len(found) == 1:
        return found[0]
    if folded.isdecimal() and len(folded) < 3 and 1 <= int(folded) <= len(options):
        return int(folded) - 1
    raise CommandRejected(
        f"'{text[:80]}' is no option", hint=f"choose one of: {', '.join(body.options)}"
    )


def _describe_change(change: CommitteeChange, names: Mapping[bytes, str]) -> str:
    parts = []
    for item in change.stakes:
        name = f"{names.get(item.author) or 'member'} ({item.author.hex()[:8]})"
        parts.append(f"stake {item.stake} for {name}" if item.stake else f"no seat for {name}")
    if change.profile:
        parts.append(f"profile {change.profile}")
    if change.gc_commits:
        parts.append(f"gc_commits {change.gc_commits}")
    text = f"Change the committee: {', '.join(parts) or 'nothing'}?"
    return text if len(text) <= 500 else f"{text[:499]}…"
