"""Tests in virtual time, broken adapters among them."""

from __future__ import annotations

import pytest

from simulations.maelstrom.adapter import Adapter
from simulations.maelstrom.checker import check
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.virtual import VirtualRun, make_adapter


def judge(run):
    return check(run.run().clients.history)


@pytest.mark.parametrize("workload", ["broadcast", "g-set"])
def test_every_value_reaches_every_node_through_partitions_and_losses(workload):
    plan = Plan(
        workload=workload, nodes=9, latency_ms=100, distribution="exponential", loss=0.1,
        partitions=True, time_limit_ms=8_000, seed=3,
    )  # fmt: skip
    run = VirtualRun(plan)
    verdict = judge(run)
    assert verdict.is_valid, verdict
    assert verdict.acknowledged > 20 and run.trial.network.lost > 100


def test_twenty_five_nodes_agree_within_seconds():
    run = VirtualRun(Plan(nodes=25, latency_ms=100, rate=20.0, time_limit_ms=3_000, quiet_ms=1_000))
    verdict = judge(run)
    assert verdict.is_valid, verdict
    assert verdict.stable_median_ms < 1_000 and verdict.stable_max_ms < 2_000


def test_run_is_the_same_when_the_seed_is():
    def run(seed):
        plan = Plan(
            nodes=3, latency_ms=10, loss=0.2, partitions=True, time_limit_ms=3_000, quiet_ms=1_000,
            partition_ms=500, seed=seed,
        )  # fmt: skip
        one = VirtualRun(plan)
        one.run()
        return one.digest

    assert run(1) == run(1) != run(2)


class Forgetful(Adapter):
    """Acknowledges a value, and never shows it."""

    def _keep(self, body: bytes) -> None:
        if body != b"3":
            super()._keep(body)


class Inventive(Adapter):
    """Shows what nobody added."""

    def _keep(self, body: bytes) -> None:
        super()._keep(b"7" + body)


@pytest.mark.parametrize(("kind", "mistake"), [(Forgetful, "lost"), (Inventive, "phantoms")])
def test_broken_adapter_is_found_out(kind, mistake):
    plan = Plan(nodes=3, time_limit_ms=2_000, quiet_ms=1_000)

    def make(name):
        adapter = make_adapter(plan, name)
        return kind(adapter._make_node) if name == "n2" else adapter

    verdict = judge(VirtualRun(plan, make))
    assert not verdict.is_valid and getattr(verdict, mistake)
