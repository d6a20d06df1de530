"""Which replica gets the next query."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.policy import FAILURE_MS, choose_replica, find_obstacle
from meshnode.routing.replica import Replica

NOW_MS = 100_000


def make_replica(peer: str, **fields) -> Replica:
    return Replica(
        **{"peer": peer, "author": b"", "name": peer, "models": ("m",), "slots": 1, **fields}
    )


def choose(replicas, model="m", **options) -> str | None:
    choice = choose_replica(replicas, model, now_ms=NOW_MS, **options)
    return None if choice is None else choice.replica.peer


def test_policy_takes_the_least_loaded_per_slot():
    replicas = [
        make_replica("a", slots=1, running=1),
        make_replica("b", slots=4, running=2, outstanding=1),
        make_replica("c", slots=2, running=1, queued=1),
    ]
    assert choose(replicas) == "b"


def test_policy_prefers_the_local_engine_when_loads_are_equal():
    assert choose([make_replica("a"), make_replica("z", local=True)], rotation=1) == "z"


def test_policy_takes_turns_when_loads_are_equal():
    replicas = [make_replica("c"), make_replica("a"), make_replica("b")]
    assert [choose(replicas, rotation=turn) for turn in range(4)] == ["a", "b", "c", "a"]


def test_policy_leaves_out_what_cannot_serve():
    replicas = [
        make_replica("a", draining=True),
        make_replica("b", models=("other",)),
        make_replica("c", shareable=False),
        make_replica("d"),
        make_replica("e", models=()),
    ]
    assert choose(replicas, excluded=("d",)) is None
    obstacles = [find_obstacle(replica, "m", excluded=("d",)) for replica in replicas]
    assert obstacles == [
        "draining",
        "serves other",
        "serves its owner only",
        "tried already",
        "serves nothing",
    ]


def test_policy_serves_the_owner_when_an_engine_is_not_shareable():
    assert choose([make_replica("a", local=True, shareable=False)]) == "a"


def test_policy_uses_a_failed_replica_only_when_nothing_else_is_left():
    failed = make_replica("a", failed_ms=NOW_MS - FAILURE_MS + 1)
    assert choose([failed, make_replica("b", running=9)]) == "b"
    assert choose([failed]) == "a"
    recovered = make_replica("a", failed_ms=NOW_MS - FAILURE_MS)
    assert choose([recovered, make_replica("b", running=9)]) == "a"


def test_policy_explains_each_replica():
    replicas = [
        make_replica("b", running=1, failed_ms=NOW_MS),
        make_replica("a", models=("x",)),
        make_replica("c"),
    ]
    choice = choose_replica(replicas, "m", now_ms=NOW_MS)
    assert choice is not None
    assert choice.model == "m"
    assert choice.explain == (
        "a: serves x",
        "b: 1 requests on 1 slots, failed lately",
        "c: 0 requests on 1 slots",
    )


def test_policy_names_the_model_when_asked_for_auto():
    choice = choose_replica([make_replica("a", models=("x", "y"))], "auto", now_ms=NOW_MS)
    assert choice is not None
    assert choice.model == "x"


counts = st.integers(0, 20)


@given(
    st.lists(
        st.builds(
            make_replica,
            st.sampled_from("abcdef"),
            slots=counts,
            running=counts,
            queued=counts,
            outstanding=counts,
            draining=st.booleans(),
        ),
        unique_by=lambda replica: replica.peer,
    ),
    st.integers(0, 100),
    st.randoms(),
)
def test_policy_does_not_depend_on_the_order_of_replicas(replicas, rotation, random):
    shuffled = list(replicas)
    random.shuffle(shuffled)
    chosen = choose(replicas, rotation=rotation)
    assert choose(shuffled, rotation=rotation) == chosen
    assert (chosen is None) == all(replica.draining for replica in replicas)
