"""Where people find the HTTP interface, and how loudly they hear that others can read it."""

from __future__ import annotations

import pytest

from meshnode.cli.starting import describe_start
from meshnode.cli.status import describe_api
from tests.support.views import make_status


def describe(api: str | None, url: str | None) -> list[str]:
    return describe_start(make_status(api=api, api_url=url), pid=1, log=None)


def test_address_for_clients_of_openai_is_shown():
    status = make_status(api="127.0.0.1:7077", api_url="https://127.0.0.1:7077")
    shown = "https://127.0.0.1:7077, for OpenAI clients https://127.0.0.1:7077/v1"
    assert describe_api(status) == shown
    assert describe_api(make_status(api="a:1", api_url=None)).startswith("http://a:1,")
    assert describe_api(make_status(api=None, api_url=None)) == "?"


@pytest.mark.parametrize(
    ("api", "url", "warned"),
    [
        ("127.0.0.1:1", "http://127.0.0.1:1", False),
        ("[::1]:1", "http://[::1]:1", False),
        ("0.0.0.0:1", "http://0.0.0.0:1", True),
        ("0.0.0.0:1", "https://0.0.0.0:1", False),
        (None, None, False),
    ],
    ids=("loopback", "loopback6", "open", "encrypted", "none"),
)
def test_interface_that_others_can_read_is_warned_of(api, url, warned):
    assert any("NOT ENCRYPTED" in line for line in describe(api, url)) == warned
