"""One run twice, in processes of their own that hash differently: both must give the same result.

Sets of bytes and texts come in another order wherever PYTHONHASHSEED differs, so whatever rests on
such an order shows here, and nowhere within one process.

    python -m simulations.fuzzing.repetition < spec.json     the result, as JSON
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import msgspec

from simulations.errors import SimulationError
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.spec import Spec

HASH_SEEDS: Final = (1, 2)
WAIT_MAX_S: Final = 600
MODULE: Final = "simulations.fuzzing.repetition"


def find_difference(spec: Spec) -> str:
    """Name what differs between two repetitions of a run; empty if nothing does."""
    first, second = (run_apart(spec, hash_seed) for hash_seed in HASH_SEEDS)
    fields = Result.__struct_fields__
    return next((name for name in fields if getattr(first, name) != getattr(second, name)), "")


def run_apart(spec: Spec, hash_seed: int) -> Result:
    """Carry out a run in a new process with this PYTHONHASHSEED. Raises `SimulationError`."""
    told = call_apart(MODULE, msgspec.json.encode(spec), hash_seed, f"seed {spec.seed}")
    return msgspec.json.decode(told, type=Result)


def call_apart(module: str, given: bytes, hash_seed: int, what: str) -> bytes:
    """What a module, run in a new process with this PYTHONHASHSEED, makes of its standard input.

    Raises `SimulationError`, which says of `what` it could not be told.
    """
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    try:
        done = subprocess.run(  # noqa: S603 - a module of this package
            [sys.executable, "-m", module],
            input=given,
            env=environment,
            capture_output=True,
            timeout=WAIT_MAX_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SimulationError(f"{what} takes more than {WAIT_MAX_S} s") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise SimulationError(f"{what} could not be run apart: {last}")
    return done.stdout


def main() -> None:
    """Read a spec, and write what came of it."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
    sys.stdout.buffer.write(msgspec.json.encode(run(spec)))


if __name__ == "__main__":
    main()
