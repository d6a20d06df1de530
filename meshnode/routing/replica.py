"""What the router knows of one engine that could answer, its own or a peer's."""

from __future__ import annotations

from dataclasses import dataclass

AUTO_MODEL = "auto"
"""The model name that leaves the choice to the router."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One place a query can go to, with its load as last reported and as counted here."""

    peer: str
    """Transport id; the own one for the local engine."""
    author: bytes
    name: str
    models: tuple[str, ...]
    """Ids of the models it serves, the preferred one first."""
    slots: int
    engine: str = ""
    """Name of what runs the models, for people."""
    running: int = 0
    queued: int = 0
    """Requests waiting there, as it reports."""
    outstanding: int = 0
    """Own requests sent there that have not ended; reports lag behind these."""
    local: bool = False
    shareable: bool = True
    """Whether it may serve a query of somebody else than its owner."""
    draining: bool = False
    failed_ms: int | None = None
    """When an own query last failed there."""

    @property
    def load(self) -> int:
        """Requests known to be at this replica."""
        return self.outstanding + self.running + self.queued

    def find_model(self, model: str) -> str | None:
        """The model that serves a query for `model`, None where there is none."""
        if model == AUTO_MODEL:
            return self.models[0] if self.models else None
        return model if model in self.models else None
