"""A question that several answer: first answers, rounds of revision, and one conclusion.

Everybody is asked at once in each round. Who fails is left out, who fails in a revision is taken by
its answer before; two answers are the least. Every answer is a result of its own, and names those
it was made from as parents, down to the one that is given in the end.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from meshnode.engines.chunks import delta_chunk
from meshnode.errors import AnswerInterrupted, CommandRejected, DeadlineExceeded, MeshError
from meshnode.together.errors import TooFewAnswers
from meshnode.together.plan import SEATS_MIN, Plan, seat_peers
from meshnode.together.port import Outcome, Turn, TurnPort
from meshnode.together.prompts import insert_system, make_judge_text, make_revision_text
from meshnode.together.speaker import (
    FIRST_STAGE,
    Speaker,
    Spoken,
    describe,
    make_contribution,
    take_turn,
)
from meshnode.together.voting import Ballot, vote
from meshnode.views import (
    Answer,
    Contribution,
    Delta,
    Finished,
    Progress,
    Started,
    Together,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from meshnode.views import StreamItem


class _Answered(NamedTuple):
    """A seat that has an answer."""

    speaker: Speaker
    answer: Answer


class Conversation:
    """One question, answered together."""

    def __init__(self, port: TurnPort, plan: Plan) -> None:
        self._port = port
        self._plan = plan
        self._started_ms = port.read_clock_ms()
        self._speakers: list[Speaker] = []
        self._contributions: list[Contribution] = []
        self._notes: list[str] = []
        self._ballot: Ballot | None = None

    async def stream(self) -> AsyncGenerator[StreamItem, None]:
        """`Progress` items, then the answer as of a single question.

        Closing the iterator, or cancelling who reads it, ends everybody's work. Raises
        `TooFewAnswers` where one alone answered, and the first failure where nobody did.
        """
        for note in self._seat():
            yield self._note(note)
        for stage in range(1 + self._plan.rounds):
            async with aclosing(self._run_round(stage)) as round_:
                async for progress in round_:
                    yield progress
            self._check_enough()
        async with aclosing(self._conclude()) as items:
            async for item in items:
                yield item

    # --- seats -----------------------------------------------------------------------------------

    def _seat(self) -> list[str]:
        """Find who takes part; returns what differs from what was asked for."""
        serving = self._port.list_serving()
        names = {each.peer: each.name for each in serving}
        seats = self._plan.seats
        if self._port.spend_uruv is not None and (
            self._plan.share_spend(0, self._port.spend_uruv) < 1
        ):
            raise CommandRejected(
                f"{self._port.spend_uruv} micro-ruv cannot be shared out among "
                f"{self._plan.count_queries(0)} questions",
                hint="allow more, or ask fewer",
            )
        for seat, peer in enumerate(seat_peers(list(names), seats)):
            sample = seat // len(names) if names else 0
            self._speakers.append(Speaker(seat, peer, names.get(peer, ""), sample))
        if not names or len(names) >= seats:
            return []
        who = "1 peer serves" if len(names) == 1 else f"{len(names)} peers serve"
        return [f"{who} this, so the {seats} answers are samples of {', '.join(names.values())}"]

    def _note(self, note: str) -> Progress:
        self._notes.append(note)
        return Progress(stage="note", state="", detail=note)

    # --- rounds ----------------------------------------------------------------------------------

    async def _run_round(self, stage: int) -> AsyncGenerator[Progress, None]:
        """Let everybody who is still there speak, at once."""
        turns = self._make_turns(stage)
        for turn in turns:
            yield self._announce(turn)
        ended: asyncio.Queue[None] = asyncio.Queue()
        tasks = [
            asyncio.create_task(
                take_turn(self._port, turn, self._speakers[turn.seat].name),
                name=f"{turn.stage} of seat {turn.seat + 1}",
            )
            for turn in turns
        ]
        for task in tasks:
            task.add_done_callback(lambda _: ended.put_nowait(None))
        try:
            pending = list(tasks)
            while pending:
                await ended.get()
                done = [task for task in pending if task.done()]
                pending = [task for task in pending if not task.done()]
                for task in done:
                    yield self._take(task.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _make_turns(self, stage: int) -> list[Turn]:
        present = [speaker for speaker in self._speakers if not stage or speaker.answer]
        timeout_ms = self._plan.share_time_ms(stage, self._count_left_ms())
        spend_uruv = self._share_spend(stage)
        parents = self._list_parents() if stage else None
        return [
            Turn(
                stage="revision" if stage else FIRST_STAGE,
                round=stage,
                seat=speaker.seat,
                peer=speaker.peer,
                sample=speaker.sample,
                messages=self._make_messages(speaker) if stage else self._port.messages,
                parents=parents,
                timeout_ms=max(1, timeout_ms),
                spend_uruv=spend_uruv,
            )
            for speaker in present
        ]

    def _make_messages(self, speaker: Speaker) -> list[dict[str, object]]:
        assert speaker.answer is not None, "only who answered revises"
        answered = self._list_answered()
        others = [each.answer.text for each in answered if each.speaker is not speaker]
        text = make_revision_text(
            speaker.answer.text,
            others,
            draw=self._port.draw(),
            bytes_max=self._port.get_bytes_max(),
        )
        return insert_system(self._port.messages, text)

    def _announce(self, turn: Turn) -> Progress:
        name = self._speakers[turn.seat].name
        what = f"revises, round {turn.round}" if turn.round else "is asked"
        return Progress(
            stage=turn.stage,
            round=turn.round,
            seat=turn.seat,
            name=name,
            state="asked",
            detail=f"{name or f'whoever sells (seat {turn.seat + 1})'} {what}",
        )

    def _take(self, spoken: Spoken) -> Progress:
        speaker = self._speakers[spoken.turn.seat]
        self._contributions.append(spoken.contribution)
        if spoken.answer is not None:
            speaker.answer, speaker.name = spoken.answer, spoken.answer.name
        elif speaker.answer is not None:
            self._notes.append(f"{speaker.name} did not revise its answer, which stands")
        speaker.error = spoken.error
        return describe(spoken)

    def _check_enough(self) -> None:
        answered = self._list_answered()
        if len(answered) >= SEATS_MIN:
            return
        failed = [each for each in self._speakers if each.error is not None]
        if not answered:
            assert failed[0].error is not None, "who did not answer has failed"
            raise failed[0].error
        problems = dict.fromkeys(each.error.message for each in failed if each.error)
        raise TooFewAnswers(
            f"1 of {len(self._speakers)} answered, where {SEATS_MIN} are needed: "
            f"{'; '.join(problems)}",
            hint=f"its answer is vertex {answered[0].answer.vertex[:12]}; or ask again",
        )

    # --- the conclusion --------------------------------------------------------------------------

    async def _conclude(self) -> AsyncGenerator[StreamItem, None]:
        if self._plan.judge == "judge":
            failure: MeshError | None = None
            begun = False
            async with aclosing(self._ask_judge()) as items:
                try:
                    async for item in items:
                        begun = begun or isinstance(item, Started)
                        yield item
                except (AnswerInterrupted, DeadlineExceeded):
                    raise
                except MeshError as error:
                    if begun:
                        raise
                    failure = error
            if failure is None:
                return
            yield self._note(f"the judge failed ({failure.message}), so a vote decides")
        async with aclosing(self._vote()) as items:
            async for item in items:
                yield item

    async def _ask_judge(self) -> AsyncGenerator[StreamItem, None]:
        stage = 1 + self._plan.rounds
        answered = self._list_answered()
        text = make_judge_text(
            [each.answer.text for each in answered],
            draw=self._port.draw(),
            bytes_max=self._port.get_bytes_max(),
        )
        turn = Turn(
            stage="judge",
            round=stage,
            seat=len(self._speakers),
            peer="",
            sample=0,
            messages=insert_system(self._port.messages, text),
            parents=self._list_parents(),
            timeout_ms=self._count_left_ms(),
            spend_uruv=self._share_spend(stage),
        )
        yield Progress(
            stage="judge", round=stage, state="asked", detail=f"{len(answered)} answers are judged"
        )
        async with aclosing(self._port.stream(turn)) as items:
            async for item in items:
                if isinstance(item, Finished):
                    self._contributions.append(make_contribution(turn, item.answer))
                    yield Finished(answer=self._sum_up(item.answer, "judge"))
                else:
                    yield item

    async def _vote(self) -> AsyncGenerator[StreamItem, None]:
        answered = self._list_answered()
        self._ballot = ballot = vote([each.answer.text for each in answered])
        chosen = answered[ballot.winner].answer
        detail = f"{ballot.votes} of {ballot.voters} answers agree"
        if ballot.tied:
            detail += "; others are as many, so what the rest says most alike decides"
        yield Progress(stage="vote", state="answered", detail=detail)
        answer = await self._port.publish(
            Outcome(
                text=chosen.text,
                finish_reason=chosen.finish_reason,
                ballot=ballot,
                parents=self._list_parents(),
                total_ms=self._count_passed_ms(),
            )
        )
        yield Started(
            model=answer.model,
            engine=answer.engine,
            author=answer.author,
            peer=answer.peer,
            name=answer.name,
            local=answer.local,
        )
        chunk = delta_chunk(answer.vertex, answer.model, {"content": answer.text})
        yield Delta(text=answer.text, chunk=chunk)
        yield Finished(answer=self._sum_up(answer, "vote"))

    def _sum_up(self, answer: Answer, method: str) -> Answer:
        """The answer that is given, with what it took."""
        ballot = self._ballot
        parts = tuple(self._contributions)
        answers = [part for part in parts if not part.problem]
        total_ms = self._count_passed_ms()
        return replace(
            answer,
            usage=Usage(
                prompt_tokens=_sum(part.usage.prompt_tokens for part in answers),
                completion_tokens=_sum(part.usage.completion_tokens for part in answers),
            ),
            first_token_ms=max(0, total_ms - answer.total_ms + answer.first_token_ms),
            total_ms=total_ms,
            together=Together(
                method=method,
                rounds=self._plan.rounds,
                contributions=parts,
                cost_uruv=sum(part.cost_uruv for part in parts),
                votes=None if ballot is None else ballot.votes,
                voters=None if ballot is None else ballot.voters,
                notes=tuple(self._notes),
            ),
        )

    # --- shares ----------------------------------------------------------------------------------

    def _list_answered(self) -> list[_Answered]:
        return [
            _Answered(speaker, speaker.answer)
            for speaker in self._speakers
            if speaker.answer is not None
        ]

    def _list_parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.answer.vertex for each in self._list_answered()))

    def _share_spend(self, stage: int) -> int | None:
        total_uruv = self._port.spend_uruv
        if total_uruv is None:
            return None
        spent_uruv = sum(part.cost_uruv for part in self._contributions)
        return self._plan.share_spend(stage, total_uruv - spent_uruv)

    def _count_passed_ms(self) -> int:
        return self._port.read_clock_ms() - self._started_ms

    def _count_left_ms(self) -> int:
        left_ms = self._port.timeout_ms - self._count_passed_ms()
        if left_ms <= 0:
            raise DeadlineExceeded(
                f"no answer within {self._port.timeout_ms} ms", hint="allow more time for it"
            )
        return left_ms


def _sum(counts: Iterable[int | None]) -> int | None:
    """Tokens of all; None where an engine did not count."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
