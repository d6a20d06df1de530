"""The simulator's own door: `python -m simulations --help`."""

from __future__ import annotations

import sys

from simulations.commands.program import main

if __name__ == "__main__":
    sys.exit(main())
