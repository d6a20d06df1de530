"""What work takes, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Virtual time that work takes. Measured magnitudes; 0 takes none."""

    input_ns: int = 20_000
    kib_ns: int = 2_000
    """For each KiB of a frame, on top of `input_ns`."""
    sign_ns: int = 300_000
    verify_ns: int = 250_000
    """For each signature a job checks, one after the other."""
    load_ns: int = 100_000
    sync_ns: int = 1_000_000
    """Until a batch's records are durable; nothing else happens meanwhile."""
