"""Faults fall into those of load, of breakage, of the replica's terms, and of the query."""

from __future__ import annotations

from meshnode.engines.base import EngineError, EngineFault
from meshnode.routing.faults import Fault


def test_faults_are_sorted_into_classes_that_do_not_overlap():
    for fault in Fault:
        assert fault.is_neutral + fault.is_breakage + fault.disables <= 1
        assert fault.may_retry_elsewhere == (fault.is_neutral or fault.is_breakage)


def test_faults_of_the_query_are_nobodys_fault():
    for fault in (Fault.BAD_REQUEST, Fault.CONTEXT_OVERFLOW, Fault.CONTENT_FILTER):
        assert not (fault.is_neutral or fault.is_breakage or fault.disables)


def test_faults_cover_those_of_engines_and_agree_on_retries():
    for engine_fault in EngineFault:
        error = EngineError(engine_fault, "")
        assert Fault(engine_fault.value).may_retry_elsewhere == error.may_retry_elsewhere
