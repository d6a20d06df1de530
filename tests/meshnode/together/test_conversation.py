"""Conversations over peers that answer from a script: who is asked what, and what comes of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    MeshError,
    NoPeerServes,
)
from meshnode.together.conversation import Conversation
from meshnode.together.errors import TooFewAnswers
from meshnode.together.plan import Plan
from meshnode.together.port import Serving
from meshnode.views import Delta, Finished, Payment, Progress, Started, Usage
from tests.support.views import make_answer, make_id

QUESTION = [{"role": "user", "content": "Where?"}]
ENSEMBLE = Plan(seats=3, rounds=0, judge="judge")
VOTE = Plan(seats=3, rounds=0, judge="vote")
PEERS = ("ada", "bob", "cyd")


def pay(cost_uruv: int) -> Payment:
    return Payment(
        contract="c", provider="p", provider_name="p", price_uruv=1, lots=1, tokens_in=1,
        tokens_out=1, tokens_billed=2, cost_uruv=cost_uruv, receipts=1, transcript_root="r",
    )  # fmt: skip


class ScriptedPort:
    """Each peer, and the judge, says the next of its lines; errors are raised, None waits."""

    def __init__(self, lines, *, peers=PEERS, spend_uruv=None, timeout_ms=60_000):
        self.lines = {name: list(each) for name, each in lines.items()}
        self.peers = peers
        self.messages = QUESTION
        self.spend_uruv = spend_uruv
        self.timeout_ms = timeout_ms
        self.now_ms = 0
        self.turns = []
        self.outcomes = []
        self.cancelled = []
        self.waiting = asyncio.Event()
        self.late = False

    def read_clock_ms(self):
        return self.now_ms

    def draw(self):
        return 5

    def list_serving(self):
        return [Serving(peer=f"id-{name}", name=name) for name in self.peers]

    def get_bytes_max(self):
        return 1_000

    async def stream(self, turn):
        self.turns.append(turn)
        name = turn.peer.removeprefix("id-") or "judge"
        line = self.lines[name].pop(0)
        if isinstance(line, NoPeerServes):
            raise line
        yield Started(
            model="m", engine="e", author=make_id(name), peer=turn.peer, name=name, local=False
        )
        if line is None:
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(name)
        if isinstance(line, MeshError):
            raise line
        changes = line if isinstance(line, dict) else {"text": line}
        changes = {"usage": Usage(prompt_tokens=2, completion_tokens=3), **changes}
        yield Delta(text=changes["text"], chunk={})
        vertex = make_id(f"{name}/{turn.round}/{turn.seat}")
        yield Finished(answer=make_answer(name=name, vertex=vertex, **changes))

    async def publish(self, outcome):
        self.outcomes.append(outcome)
        return make_answer(text=outcome.text, name="me", vertex=make_id("vote"), local=True)


async def listen(port, plan):
    items = []
    async with aclosing(Conversation(port, plan).stream()) as stream:
        async for item in stream:
            items.append(item)
    last = items[-1]
    assert isinstance(last, Finished)
    return items, last.answer


async def test_judge_sees_all_answers_and_builds_on_them():
    port = ScriptedPort(
        {"ada": ["Paris"], "bob": ["Rome"], "cyd": ["paris"], "judge": ["It is Paris."]}
    )
    items, answer = await listen(port, ENSEMBLE)
    assert answer.text == "It is Paris."
    kinds = [type(item) for item in items]
    assert kinds == [Progress] * 7 + [Started, Delta, Finished]
    judge = port.turns[-1]
    system = judge.messages[0]["content"]
    assert all(text in system for text in ("Paris", "Rome", "paris", "candidate C"))
    assert not any(name in system for name in PEERS)
    assert judge.messages[1:] == QUESTION
    assert judge.parents == tuple(make_id(f"{name}/0/{n}") for n, name in enumerate(PEERS))
    assert all(turn.parents is None for turn in port.turns[:3])
    together = answer.together
    assert (together.method, together.votes, together.cost_uruv) == ("judge", None, 0)
    assert [part.stage for part in together.contributions] == ["answer"] * 3 + ["judge"]
    assert answer.usage == Usage(prompt_tokens=8, completion_tokens=12)


async def test_vote_gives_what_most_say_and_is_published():
    port = ScriptedPort({"ada": ["Rome"], "bob": ["Paris"], "cyd": ["paris."]})
    items, answer = await listen(port, VOTE)
    assert answer.text == "Paris"
    (outcome,) = port.outcomes
    assert (outcome.ballot.votes, outcome.ballot.voters, len(outcome.parents)) == (2, 3, 3)
    assert (answer.together.votes, answer.together.voters) == (2, 3)
    assert "2 of 3 answers agree" in [item.detail for item in items if isinstance(item, Progress)]


async def test_debate_shows_everybody_the_others_answers():
    port = ScriptedPort({"ada": ["1", "2"], "bob": ["x", "2"], "judge": ["two"]}, peers=PEERS[:2])
    _, answer = await listen(port, Plan(seats=2, rounds=1, judge="judge"))
    revision = next(turn for turn in port.turns if turn.round == 1 and turn.seat == 0)
    assert "your earlier answer\n1\n" in revision.messages[0]["content"]
    assert "answer A\nx\n" in revision.messages[0]["content"]
    assert revision.parents == (make_id("ada/0/0"), make_id("bob/0/1"))
    assert port.turns[-1].parents == (make_id("ada/1/0"), make_id("bob/1/1"))
    assert answer.together.rounds == 1


async def test_who_fails_is_left_out_and_a_revision_that_fails_changes_nothing():
    down = NoPeerServes("gone")
    port = ScriptedPort({"ada": ["a", "b"], "bob": ["b", down], "cyd": [down]})
    _, answer = await listen(port, Plan(seats=3, rounds=1, judge="vote"))
    assert answer.text == "b"
    assert answer.together.notes == ("bob did not revise its answer, which stands",)
    assert [part.problem for part in answer.together.contributions].count("gone") == 2


async def test_one_answer_is_too_few_and_none_is_the_first_failure():
    down = NoPeerServes("gone")
    port = ScriptedPort({"ada": ["a"], "bob": [down], "cyd": [{"text": "b", "verified": False}]})
    with pytest.raises(TooFewAnswers, match=r"1 of 3 answered.*gone.*has not arrived") as caught:
        await listen(port, VOTE)
    assert make_id("ada/0/0")[:12] in caught.value.hint
    port = ScriptedPort({"ada": [down], "bob": [down], "cyd": [{"text": " "}]})
    with pytest.raises(NoPeerServes, match="gone"):
        await listen(port, VOTE)


async def test_fewer_peers_give_samples_and_say_so():
    port = ScriptedPort({"ada": ["a", "a", "b"]}, peers=("ada",))
    items, answer = await listen(port, VOTE)
    assert items[0].detail == "1 peer serves this, so the 3 answers are samples of ada"
    assert [turn.sample for turn in port.turns] == [0, 1, 2]
    assert answer.text == "a"
    two = ScriptedPort({"ada": ["a", "a"], "bob": ["a"]}, peers=("ada", "bob"))
    items, _ = await listen(two, VOTE)
    assert items[0].detail.startswith("2 peers serve this")


async def test_money_is_shared_out_and_summed_up():
    lines = {"judge": [{"text": text, "payment": pay(20)} for text in ("a", "b", "c", "d")]}
    port = ScriptedPort(lines, peers=(), spend_uruv=100)
    items, answer = await listen(port, ENSEMBLE)
    assert [turn.spend_uruv for turn in port.turns] == [25, 25, 25, 40]
    assert answer.cost_uruv == 80
    assert items[0].detail == "whoever sells (seat 1) is asked"


async def test_what_broke_off_counts_as_much_as_it_may_cost():
    broken = AnswerInterrupted("broke off", text="so")
    lines = {"judge": [{"text": "a", "payment": pay(5)}, {"text": "a"}, broken]}
    _, answer = await listen(ScriptedPort(lines, peers=(), spend_uruv=60), VOTE)
    assert answer.cost_uruv == 25


async def test_too_little_money_is_refused_before_anybody_is_asked():
    port = ScriptedPort({}, peers=(), spend_uruv=3)
    with pytest.raises(CommandRejected, match="cannot be shared out"):
        await listen(port, ENSEMBLE)
    assert not port.turns


async def test_vote_decides_where_the_judge_does_not_begin():
    port = ScriptedPort(
        {"ada": ["a"], "bob": ["a"], "cyd": ["b"], "judge": [NoPeerServes("nobody")]}
    )
    _, answer = await listen(port, ENSEMBLE)
    assert (answer.text, answer.together.method) == ("a", "vote")
    assert answer.together.notes == ("the judge failed (nobody), so a vote decides",)


@pytest.mark.parametrize("error", [AnswerInterrupted("off", text="x"), MeshError("odd")])
async def test_judge_that_has_begun_is_not_replaced(error):
    port = ScriptedPort({"ada": ["a"], "bob": ["a"], "cyd": ["b"], "judge": [error]})
    with pytest.raises(type(error)):
        await listen(port, ENSEMBLE)
    assert not port.outcomes


async def test_slow_peer_costs_its_part_of_the_time_only():
    port = ScriptedPort({"ada": ["a"], "bob": ["a"], "cyd": [None]}, timeout_ms=50)
    _, answer = await listen(port, VOTE)
    assert answer.text == "a"
    assert "45 ms" in answer.together.contributions[-1].problem
    assert port.cancelled == ["cyd"]


async def test_no_time_left_ends_the_whole():
    port = ScriptedPort({"ada": ["a"], "bob": ["a"], "cyd": ["a"]})
    stream = Conversation(port, ENSEMBLE).stream()
    async for item in stream:
        if isinstance(item, Progress) and (item.seat, item.state) == (2, "answered"):
            port.now_ms = 70_000
            break
    with pytest.raises(DeadlineExceeded, match="60000 ms"):
        await anext(stream)


async def test_leaving_ends_everybodys_work():
    port = ScriptedPort({"ada": ["a"], "bob": [None], "cyd": [None]})
    stream = Conversation(port, VOTE).stream()
    async for item in stream:
        if isinstance(item, Progress) and item.state == "answered":
            break
    await port.waiting.wait()
    await stream.aclose()
    assert sorted(port.cancelled) == ["bob", "cyd"]


async def test_defect_in_a_turn_is_shown_and_ends_the_others():
    port = ScriptedPort({"ada": [ValueError("defect")], "bob": [None], "cyd": [None]})
    port.lines["ada"] = [{"nonsense": 1}]
    with pytest.raises((KeyError, TypeError)):
        await listen(port, VOTE)
    assert sorted(port.cancelled) == ["bob", "cyd"]


async def test_tokens_nobody_counted_stay_unknown():
    blank = {"text": "a", "usage": Usage()}
    port = ScriptedPort({"ada": [blank], "bob": ["a"], "cyd": ["a"]})
    _, answer = await listen(port, VOTE)
    assert answer.usage == Usage()
