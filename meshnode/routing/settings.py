"""The numbers routing is tuned by, all integers, with their reasons in `docs/routing.md`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a router weighs, waits and gives up; the defaults are those that were measured."""

    decode_weight_permille: int = 500
    """What a microsecond of predicted decoding costs against one before the first token."""
    congestion_permille: int = 1_000
    """Weight of `u^2`, how full a replica is, on its predicted prefill."""
    miss_tokens_min: int = 64
    """A prompt that is cached whole still costs this much."""
    prefill_ns_start: int = 300_000
    """Prefill time of a token where nothing was measured and nothing is claimed."""
    decode_ns_start: int = 30_000_000
    """Time of an output token where nothing was measured and nothing is claimed."""
    output_tokens_start: int = 343
    """Length of an answer before a tenant had one from a model."""
    failure_ms: int = 5_000
    """How long after a failure or an overload a replica costs at least as much as this."""
    confirm_ms: int = 2_000
    """A report that still holds is confirmed at most this often."""
    aged_ms: int = 3_000
    """From this age on a report no longer shows that a replica is idle."""
    suspect_ms: int = 10_000
    """From this age on a replica is used only when nothing else is left."""
    expiry_ms: int = 30_000
    """A replica that said nothing for so long is gone."""
    probe_ms: int = 1_000
    """A replica is asked for a report when its last is older than this."""
    exploration_permille: int = 10
    """Share of queries that go to an eligible replica which this node has not used lately."""
    exploration_ms: int = 60_000
    """How long a replica is unused before it is explored."""
    scored_max: int = 64
    """Up to so many replicas are all scored; above it a sample, the holders and the own engine."""
    sampled: int = 16
    """Replicas drawn for the sample."""
    holders_max: int = 16
    """Replicas scored because they hold most of the prompt's prefix."""
    attempts_max: int = 3
    """The first replica and at most two others."""
    deadline_permille: int = 1_000
    """How late a first token may be predicted, of the time there is: predictions are off."""
    stall_ms_min: int = 15_000
    """The least silence in an answer that counts as a stall."""
    resume_max: int = 1
    """How often an answer that broke off may be continued elsewhere."""
