"""The adapter's own door: a node for Maelstrom, or `test` for our own runner."""

from __future__ import annotations

import sys

from simulations.maelstrom.commands import main

if __name__ == "__main__":
    sys.exit(main())
