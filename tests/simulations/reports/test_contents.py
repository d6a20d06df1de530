"""What messages are called."""

from __future__ import annotations

import hashlib

from simulations.observers import Observer
from simulations.reports.contents import describe
from tests.support.recorded import run_mesh


class Keep(Observer):
    def __init__(self) -> None:
        self.payloads: list = []

    def on_launched(self, source, target, message, size_bytes, arrival_ns):
        self.payloads.append(message)


def test_messages_of_cores_are_named_by_type_and_by_the_vertices_they_carry():
    keep = Keep()
    mesh = run_mesh(keep)
    found = [describe(payload) for payload in keep.payloads]
    assert {"Hello", "Proof", "Push", "Digest"} <= {contents.name for contents in found}
    stored = {vertex_id.hex() for vertex_id in mesh[0].disk.stored_ids()}
    carried = {item for contents in found for item in contents.items}
    assert carried
    assert carried <= stored
    link, end, _, frame = keep.payloads[0]
    assert describe((link, end, None, frame)) == ("raw bytes", ())


def test_vertices_that_are_none_are_left_out():
    keep = Keep()
    run_mesh(keep)
    payload = next(p for p in keep.payloads if describe(p).name == "Push")
    push = type(payload[2])((b"\x00 no vertex", *payload[2].vertices))
    assert describe((*payload[:2], push, payload[3])).items == describe(payload).items


def test_messages_of_others_are_named_by_what_they_are():
    assert describe(b"abc") == ("frame", (hashlib.sha256(b"abc").hexdigest(),))
    assert describe("rumour") == ("message", ("rumour",))
    assert describe(None) == ("message", ("message",))
    assert describe(("call", True)) == ("tuple", ("tuple",))
