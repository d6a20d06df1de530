"""Results of the fuzzer that no run stands behind."""

from __future__ import annotations

from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import Spec


def make_result(spec: Spec, check: str = "") -> Result:
    return Result(
        seed=spec.seed,
        nodes=spec.nodes,
        fidelity=spec.fidelity,
        kinds=("a", "b", "c"),
        faults=len(spec.faults),
        check=check,
        message=f"{check}: broken" if check else "",
        digest="00",
        events=10,
        virtual_ms=20,
        agreed_ms=5,
        vertices=200,
        reached=(),
    )
