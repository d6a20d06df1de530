"""How vertices spread through simulated meshes: coverage, delays, copies.

    python -m tests.campaigns.spread --nodes 200 --rate 20
    python -m tests.campaigns.spread --nodes 200 --rate 20 --silent 0.2

Real cores over links of 10 to 50 ms. The load runs twice: first to let the tree settle, then
measured. The run fails if a vertex does not reach every honest node within 30 s of its end.
"""

from __future__ import annotations

import argparse
import sys
import time

from simulations.errors import SimulationFailed, Unreached
from tests.support.spread import Spread


def main() -> int:
    """Run one load; 1 if something did not arrive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="vertices per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long is measured")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds of load before that")
    parser.add_argument("--silent", type=float, default=0.0, help="share that passes nothing on")
    parser.add_argument("--lying", type=float, default=0.0, help="share that serves nothing")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start_s = time.monotonic()
    spread = Spread(given.nodes, seed=given.seed, silent=given.silent, lying=given.lying)
    try:
        print(f"{given.nodes} nodes agree after {spread.form()} ms", flush=True)
        spread.load(given.rate, given.settle, measured=False)
        spread.load(given.rate, given.seconds)
        print(f"everything is everywhere {spread.settle()} ms after the load", flush=True)
    except (SimulationFailed, Unreached) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if spread.watch.delays:
            print(spread.report())
    print(f"{time.monotonic() - start_s:.0f} s of real time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
