"""Tasks and records: equal content has equal names, other content has others."""

from __future__ import annotations

import msgspec
import pytest

from simulations import results
from simulations.results import Outcome, Record, Task, compute_digest, decode_record

TASK = Task(scenario="reach", measure="push", parameters={"fanout": 3, "nodes": 100}, seed=7)
OUTCOME = Outcome(
    world={"events": 5, "digest": "00"},
    metrics={"coverage": 0.94},
    samples={"delivery_ms": [1, 2.5]},
    series={"coverage_by_ms": [(0, 0.01), (20, 0.94)]},
)


def make_record(task: Task = TASK) -> Record:
    return Record(key=task.key, task=task, outcome=OUTCOME)


def test_key_ignores_the_order_of_parameters():
    turned = dict(reversed(list(TASK.parameters.items())))
    assert msgspec.structs.replace(TASK, parameters=turned).key == TASK.key


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"parameters": {"fanout": 4, "nodes": 100}}, {"measure": "flood"}]
)
def test_key_changes_with_the_task(change: dict):
    assert msgspec.structs.replace(TASK, **change).key != TASK.key


def test_key_changes_with_the_code(monkeypatch: pytest.MonkeyPatch):
    before = TASK.key
    monkeypatch.setattr(results, "compute_code_digest", lambda: "other")
    assert TASK.key != before


def test_record_survives_its_encoding():
    record = make_record()
    assert decode_record(record.encode()) == record
    assert decode_record(record.encode()).digest == record.digest


def test_digest_of_records_ignores_their_order():
    other = make_record(msgspec.structs.replace(TASK, seed=8))
    assert compute_digest([make_record(), other]) == compute_digest([other, make_record()])
    assert compute_digest([make_record()]) != compute_digest([other])


def test_sources_are_what_decides_a_run():
    names = [name for name, _ in results.list_sources()]
    assert {"meshnode/core/node.py", "simulations/kernel.py", "simulations/data/aws-13.csv"} <= set(
        names
    )
    assert not any(name.startswith("simulations/reports") for name in names)
