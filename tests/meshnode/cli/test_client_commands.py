"""Commands that talk to a running node: what they ask of it, and how they show its answer."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import sys

import pytest

from meshnode.cli import down as down_module
from meshnode.errors import AnswerInterrupted, NoDaemon, NoPeerServes, StorageError
from meshnode.gateway.port import NotReady
from meshnode.views import EngineView, ModelView, MoneyInfo, Payment, ValidatorInfo
from tests.support.cli import FakeRemote, run_command
from tests.support.views import make_answer, make_consensus, make_id, make_peer, make_status

CLIENT_COMMANDS = (
    ["status"],
    ["consensus", "status"],
    ["peers"],
    ["ask", "hi"],
    ["invite"],
    ["events"],
    ["down"],
)


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote()
    for name in ("status", "consensus", "peers", "ask", "invite", "down"):
        monkeypatch.setattr(f"meshnode.cli.{name}.connect", lambda home, node=node: node)
    return node


@pytest.mark.parametrize("arguments", CLIENT_COMMANDS)
def test_command_without_a_node_is_exit_3(capsys, arguments):
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 3
    assert "no node runs" in outcome.err
    assert "`meshnode up`" in outcome.err
    assert len(outcome.err.splitlines()) == 1


# --- status ----------------------------------------------------------------------------------


def test_status_has_eight_lines_and_two_more_for_the_order(capsys, remote):
    remote.members = [make_peer()]
    remote.state = make_status(consensus=make_consensus())
    lines = run_command(capsys, "status").out.splitlines()
    assert len(lines) == 10
    assert all(len(line) <= 80 for line in lines)
    assert lines[6] == "order      commit 12, round 14; 1 vertex not final yet"
    assert lines[7].startswith("committee  2 validators, 2 of stake 2 decide, ")
    assert lines[7].endswith("epoch 0; silent: bob")
    remote.state = make_status()
    outcome = run_command(capsys, "status")
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert len(lines) == 8
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("ok")
    assert "SmolLM2-135M (embedded) on here; echo (echo) on bob" in lines[3]
    assert lines[7] == "problems   none"


def test_status_shows_the_nodes_money_exactly(capsys, remote):
    money = MoneyInfo(free_uruv=998_000_001, locked_uruv=2_500_000, open_orders=1, live_contracts=2)
    remote.state = make_status(money=money)
    out = run_command(capsys, "status").out
    shown = "money      998.000001 ruv free, 2.5 locked, 1 open order, 2 live contracts"
    assert shown in out.splitlines()


def test_status_puts_problems_last_and_exits_1(capsys, remote):
    remote.state = make_status(
        problems=("no peer; run `meshnode doctor`", "disk full"),
        engine=None,
        key_mode="unencrypted-demo",
        network_kind="demo",
        quarantined=2,
        forks=1,
        api=None,
    )
    outcome = run_command(capsys, "status")
    lines = outcome.out.splitlines()
    assert outcome.code == 1
    assert lines[0].startswith("degraded: 2 problems")
    assert lines[-2:] == ["problems   no peer; run `meshnode doctor`", "           disk full"]
    assert "none: nobody serves a model" in outcome.out
    assert "key stored unencrypted" in outcome.out
    assert "2 waiting for ancestors, 1 forked author" in outcome.out
    assert "api        ?" in outcome.out


# --- consensus status ------------------------------------------------------------------------


def test_consensus_status_shows_the_order_and_who_is_silent(capsys, remote):
    remote.state = make_status(consensus=make_consensus(behind=7, idle_ms=3_210))
    outcome = run_command(capsys, "consensus", "status")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("commit 12, round 14 (")
    assert lines[0].endswith(", 3.2 s ago)")
    assert lines[1] == "2 rounds undecided, 1 vertex not final yet, about 7 rounds behind"
    assert "2 decide" in lines[2]
    assert lines[3] == "silent: bob"
    assert lines[4] == "this node makes blocks"
    assert "silent" in lines[-1]
    assert "-" in lines[-1]


@pytest.mark.parametrize(
    ("pruned_lamport", "held"),
    [(0, "all history is held"), (104, "history up to lamport 104 is not held")],
)
def test_status_says_what_is_certified_and_what_is_not_held(capsys, remote, pruned_lamport, held):
    order = make_consensus(certified_commit=10, pruned_lamport=pruned_lamport)
    remote.state = make_status(consensus=order)
    out = run_command(capsys, "consensus", "status").out
    assert f"state of commit 10 certified; {held}" in out
    assert ("pruned up to lamport 104" in run_command(capsys, "status").out) == bool(pruned_lamport)


def test_consensus_status_as_json_names_its_form(capsys, remote):
    remote.state = make_status(consensus=make_consensus())
    found = json.loads(run_command(capsys, "consensus", "status", "--json").out)
    assert found["schema"] == "meshnode.consensus/1"
    assert found["commit_index"] == 12


def test_consensus_status_names_who_is_away_when_nobody_goes_on(capsys, remote):
    away = [
        ValidatorInfo(
            author=make_id(f"v{n}"),
            name=f"v{n}",
            stake=1,
            last_round=9,
            silent=False,
            connected=n < 1,
        )
        for n in range(7)
    ]
    order = make_consensus(validators=tuple(away), standing="no_quorum", quorum=None)
    remote.state = make_status(consensus=order)
    out = run_command(capsys, "consensus", "status").out
    assert "silent: v1, v2, v3, v4 and 2 more" in out
    assert "no link" in out
    assert "decide, bft3" not in run_command(capsys, "status").out
    remote.state = make_status(consensus=make_consensus(validators=tuple(away)))
    assert "nobody silent" in run_command(capsys, "consensus", "status").out


def test_consensus_status_says_when_the_order_has_halted(capsys, remote):
    remote.state = make_status(consensus=make_consensus(halted="two ways", standing="stopped"))
    outcome = run_command(capsys, "consensus", "status")
    assert outcome.code == 1
    assert "halted: two ways" in outcome.out


def test_consensus_status_says_when_validators_contradict_themselves(capsys, remote):
    remote.state = make_status(consensus=make_consensus(conflicts=2))
    assert "2 votes contradict" in run_command(capsys, "consensus", "status").out


def test_consensus_status_of_a_node_without_an_order(capsys, remote):
    remote.state = make_status()
    outcome = run_command(capsys, "consensus", "status")
    assert outcome.code == 1
    assert "agrees on no order" in outcome.out


def test_status_survives_a_broken_part(capsys, remote):
    remote.failures["peers"] = StorageError("the list is gone", hint="restart")
    outcome = run_command(capsys, "status")
    assert outcome.code == 1
    assert "problems   peers: the list is gone; restart" in outcome.out


def test_status_of_a_loading_node_is_its_phase(capsys, remote):
    remote.failures["status"] = NotReady("loading")
    remote.startup_state = {"ready": False, "detail": "loading engine", "elapsed_ms": 3_000}
    outcome = run_command(capsys, "status")
    assert (outcome.code, outcome.out) == (1, "not ready: loading engine, for 3.0 s so far\n")
    document = run_command(capsys, "status", "--json").document
    assert document["schema"] == "meshnode.startup/1"


def test_status_as_json_has_its_schema(capsys, remote):
    outcome = run_command(capsys, "status", "--json")
    assert outcome.document == json.loads(json.dumps(remote.state.to_json()))
    assert outcome.document["schema"] == "meshnode.status/1"


def test_status_names_an_engine_that_is_not_shared(capsys, remote):
    remote.state = make_status(
        engine=EngineView(name="api", shareable=False, slots=2, running=1, queued=3)
    )
    assert "1 of 2 slots busy, 3 waiting (engine api, for this node only)" in (
        run_command(capsys, "status").out
    )


@pytest.mark.parametrize("arguments", [["status", "--watch"], ["peers", "--watch", "--json"]])
def test_watch_repeats_until_interrupted(capsys, monkeypatch, remote, arguments):
    rounds = itertools.count()

    async def sleep(_: float) -> None:
        if next(rounds) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 0
    assert outcome.out.count("\x1b[H\x1b[2J") == 3


# --- peers -----------------------------------------------------------------------------------


def test_peers_shows_a_row_each(capsys, remote):
    long = ModelView(id="m", engine="e", label="A-model-with-a-name-that-goes-on-and-on-and-on")
    remote.members = [
        make_peer(models=(long,), queued=2),
        make_peer("carol", ready=False, addresses=(), models=(), slots=None),
        make_peer("dave", draining=True, slots=0, models=(), addresses=("/dns/x/udp/1",)),
        make_peer("eve", addresses=("/ip6/::1/tcp/4001",), rtt_ms=None, running=None),
    ]
    outcome = run_command(capsys, "peers")
    assert outcome.code == 0
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    rows = {line.split()[0]: line for line in outcome.out.splitlines()[2:]}
    assert "1+2/4" in rows["bob"]
    assert "192.168.0.8:4001" in rows["bob"]
    assert "away" in rows["carol"]
    assert "?" in rows["carol"]
    assert "leaving" in rows["dave"]
    assert "[::1]:4001" in rows["eve"]
    assert "?/4" in rows["eve"]


def test_peers_says_when_there_are_none(capsys, remote):
    assert "meshnode invite" in run_command(capsys, "peers").out


def test_peers_as_json_has_its_schema(capsys, remote):
    remote.members = [make_peer()]
    document = run_command(capsys, "peers", "--json").document
    assert document["schema"] == "meshnode.peers/1"
    assert document["peers"][0]["name"] == "bob"


# --- invite, down ----------------------------------------------------------------------------


def test_invite_prints_the_ticket_alone(capsys, remote):
    outcome = run_command(capsys, "invite", "--uses", "3", "--expires-h", "2")
    assert outcome.out == "mesh1ticket\n"
    assert "good for 3 nodes and 2 h" in outcome.err
    assert remote.asked == [
        {"uses": 3, "expires_in_ms": 7_200_000, "role": "peer", "grant_uruv": 0}
    ]


def test_invite_carries_a_grant_and_says_when_it_is_paid(capsys, remote):
    outcome = run_command(capsys, "invite", "--grant", "0.25")
    assert remote.asked[-1]["grant_uruv"] == 250_000
    assert "each is given 0.25 ruv of this node's free money" in outcome.err
    refused = run_command(capsys, "invite", "--grant", "some")
    assert refused.code != 0
    assert "the grant is no amount" in refused.err


def test_invite_as_json(capsys, remote):
    document = run_command(capsys, "invite", "--json").document
    assert (document["schema"], document["ticket"]) == ("meshnode.invite/1", "mesh1ticket")


def test_down_waits_for_the_process(capsys, remote):
    outcome = run_command(capsys, "down")
    assert (outcome.code, outcome.out) == (0, f"stopped (pid {remote.pid})\n")
    assert remote.asked == [{"shutdown": True}]
    assert run_command(capsys, "down", "--json").document["stopped"] is True


def test_down_says_when_the_process_stays(capsys, monkeypatch, remote):
    clock = itertools.count()
    monkeypatch.setattr(down_module, "is_alive", lambda _: True)
    monkeypatch.setattr(down_module, "read_clock_s", lambda: next(clock))
    outcome = run_command(capsys, "down", "--timeout", "1")
    assert outcome.code == 5
    assert "has not ended after 1 s" in outcome.err


# --- ask -------------------------------------------------------------------------------------


def test_ask_streams_to_stdout_and_names_the_answerer_on_stderr(capsys, remote):
    remote.attempts = ("carol: overloaded",)
    outcome = run_command(capsys, "ask", "capital?", "--system", "Be brief.", "--max-tokens", "9")
    assert (outcome.code, outcome.out) == (0, "Paris.\n")
    assert "tried before: carol: overloaded" in outcome.err
    assert "-- bob, echo (echo), 2 tokens, first after 12 ms, all after 345 ms" in outcome.err
    (asked,) = remote.asked
    assert asked["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "capital?"},
    ]
    assert (asked["max_tokens"], asked["timeout_ms"]) == (9, 120_000)


def test_ask_cleans_what_a_model_says(capsys, remote):
    remote.pieces = ("\x1b]0;title\x07", "ok\n")
    assert run_command(capsys, "ask", "x").out == "\ufffd]0;title\ufffdok\n"


def test_ask_says_what_is_not_certain(capsys, remote):
    remote.answer = make_answer(local=True, verified=False, finish_reason="length")
    err = run_command(capsys, "ask", "x").err
    assert "bob (this node)" in err
    assert "(not seen here yet)" in err
    assert "cut at the token limit" in err


def test_ask_as_json_is_the_answer(capsys, remote):
    outcome = run_command(capsys, "ask", "x", "--json")
    document = outcome.document
    assert document.pop("finality")["commit_index"] == remote.place.commit_index
    assert document == json.loads(json.dumps(remote.answer.to_json()))
    assert outcome.err == ""


PAYMENT = Payment(
    contract="ab" * 32,
    provider="cd" * 32,
    provider_name="carol",
    price_uruv=2_000,
    lots=2,
    tokens_in=40,
    tokens_out=100,
    tokens_billed=110,
    cost_uruv=220,
    receipts=1,
    transcript_root="ef" * 32,
)


def test_ask_with_a_price_says_what_was_paid(capsys, remote):
    remote.answer = make_answer(payment=PAYMENT)
    wishes = [
        "--sla",
        "99",
        "--context-tokens",
        "8192",
        "--first-token",
        "2.5",
        "--reputation",
        "50",
    ]
    price = ["--max-price", "0.002", "--max-ruv", "0.01"]
    outcome = run_command(capsys, "ask", "x", *price, *wishes)
    assert (
        "-- paid 0.00022 ruv for 110 tokens at 0.002 per 1,000 to carol, contract abababababab"
        in outcome.err
    )
    (asked,) = remote.asked
    assert (asked["max_price_uruv"], asked["max_spend_uruv"]) == (2_000, 10_000)
    assert asked["wishes"] == {
        "sla_bp": 9_900,
        "context_tokens": 8_192,
        "first_token_ms": 2_500,
        "reputation_bp": 5_000,
    }


def test_ask_without_a_price_pays_nothing(capsys, remote):
    run_command(capsys, "ask", "x")
    assert "max_price_uruv" not in remote.asked[0]
    for option in (["--max-ruv", "1"], ["--sla", "99"]):
        outcome = run_command(capsys, "ask", "x", *option)
        assert outcome.code == 2
        assert "needs its highest price" in outcome.err


def test_ask_reads_the_question_from_stdin(capsys, monkeypatch, remote):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    run_command(capsys, "ask", "-")
    assert remote.asked[0]["prompt"][0]["content"] == "from a pipe"


def test_ask_refuses_too_much_and_nothing(capsys, monkeypatch, remote):
    monkeypatch.setattr("meshnode.cli.ask.PROMPT_BYTES_MAX", 3)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"four")))
    assert "more than 3 bytes" in run_command(capsys, "ask", "-").err
    outcome = run_command(capsys, "ask", "  ")
    assert outcome.code == 4
    assert "the question is empty" in outcome.err


def test_ask_says_that_an_answer_broke_off(capsys, remote):
    remote.failures["stream"] = AnswerInterrupted("bob went away", text="Paris", hint="ask again")
    outcome = run_command(capsys, "ask", "x")
    assert (outcome.code, outcome.out) == (1, "Paris.\n")
    assert "error: bob went away; ask again" in outcome.err


def test_ask_says_that_nobody_serves(capsys, remote):
    remote.failures["ask"] = NoPeerServes("nobody serves gpt-7", hint="served: echo")
    assert run_command(capsys, "ask", "x").code == 1
    remote.failures["ask"] = NoDaemon("gone")
    assert run_command(capsys, "ask", "x").code == 3


def test_is_alive_tells_processes_apart(monkeypatch):
    import os

    assert down_module.is_alive(os.getpid())
    assert not down_module.is_alive(999_999_999)
    monkeypatch.setattr("os.path.isdir", lambda _: False)
    assert not down_module.is_alive(999_999_999)
    monkeypatch.setattr("os.kill", lambda *_: None)
    assert down_module.is_alive(999_999_999)


def test_ask_whose_time_ran_out_in_the_midst_says_so(capsys, monkeypatch, remote):
    clock = iter((0.0, 5.0))
    monkeypatch.setattr("meshnode.cli.ask.read_clock_s", lambda: next(clock))
    remote.failures["stream"] = AnswerInterrupted("the answer of bob broke off", text="Paris")
    outcome = run_command(capsys, "ask", "x", "--timeout", "5")
    assert outcome.code == 5
    assert "the answer of bob broke off; allow more with --timeout" in outcome.err
