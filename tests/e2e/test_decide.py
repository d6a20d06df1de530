"""Deciding with real processes and the program people use: questions, seats, and no lone founder."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meshnode.runtime_file import require_runtime
from tests.support.program import Machine, open_machine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LIMIT_S = 120
WAIT = ("--wait", "--timeout", str(LIMIT_S))


@pytest.fixture
def start(tmp_path):
    """Starts machines by name; with a ticket they join."""
    with ExitStack() as stack:

        def start_one(name: str, ticket: str = "") -> Machine:
            machine = stack.enter_context(open_machine(tmp_path / name))
            words = ("--name", name, "--engine", "none")
            if ticket:
                loopback = ("--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0")
                machine.succeed("join", "-", *words, *loopback, stdin=ticket)
            else:
                machine.up(*words)
            return machine

        yield start_one


def read(machine: Machine, *arguments: str) -> Any:
    return json.loads(machine.succeed(*arguments, "--json"))


def kill(home: Path) -> None:
    os.kill(require_runtime(home / "runtime.json").pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    wait_until(condition, timeout_s=LIMIT_S)


def wait_for_newest(machine: Machine, decision: str) -> None:
    wait_for(lambda: read(machine, "decide", "list")["decisions"][0]["id"] == decision)


def wait_for_validators(machines: Sequence[Machine], *names: str) -> None:
    for machine in machines:
        wait_for(partial(has_validators, machine, names))


def has_profile(machine: Machine, profile: str) -> bool:
    return bool(read(machine, "validators", "list")["profile"] == profile)


def has_validators(machine: Machine, names: Sequence[str]) -> bool:
    return list_validators(machine) == dict.fromkeys(names, 1)


def list_validators(machine: Machine) -> dict[str, int]:
    found = read(machine, "validators", "list")["validators"]
    return {validator["name"]: validator["stake"] for validator in found}


def test_three_members_decide_and_see_the_same(start):
    ada = start("ada")
    ticket = ada.succeed("invite", "--uses", "2")
    bob, eve = start("bob", ticket), start("eve", ticket)
    asked = read(bob, "decide", "propose", "Tea?", "--option", "tea", "--option", "coffee")
    decision = asked["decision"]
    wait_for(lambda: len(read(eve, "decide", "list", "--status", "open")["decisions"]) == 1)
    eve.succeed("decide", "vote", decision[:10], "tea", "--reason", "coffee keeps me awake")
    ada.succeed("decide", "vote", decision, "tea")
    shown = [
        json.loads(machine.succeed("decide", "show", decision, *WAIT, "--json"))
        for machine in (ada, bob, eve)
    ]
    assert shown[0] == shown[1] == shown[2]
    assert (shown[0]["status"], shown[0]["winner"]) == ("passed", "tea")
    assert sorted(ballot["author_name"] for ballot in shown[0]["ballots"]) == ["ada", "eve"]
    assert "coffee keeps me awake" in ada.succeed("decide", "show", decision)
    late = bob.run("decide", "vote", decision, "coffee")
    assert (late.returncode, "closed: passed" in late.stderr) == (4, True)


@pytest.mark.slow
def test_founder_is_not_needed_any_more_once_others_have_seats(start):
    ada = start("ada")
    first = ada.run("invite", "--role", "validator")
    assert "becomes a validator at once" in first.stderr
    bob = start("bob", first.stdout)
    wait_for_validators((ada, bob), "ada", "bob")

    eve = start("eve", ada.succeed("invite", "--role", "validator"))
    wait_for(lambda: len(read(bob, "decide", "list", "--status", "open")["decisions"]) == 1)
    (asked,) = read(bob, "decide", "list", "--status", "open")["decisions"]
    assert [ballot["author_name"] for ballot in asked["ballots"]] == ["ada"]
    bob.succeed("decide", "vote", asked["id"], "yes", *WAIT)
    wait_for_validators((ada, bob, eve), "ada", "bob", "eve")

    change = read(eve, "validators", "change", "--profile", "cft")["decision"]
    for machine in (ada, bob):
        wait_for_newest(machine, change)
        machine.succeed("decide", "vote", change, "yes")
    for machine in (ada, bob, eve):
        wait_for(partial(has_profile, machine, "cft"))

    kill(ada.home)
    asked = read(eve, "decide", "propose", "Do we miss ada?", "--electorate", "stake")
    decision = asked["decision"]
    for machine in (bob, eve):
        wait_for_newest(machine, decision)
        machine.succeed("decide", "vote", decision, "no")
    assert read(bob, "decide", "show", decision, *WAIT)["winner"] == "no"
    bob.succeed("validators", "remove", "ada", "--reason", "it is gone")
    wait_for(lambda: len(read(eve, "decide", "list", "--status", "open")["decisions"]) == 1)
    (asked,) = read(eve, "decide", "list", "--status", "open")["decisions"]
    eve.succeed("decide", "vote", asked["id"], "yes")
    wait_for_validators((bob, eve), "bob", "eve")
