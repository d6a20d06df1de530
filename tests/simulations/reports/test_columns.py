"""Plans replayed as a log: the same run, one line per event."""

from __future__ import annotations

import pytest

from dag.errors import Offence
from meshnode.core.events import Alone, ForkSeen, OffenceSeen, PeerServes, PublishFailed
from simulations.faults import Byzantine, Crash, Cut, Pause, Restore, Skew, Twins
from simulations.fuzzing.run import run
from simulations.fuzzing.spec import Spec
from simulations.reports.columns import Columns, replay_with_log
from tests.support.recorded import run_mesh

PLAN = (
    Skew(number=1, host=1, offset_ms=40, skew_ppb=100),
    Twins(number=2, host=3, viewers=(0,)),
    Crash(number=3, host=0, at_ms=3_000, down_ms=700),
    Pause(number=4, host=1, at_ms=3_100, for_ms=900),
    Cut(number=5, at_ms=2_000, for_ms=800, sources=(0,), targets=(1, 2)),
    Byzantine(number=6, host=3, at_ms=1_500, for_ms=3_000, behaviour="garble", percent=90),
    Restore(number=7, host=2, percent=50),
)


@pytest.fixture(scope="module")
def spec() -> Spec:
    return Spec(seed=4, nodes=4, safety_ms=6_000, publications=30, faults=PLAN)


def test_a_log_tells_a_run_and_does_not_change_it(spec: Spec):
    lines: list[str] = []
    result = replay_with_log(spec, lines.append)
    assert result == run(spec)
    text = "\n".join(lines)
    for part in (
        "from the start: skew host=1",
        "from the start: twins host=3",
        "after healing: restore host=2",
        "fault: crash host=0 at_ms=3000",
        "node-0 crashes",
        "node-0 starts again",
        "is ready with",
        "publishes",
        "admits",
        "loses node-",
        "against node-3",
    ):
        assert part in text, part
    assert lines[0].split() == ["time", "ms", "|", "0", "1", "2", "3", "4", "|"]
    assert lines[-1].endswith("clean" if result.is_clean else f"broken: {result.message}")
    assert any("z " in line for line in lines)
    bars = {line.index("|", 15) for line in lines[:-1]}
    assert len(bars) == 1


def test_a_log_of_messages_is_longer_and_ends_at_its_limit(spec: Spec):
    few: list[str] = []
    replay_with_log(spec, few.append)
    many: list[str] = []
    replay_with_log(spec, many.append, messages=True)
    assert len(many) > 2 * len(few)
    assert any("to node-2: Push " in line for line in many)
    short: list[str] = []
    replay_with_log(spec, short.append, messages=True, lines_max=20)
    assert len(short) == 22
    assert short[20].endswith("lines left out")


def test_a_broken_promise_is_the_last_line():
    spec = Spec(seed=1, nodes=4, safety_ms=3_000, publications=20, heal_ms=1)
    lines: list[str] = []
    result = replay_with_log(spec, lines.append)
    assert result.check == "liveness"
    assert "broken: " in lines[-1]


def test_rare_facts_have_words_too():
    lines: list[str] = []
    log = Columns(lines.append)
    mesh = run_mesh(log)
    del lines[:]
    for event in (
        PublishFailed(1, "too\nlarge"),
        Alone(()),
        ForkSeen(b"", 0, 1, b"\x01" * 32, b"\x02" * 32),
        OffenceSeen("stranger", next(iter(Offence)), "why"),
        PeerServes("x", b"", (), 1, 0, 0, draining=False),
    ):
        log.on_fact(mesh[0], event)
    assert [line.split("| ")[-1] for line in lines] == [
        "node-0 cannot publish: too large",
        "node-0 is alone",
        "node-0 sees a fork: 01010101 and 02020202",
        f"node-0 counts {next(iter(Offence)).value} against stranger: why",
    ]
