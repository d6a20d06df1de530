"""The records people and scripts are shown survive JSON, and refuse what they are not."""

from __future__ import annotations

import json

import pytest

from meshnode import event_views, views
from meshnode.errors import MalformedMessage
from tests.support.views import make_answer, make_status, make_vertex

MODEL = views.ModelView(id="m", engine="echo", context_tokens=10)
STATUS = make_status(offences={"malformed": 2})
ANSWER = make_answer(attempts=("b: gone",))
VERTEX = make_vertex("note", "alice", 1)
DETAIL = views.VertexDetail(vertex=VERTEX, body={"title": "t"}, wire="ff")
PEER = views.PeerInfo(author="00", name="b", models=(MODEL,))
HEADS = views.HeadsInfo(
    digest="22", vertices=1, lamport=1, heads=(views.RefView(lamport=1, id="33"),)
)
STREAM = [
    views.Started(model="m", engine="e", author="00", peer="p", name="a", local=False),
    views.Delta(text="t", chunk={"choices": []}),
    views.Finished(answer=ANSWER),
]
EVENTS = [
    event_views.VertexSeen(vertex=VERTEX, own=True),
    event_views.PeerJoined(peer="p", author="00", name="b"),
    event_views.PeerLeft(peer="p", author="00", reason="gone"),
    event_views.PeerServing(
        peer="p", author="00", models=(MODEL,), slots=1, running=0, queued=0, draining=False
    ),
    event_views.ForkFound(author="00", lane=0, seq=1, first="1", second="2"),
    event_views.OffenceCounted(peer="p", offence="malformed", detail="d"),
    event_views.NoPeers(tried=(("/ip4/1.2.3.4", "refused"),)),
    event_views.VerticesOrdered(commit_index=1, commit_digest="11", time_ms=2, vertices=("22",)),
    event_views.EventsLost(),
    event_views.CommitteeChanged(epoch=1, commit_index=7),
    event_views.OrderJoined(commit_index=4),
    event_views.OrderStopped(reason="more lie than it bears"),
    event_views.VertexRepeated(first="aa" * 32, again="bb" * 32),
]


@pytest.mark.parametrize(
    "view", [STATUS, ANSWER, DETAIL, PEER, HEADS], ids=lambda v: type(v).__name__
)
def test_view_survives_json(view):
    data = json.loads(json.dumps(view.to_json()))
    assert type(view).from_json(data) == view


def test_view_names_its_schema_when_it_stands_alone():
    assert STATUS.to_json()["schema"] == "meshnode.status/1"
    assert "schema" not in PEER.to_json()


def test_view_ignores_fields_of_newer_versions():
    assert views.PeerInfo.from_json({**PEER.to_json(), "mood": "good"}) == PEER


def test_view_names_the_field_when_it_is_malformed():
    with pytest.raises(MalformedMessage, match="rtt_ms"):
        views.PeerInfo.from_json({**PEER.to_json(), "rtt_ms": "slow"})


@pytest.mark.parametrize("item", STREAM, ids=lambda v: v.type)
def test_stream_item_survives_json(item):
    assert views.read_stream_item(json.loads(json.dumps(item.to_json()))) == item


@pytest.mark.parametrize("event", EVENTS, ids=lambda v: v.type)
def test_event_survives_json(event):
    assert event_views.read_event(json.loads(json.dumps(event.to_json()))) == event


@pytest.mark.parametrize("data", [None, {}, {"type": 3}, {"type": "party"}])
def test_event_is_refused_when_its_type_is_unknown(data):
    with pytest.raises(MalformedMessage, match="type"):
        event_views.read_event(data)


def test_list_document_survives_json():
    document = json.loads(json.dumps(views.make_list_document("peers", [PEER])))
    assert document["schema"] == "meshnode.peers/1"
    assert views.read_list_document("peers", views.PeerInfo, document) == [PEER]


@pytest.mark.parametrize("data", [None, {}, {"peers": 1}])
def test_list_document_is_refused_when_it_has_no_list(data):
    with pytest.raises(MalformedMessage, match="peers"):
        views.read_list_document("peers", views.PeerInfo, data)
