"""What a backend's refusal means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.upstream_errors import (
    error_from_object,
    error_from_response,
    read_retry_after_ms,
)
from meshnode.secret import Secret

KEY = Secret("hunter2")
HTML = b"<html><head><title>504 Gateway Time-out</title></head></html>"


def error_of(status: int, body: object, headers: dict[str, str] | None = None) -> EngineError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_response("the engine", status, headers or {}, raw, secret=KEY)


def typed(kind: str | None, message: str = "said so", **extra: object) -> dict[str, object]:
    return {"error": {"type": kind, "message": message, **extra}}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (400, typed("invalid_request_error"), "bad_request"),
        (400, typed("invalid_request_error", "exceeded model token limit: 9"), "context_overflow"),
        (400, typed("invalid_request_error", "maximum context length is 8"), "context_overflow"),
        (400, typed("invalid_request_error", code="context_length_exceeded"), "context_overflow"),
        (400, typed("exceed_context_size_error"), "context_overflow"),
        (400, typed("content_filter"), "content_filter"),
        (400, {"object": "error", "message": "prompt is too long"}, "context_overflow"),
        (400, b"", "bad_request"),
        (401, typed("invalid_authentication_error"), "unauthorized"),
        (402, {}, "out_of_quota"),
        (403, typed("permission_denied_error"), "forbidden"),
        (404, typed("resource_not_found_error"), "model_not_found"),
        (404, b"404 page not found", "model_not_found"),
        (408, b"", "timeout"),
        (409, b"", "bad_request"),
        (403, typed("x", "Your input was flagged"), "content_filter"),
        (413, b"", "bad_request"),
        (413, {"detail": "input is too long"}, "context_overflow"),
        (422, {"detail": [{"loc": ["body"]}]}, "bad_request"),
        (429, typed("engine_overloaded_error"), "overloaded"),
        (429, typed("rate_limit_reached_error", "max RPM: 3"), "rate_limited"),
        (429, typed("exceeded_current_quota_error"), "out_of_quota"),
        (429, typed(None, code="insufficient_quota"), "out_of_quota"),
        (429, typed(None, "The engine is overloaded"), "overloaded"),
        (429, typed(None, "You exceeded your current quota"), "out_of_quota"),
        (429, b"slow down", "rate_limited"),
        (499, typed("client_closed_request"), "bad_request"),
        (500, typed("server_error"), "internal"),
        (500, b"\xff\xfe", "internal"),
        (502, HTML, "internal"),
        (503, typed("server_unavailable"), "overloaded"),
        (504, HTML, "timeout"),
        (529, {}, "overloaded"),
        (302, b"", "unreachable"),
        (204, b"", "internal"),
    ],
)
def test_status_and_body_map_to_a_fault(status, body, fault):
    error = error_of(status, body)
    assert error.fault == EngineFault(fault)
    assert str(status) in error.message
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ({"error": {"code": 429, "message": "x"}}, "rate_limited"),
        ({"error": {"code": "502", "message": "x"}}, "internal"),
        ({"error": {"type": "overloaded_error"}}, "overloaded"),
        ({"error": {"type": "rate_limit_error"}}, "rate_limited"),
        ({"error": {"code": 7, "message": "x"}}, "internal"),
        ({"error": {"code": "100"}}, "internal"),
        ({"error": "the context window is full"}, "context_overflow"),
        ({"error": ["x"]}, "internal"),
        ("text", "internal"),
        (None, "internal"),
    ],
)
def test_error_object_without_status_maps_to_a_fault(payload, fault):
    assert error_from_object("the engine", payload, secret=KEY).fault == EngineFault(fault)


def test_html_page_is_named_and_not_quoted():
    assert error_of(504, HTML).message == "the engine answered 504: an HTML page"


def test_message_is_one_short_line_without_keys():
    said = "Incorrect key hunter2 or sk-abcdefgh\n\x1b[31mred " + "x" * 10_000
    error = error_of(401, typed("invalid_api_key", said))
    assert "hunter2" not in error.message
    assert "sk-abc" not in error.message
    assert error.message.isprintable()
    assert len(error.message) < 400


@pytest.mark.parametrize("body", [b"[" * 60_000, b'"\xff"'])
def test_body_that_upsets_its_parser_is_read_as_text(body):
    assert error_of(500, body).fault is EngineFault.INTERNAL


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2_000),
        ({"Retry-After": "0.5"}, 500),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 250),
        ({"Retry-After-Ms": "x", "Retry-After": "9"}, 9_000),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "99999999"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30_000,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:30 -0000",
            },
            None,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:30 GMT",
            },
            0,
        ),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, wait_ms):
    assert read_retry_after_ms(headers) == wait_ms
    assert error_of(429, b"", headers).retry_after_ms == wait_ms


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "type", "code", "message", "detail", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.integers(201, 599), JSON | st.binary(max_size=40))
def test_any_body_of_any_status_becomes_one_engine_error(status, body):
    error = error_of(status, body)
    assert isinstance(error.fault, EngineFault)
    assert str(error).isprintable()


@given(JSON)
def test_any_error_object_becomes_one_engine_error(payload):
    assert str(error_from_object("the engine", payload, secret=KEY)).isprintable()


DATE = "Sat, 21 Nov 2026 22:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "message", "wait_ms"),
    [
        ({"X-RateLimit-Reset": "7"}, "", 7_000),
        ({"X-RateLimit-Reset": "1795298405", "Date": DATE}, "", 5_000),
        ({"X-RateLimit-Reset": "1795298405000", "Date": DATE}, "", 5_000),
        ({"X-RateLimit-Reset": "1795298395", "Date": DATE}, "", 0),
        ({"X-RateLimit-Reset": "1795298405"}, "", None),
        ({"X-RateLimit-Reset": "1795298405", "Date": "then"}, "", None),
        ({"X-RateLimit-Reset": "nan"}, "", None),
        ({"X-RateLimit-Reset": "-5"}, "", None),
        ({"X-RateLimit-Reset": "1e99"}, "", None),
        ({"Date": DATE}, "TPD rate limit", 7_200_000),
        ({"Date": DATE}, "free-models-per-day", 7_200_000),
        ({}, "TPD rate limit", None),
        ({"Date": DATE, "Retry-After": "1"}, "TPD rate limit", 1_000),
    ],
)
def test_end_of_a_limit_is_read_where_no_retry_after_says_it(headers, message, wait_ms):
    assert error_of(429, typed("rate_limit_error", message), headers).retry_after_ms == wait_ms
    assert error_of(503, typed("x", message), {"X-RateLimit-Reset": "7"}).retry_after_ms is None


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"msh-request-id": "a1"}, "(request a1)"),
        ({"x-request-id": "b2"}, "(request b2)"),
        ({"x-request-id": "hunter2"}, "(request ********)"),
        ({"x-request-id": "x" * 101}, ""),
        ({"x-request-id": "\x1b[31m"}, ""),
    ],
)
def test_id_of_the_request_is_told_where_it_is_one(headers, told):
    assert error_of(500, typed("x"), headers).message.endswith(told or "said so")
