"""What `meshnode dag verify` says of a store that does not begin with the first vertex."""

from __future__ import annotations

from pathlib import Path

from dag.types import Horizon
from meshnode.cli.dag_verify import describe_report, make_document
from meshnode.cli.stores import StoreLocation
from meshnode.shell.journal_check import CheckReport
from meshnode.shell.snapshot_check import Certified
from tests.support.dag_builder import make_genesis, make_person
from tests.support.horizons import level

STORE = StoreLocation(Path("journal.db"), make_genesis([make_person(1)]))


def make_report(certified: Certified) -> CheckReport:
    return CheckReport(
        vertices=12,
        commits=3,
        certified=certified,
        findings=(),
        findings_dropped=0,
        dependants=0,
    )


def test_what_is_believed_and_what_is_not_held_is_said():
    certified = Certified(
        commit=240, stake=3, total=4, floor=Horizon(124, 310), pruned=Horizon(104, 300)
    )
    lines = describe_report(STORE, make_report(certified))
    assert any(
        "commit 240 is certified by stake 3 of 4" in line and "up to lamport 124" in line
        for line in lines
    )
    assert any("up to lamport 104 (blocks 300) is not held here" in line for line in lines)
    assert make_document(STORE, make_report(certified))["certified"] == {
        "commit": 240,
        "stake": 3,
        "total": 4,
        "floor_lamport": 124,
        "floor_block_lamport": 310,
        "pruned_lamport": 104,
        "pruned_block_lamport": 300,
    }


def test_a_store_that_holds_everything_says_nothing_of_what_is_gone():
    certified = Certified(commit=240, stake=3, total=4, floor=level(124))
    lines = describe_report(STORE, make_report(certified))
    assert not any("not held here" in line for line in lines)
    plain = describe_report(STORE, make_report(Certified()))
    assert not any("certified" in line for line in plain)
    assert make_document(STORE, make_report(Certified()))["certified"] is None
