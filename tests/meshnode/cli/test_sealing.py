"""What people are told of sealed content, and how they replace the keys for it."""

from __future__ import annotations

from meshnode.cli.ask import describe_answer
from meshnode.cli.status import describe_status
from meshnode.sealing_views import SealingInfo
from tests.support.cli import run_command
from tests.support.views import make_answer, make_status

SEALING = SealingInfo(
    key="ab12" * 8, made_ms=1_700_000_000_000, older_keys=1, asked=3, answered=4, refused=0
)


def show(sealing):
    lines = describe_status(make_status(sealing=sealing), [])
    return [line for line in lines if line.startswith("sealed")]


def test_status_tells_of_the_key_and_of_what_was_sealed():
    (line,) = show(SEALING)
    assert "key ab12ab12, made 20" in line
    assert line.endswith("3 asked and 4 answered")
    (line,) = show(SealingInfo(key=None, made_ms=0, older_keys=0, asked=0, answered=0, refused=2))
    assert "no key" in line
    assert line.endswith("2 refused")
    assert show(None) == []


def test_answer_says_whether_it_was_sealed():
    assert describe_answer(make_answer(sealed=True)).endswith(", sealed")
    assert "sealed" not in describe_answer(make_answer())


def test_identity_rotate_makes_another_pair_and_erases_where_told(capsys, home):
    before = run_command(capsys, "identity", "show", "--json").document
    outcome = run_command(capsys, "identity", "rotate")
    assert outcome.code == 0
    shown = run_command(capsys, "identity", "show", "--json").document
    assert outcome.out.strip() == shown["sealing_key"] != before["sealing_key"]
    assert (before["older_sealing_keys"], shown["older_sealing_keys"]) == (0, 1)
    assert shown["author"] == before["author"]
    assert "1 before it not erased yet" in run_command(capsys, "identity", "show").out
    erased = run_command(capsys, "identity", "rotate", "--erase")
    assert "are erased" in erased.err
    assert run_command(capsys, "identity", "show", "--json").document["older_sealing_keys"] == 0
