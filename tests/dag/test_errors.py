"""Errors say what, why and what next."""

from __future__ import annotations

from dag.errors import InvalidVertex, MeshError, Offence


def test_error_text_ends_with_the_hint():
    assert str(MeshError("no key", hint="make one")) == "no key; make one"
    assert str(MeshError("no key")) == "no key"


def test_invalid_vertex_names_its_rule():
    error = InvalidVertex("lamport", "3 is not 2")
    assert (error.rule, str(error), error.offence) == (
        "lamport",
        "lamport: 3 is not 2",
        Offence.BAD_VERTEX,
    )
