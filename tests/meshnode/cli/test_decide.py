"""`decide` and `validators`: what they ask of the node, and how they show what it answers."""

from __future__ import annotations

import json

import pytest

from meshnode.cli import decision_text
from meshnode.cli.decision_text import describe_committee, describe_decision, describe_risk
from meshnode.decision_views import CommitteeChangeInfo, OptionInfo, SeatChange
from meshnode.errors import CommandRejected
from meshnode.views import ValidatorInfo
from tests.support.cli import run_command
from tests.support.deciding_remote import DECISION, DecidingRemote
from tests.support.views import make_consensus, make_decision, make_id, make_status

NOW_MS = 1_700_000_000_000 - 3_600_000
CHANGE = CommitteeChangeInfo(
    seats=(
        SeatChange(author=make_id("carol"), name="carol", stake=1),
        SeatChange(author=make_id("bob"), name="bob", stake=0),
    ),
    profile="cft",
    gc_commits=500,
)


def make_order(*stakes: int, **changes):
    names = ("alice", "bob", "carol", "dave", "erin")
    validators = tuple(
        ValidatorInfo(author=make_id(name), name=name, stake=stake, last_round=1, silent=False)
        for name, stake in zip(names, stakes, strict=False)
    )
    return make_consensus(validators=validators, **{"profile": "bft3", **changes})


@pytest.fixture
def remote(monkeypatch):
    node = DecidingRemote()
    node.state = make_status(consensus=make_order(1, 1))
    for name in ("decide", "validators", "invite"):
        monkeypatch.setattr(f"meshnode.cli.{name}.connect", lambda home, node=node: node)
    monkeypatch.setattr("meshnode.cli.validators._POLL_S", 0)
    for name in ("decide", "validators"):
        monkeypatch.setattr(f"meshnode.cli.{name}.read_now_ms", lambda: NOW_MS)
    return node


COMMANDS = [
    ["decide", "propose", "x?"],
    ["decide", "vote", "ab", "yes"],
    ["decide", "show", "ab"],
    ["decide", "list"],
    ["validators", "list"],
    ["validators", "add", "bob"],
    ["validators", "remove", "bob"],
    ["validators", "change", "--profile", "cft"],
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_without_a_node_is_exit_3(capsys, arguments):
    outcome = run_command(capsys, *arguments)
    assert outcome.code == 3
    assert "no node runs" in outcome.err


@pytest.mark.parametrize("arguments", [words[:2] for words in COMMANDS])
def test_help_has_an_example_and_fits(capsys, arguments):
    outcome = run_command(capsys, *arguments, "--help")
    assert f"\n  meshnode {' '.join(arguments)}" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())


def test_wrong_subcommand_has_a_suggestion(capsys):
    outcome = run_command(capsys, "decide", "vot")
    assert (outcome.code, "did you mean 'vote'?" in outcome.err) == (2, True)


# --- decide ----------------------------------------------------------------------------------------


def test_propose_says_how_to_answer_and_follow(capsys, remote):
    outcome = run_command(capsys, "decide", "propose", "Tea?")
    assert outcome.code == 0
    assert remote.asked == [
        {
            "question": "Tea?",
            "options": ("yes", "no"),
            "closes_in_ms": 86_400_000,
            "electorate": "members",
            "threshold": "1/2",
        }
    ]
    lines = outcome.out.splitlines()
    assert lines[0] == f"{DECISION[:8]} alice asks: Tea?"
    assert f"meshnode decide vote {DECISION[:8]} ANSWER" in lines[1]
    assert f"meshnode decide show {DECISION[:8]}" in lines[2]


def test_propose_takes_every_option(capsys, remote):
    words = ["--option", "a", "--option", "b", "--electorate", "stake"]
    outcome = run_command(
        capsys, "decide", "propose", "?", *words, "--threshold", "2/3", "--closes-h", "2", "--json"
    )
    assert remote.asked[0]["options"] == ("a", "b")
    assert remote.asked[0]["electorate"] == "stake"
    assert (remote.asked[0]["threshold"], remote.asked[0]["closes_in_ms"]) == ("2/3", 7_200_000)
    assert outcome.document == {"schema": "meshnode.proposed/1", "decision": DECISION}


def test_vote_names_its_vertex(capsys, remote):
    outcome = run_command(capsys, "decide", "vote", "ab12", "yes", "--reason", "thirst")
    assert remote.asked == [{"decision": "ab12", "option": "yes", "reason": "thirst"}]
    assert make_id("ballot")[:12] in outcome.out
    assert "meshnode decide show ab12" in outcome.out
    document = run_command(capsys, "decide", "vote", "ab12", "yes", "--json").document
    assert document == {"schema": "meshnode.ballot/1", "ballot": make_id("ballot")}


def test_waiting_ends_with_the_decision(capsys, remote):
    remote.later = [make_decision(), make_decision(status="passed", winner="yes", closed_at=9)]
    outcome = run_command(capsys, "decide", "propose", "Tea?", "--wait")
    assert outcome.code == 0
    assert "alice asks: Tea?" in outcome.err
    assert "state     passed with 'yes' at commit 9" in outcome.out
    remote.decision_view = make_decision(status="expired", closed_at=9)
    outcome = run_command(capsys, "decide", "vote", "ab12", "yes", "--wait", "--json")
    assert (outcome.code, outcome.document["status"]) == (1, "expired")
    assert run_command(capsys, "decide", "show", "ab12", "--wait").code == 1


def test_waiting_ends_after_a_while(capsys, remote, monkeypatch):
    clock = iter((0.0, 0.0, 70.0, 101.0))
    monkeypatch.setattr("meshnode.cli.decide.read_clock_s", lambda: next(clock))
    outcome = run_command(capsys, "decide", "show", "ab12", "--wait", "--timeout", "100")
    assert outcome.code == 5
    assert "not decided after 100 s: open, in 1 h 0 min" in outcome.err
    assert remote.waited == [("ab12", 60_000), ("ab12", 30_000), ("ab12", 0)]


def test_waiting_for_what_never_was_is_refused(capsys, remote):
    remote.failures["decision"] = CommandRejected("no decision begins with 'ab12'")
    outcome = run_command(capsys, "decide", "show", "ab12", "--wait", "--timeout", "5")
    assert (outcome.code, "no decision begins with" in outcome.err) == (4, True)


def test_show_prints_everything_or_json(capsys, remote):
    remote.decision_view = make_decision(change=CHANGE, electorate="stake", threshold="2/3")
    outcome = run_command(capsys, "decide", "show", "ab12")
    assert all(len(line) <= 80 for line in outcome.out.splitlines() if "change" not in line)
    assert f"id        {DECISION}" in outcome.out
    assert "wins with more than 2/3 of the validators' stake of 3" in outcome.out
    assert (
        f"carol ({make_id('carol')[:8]}) stake 1, bob ({make_id('bob')[:8]}) no seat" in outcome.out
    )
    assert "profile cft, gc_commits 500" in outcome.out
    assert f"yes, bob ({make_id('bob')[:8]}): it is five o'clock" in outcome.out
    document = run_command(capsys, "decide", "show", "ab12", "--json").document
    assert document == json.loads(json.dumps(remote.decision_view.to_json()))


def test_list_is_a_table_that_fits(capsys, remote):
    outcome = run_command(capsys, "decide", "list")
    assert "yes 1/3" in outcome.out
    assert "in 1 h 0 min" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    remote.decision_view = make_decision(
        question="q" * 500, options=(OptionInfo(text="a", weight=0),)
    )
    outcome = run_command(capsys, "decide", "list")
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    outcome = run_command(capsys, "decide", "list", "--status", "passed")
    assert "nothing was asked yet" in outcome.out
    document = run_command(capsys, "decide", "list", "--json").document
    assert document["schema"] == "meshnode.decisions/1"


def test_hostile_words_cannot_rule_the_terminal():
    evil = "\x1b[2J\nyes"
    decision = make_decision(
        question=evil, options=(OptionInfo(text=evil, weight=1),), reason=evil, status="invalid"
    )
    text = "\n".join(describe_decision(decision, NOW_MS))
    assert "\x1b" not in text
    assert "state     invalid: " in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"status": "passed", "winner": "yes", "closed_at": 7}, "passed with 'yes' at commit 7"),
        ({"status": "rejected", "reason": "too many", "closed_at": 7}, "at commit 7: too many"),
        ({"deadline_ms": NOW_MS}, "open, now ("),
        ({"total": 0}, "more than 1/2 of the members, one vote each"),
        ({"total": 0, "electorate": "stake"}, "more than 1/2 of the stake"),
    ],
)
def test_decision_says_where_it_stands(changes, text):
    assert text in "\n".join(describe_decision(make_decision(**changes), NOW_MS))


def test_clock_is_the_persons():
    assert decision_text.read_now_ms() > NOW_MS


# --- validators ------------------------------------------------------------------------------------


def test_validators_are_listed_with_what_they_bear(capsys, remote):
    remote.state = make_status(consensus=make_order(1, 1, 1, 1, epoch=3))
    remote.decision_view = make_decision(change=CHANGE)
    outcome = run_command(capsys, "validators", "list")
    lines = outcome.out.splitlines()
    assert lines[0] == "epoch 3, 4 validators, stake 4, profile bft3: 3 decide, 1 may fail"
    assert all(len(line) <= 80 for line in lines)
    assert "Tea?" in outcome.out
    assert outcome.err == ""
    document = run_command(capsys, "validators", "list", "--json").document
    assert (document["schema"], document["epoch"], document["profile"], document["stake"]) == (
        "meshnode.validators/1",
        3,
        "bft3",
        4,
    )
    assert [one["question"] for one in document["changes"]] == ["Tea?"]


def test_validators_that_bear_no_loss_come_with_a_note(capsys, remote):
    outcome = run_command(capsys, "validators", "list")
    assert "note: with profile bft3 nothing becomes final unless all 2 validators" in outcome.err


def test_add_proposes_the_smallest_stake_and_votes(capsys, remote):
    remote.state = make_status(consensus=make_order(5, 2, 3))
    remote.action = {"stakes": [{"author": make_id("frank"), "stake": 2}]}
    outcome = run_command(capsys, "validators", "add", "frank", "--reason", "it is always on")
    assert outcome.code == 0
    assert remote.asked == [
        {
            "stakes": {"frank": 2},
            "profile": None,
            "gc_commits": None,
            "closes_in_ms": 604_800_000,
        },
        {"decision": DECISION, "option": "yes", "reason": "it is always on"},
    ]
    assert outcome.out.startswith(f"proposed {DECISION[:8]}: Change the committee?")
    assert "this node votes yes; more than two thirds" in outcome.out
    assert f"meshnode decide vote {DECISION[:8]} yes" in outcome.out
    assert "unless alice (2bd806c9) is up" in outcome.err


def test_no_vote_is_given_where_none_is_wanted_or_possible(capsys, remote):
    outcome = run_command(capsys, "validators", "remove", "bob", "--no-vote", "--json")
    assert [list(asked) for asked in remote.asked] == [
        ["stakes", "profile", "gc_commits", "closes_in_ms"]
    ]
    assert remote.asked[0]["stakes"] == {"bob": 0}
    assert outcome.document == {
        "schema": "meshnode.proposed/1",
        "decision": DECISION,
        "voted": False,
    }
    remote.state = make_status(author=make_id("erin"), consensus=make_order(1, 1))
    outcome = run_command(capsys, "validators", "remove", "bob")
    assert "this node votes" not in outcome.out


def test_only_validator_is_told_that_it_decides_alone(capsys, remote):
    remote.state = make_status(consensus=make_order(1))
    outcome = run_command(capsys, "validators", "change", "--gc-commits", "5", "--profile", "cft")
    assert remote.asked[0]["gc_commits"] == 5
    assert remote.asked[0]["profile"] == "cft"
    assert "as the only validator it decides alone" in outcome.out
    assert outcome.err == ""


def test_waiting_ends_when_the_new_committee_is_at_work(capsys, remote):
    before = make_status(consensus=make_order(1, 1))
    after = make_status(consensus=make_order(1, 1, 1, 1, epoch=1))
    remote.decision_view = make_decision(status="passed", winner="yes", closed_at=9)
    remote.statuses = [before, before, before, after]
    outcome = run_command(capsys, "validators", "add", "carol", "--wait")
    assert outcome.code == 0
    assert outcome.out.startswith("passed: epoch 1, 4 validators")
    remote.statuses = [before, before, before, after]
    outcome = run_command(capsys, "validators", "add", "carol", "--wait", "--json")
    assert outcome.document["epoch"] == 1


def test_waiting_for_a_committee_that_is_refused_fails(capsys, remote):
    remote.decision_view = make_decision(status="failed", winner="no", closed_at=9)
    outcome = run_command(capsys, "validators", "change", "--profile", "cft", "--wait")
    assert (outcome.code, "failed with 'no'" in outcome.out) == (1, True)


def test_waiting_for_an_epoch_that_does_not_begin_is_exit_5(capsys, remote, monkeypatch):
    remote.decision_view = make_decision(status="passed", winner="yes", closed_at=9)
    clock = iter((0.0, 99.0))
    monkeypatch.setattr("meshnode.cli.validators.read_clock_s", lambda: next(clock))
    outcome = run_command(capsys, "validators", "change", "--profile", "cft", "--wait")
    assert (outcome.code, "epoch 1 has not begun" in outcome.err) == (5, True)


def test_node_without_an_order_is_told(capsys, remote):
    remote.state = make_status(consensus=None)
    outcome = run_command(capsys, "validators", "list")
    assert (outcome.code, "agrees on no order" in outcome.err) == (4, True)


@pytest.mark.parametrize(
    ("stakes", "profile", "text"),
    [
        ([1], "bft3", ""),
        ([1, 1, 1, 1], "bft3", ""),
        ([1, 1, 1], "cft", ""),
        ([1, 1], "bft4", ""),
        ([1, 1], "cft", "unless all 2 validators are up; a third validator and profile cft"),
        ([1, 1, 1], "bft3", "unless all 3 validators are up; profile cft bears a crash"),
        ([9, 1, 1, 1], "bft3", "unless v0 is up; more validators of like stake"),
        ([5, 5, 1], "bft3", "unless v0, v1 are up; profile cft"),
        ([1] * 5, "bft5", "unless all 5 validators are up; more validators"),
    ],
)
def test_risk_of_a_committee_is_told(stakes, profile, text):
    found = describe_risk({f"v{number}": stake for number, stake in enumerate(stakes)}, profile)
    assert text in found
    assert bool(text) == bool(found)


def test_committee_is_told_in_one_line():
    assert describe_committee(make_order(1)).endswith("profile bft3: 1 decide, none may be away")
    assert describe_committee(make_order(1, 1, 1, profile="cft")).endswith("2 decide, 1 may crash")
    assert describe_committee(make_order(1, 1, profile="odd")) == "epoch 0, 2 validators, stake 2"


# --- inviting a validator --------------------------------------------------------------------------


def test_invitation_of_a_validator_says_what_will_happen(capsys, remote):
    outcome = run_command(capsys, "invite", "--role", "validator")
    assert outcome.out == "mesh1ticket\n"
    assert "this node's yes is given" in outcome.err
    assert "warning: with profile bft3" in outcome.err
    remote.state = make_status(consensus=make_order(1))
    outcome = run_command(capsys, "invite", "--role", "validator", "--uses", "3")
    assert "becomes a validator at once" in outcome.err
    assert "warning" not in outcome.err


# --- status ----------------------------------------------------------------------------------------


def test_status_tells_of_questions_that_wait(capsys, remote, monkeypatch):
    monkeypatch.setattr("meshnode.cli.status.connect", lambda home: remote)
    remote.state = make_status(unanswered=2)
    lines = run_command(capsys, "status").out.splitlines()
    line = next(line for line in lines if line.startswith("decide"))
    assert line.endswith(" 2 questions wait for an answer; `meshnode decide list --status open`")
    assert len(line) <= 80
    remote.state = make_status()
    assert "decide" not in run_command(capsys, "status").out
