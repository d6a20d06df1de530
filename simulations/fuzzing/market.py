"""One run of a market, with the seeded bug of its spec switched on; some of them a second time."""

from __future__ import annotations

import sys

import msgspec

from simulations.folding.run import Result, simulate
from simulations.folding.spec import Spec
from simulations.fuzzing.mutants import switch_on
from simulations.fuzzing.repetition import call_apart

__all__ = ["Result", "run"]

HASH_SEED = 12_345
MODULE = "simulations.fuzzing.market"


def run(spec: Spec) -> Result:
    """Simulate one run; where the spec wants it, another process that hashes otherwise repeats it."""
    with switch_on(spec.mutant):
        result = simulate(spec)
    if not spec.apart or result.check:
        return result
    again = run_apart(msgspec.structs.replace(spec, apart=False))
    if again == result:
        return result
    return msgspec.structs.replace(
        result,
        check="P11 processes",
        message=f"P11 processes: {again.digest} in one that hashes otherwise, not {result.digest}",
    )


def run_apart(spec: Spec) -> Result:
    """Carry out a run in a new process. Raises `SimulationError`."""
    told = call_apart(MODULE, msgspec.json.encode(spec), HASH_SEED, f"seed {spec.seed}")
    return msgspec.json.decode(told, type=Result)


def main() -> None:
    """Read a spec, and write what came of it."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
    sys.stdout.buffer.write(msgspec.json.encode(run(spec)))


if __name__ == "__main__":
    main()
