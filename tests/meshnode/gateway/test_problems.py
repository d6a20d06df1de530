"""Errors keep their class, message and hint across HTTP."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    ConfigError,
    DeadlineExceeded,
    DialFailed,
    InvalidVertex,
    KeystoreError,
    MalformedMessage,
    MeshError,
    NoDaemon,
    NodeClosed,
    NoPeerServes,
)
from meshnode.gateway.port import NotReady
from meshnode.gateway.problems import get_http_status, make_problem, read_problem
from meshnode.trading.errors import NoOffer, NotEnoughRuv


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (MeshError, 500),
        (ConfigError, 400),
        (DeadlineExceeded, 504),
        (DialFailed, 502),
        (KeystoreError, 500),
        (MalformedMessage, 400),
        (NoDaemon, 400),
        (NodeClosed, 503),
        (NoOffer, 409),
        (NoPeerServes, 503),
        (NotEnoughRuv, 402),
        (NotReady, 503),
    ],
)
def test_error_reads_back_as_what_it_was(kind, status):
    error = kind("what", hint="next")
    back = read_problem(make_problem(error))
    assert type(back) is kind
    assert (back.message, back.hint) == ("what", "next")
    assert get_http_status(error) == status


def test_engine_error_keeps_its_fault():
    back = read_problem(
        make_problem(EngineError(EngineFault.OVERLOADED, "busy", retry_after_ms=5, hint="wait"))
    )
    assert isinstance(back, EngineError)
    assert (back.fault, back.retry_after_ms, back.hint) == (EngineFault.OVERLOADED, 5, "wait")


def test_interrupted_answer_keeps_its_text():
    error = AnswerInterrupted("the peer is gone", text="so far", hint="ask again")
    back = read_problem(make_problem(error))
    assert isinstance(back, AnswerInterrupted)
    assert (back.message, back.text, back.hint) == ("the peer is gone", "so far", "ask again")
    assert get_http_status(error) == 502


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "unknown form"),
        ([], "unknown form"),
        ({"error": {}}, "unknown form"),
        ({"error": {"message": "m", "code": "of the future"}}, "m"),
        ({"error": {"message": "m", "code": "engine_error", "fault": "?"}}, "m"),
        (make_problem(InvalidVertex("rule", "m")), "rule: m"),
    ],
)
def test_errors_of_unknown_form_are_plain(data, text):
    assert text in str(read_problem(data))
