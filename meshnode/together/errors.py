"""What can go wrong when several answer together."""

from __future__ import annotations

from meshnode.errors import MeshError


class TooFewAnswers(MeshError):
    """Only one answered: there is nothing to compare. The message says what became of the others."""

    code = "too_few_answers"
    retryable = True
