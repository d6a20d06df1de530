"""Runs as files: what is read back is what was written, and nothing else is read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulations.fuzzing.spec import (
    NODES_MAX,
    NODES_MIN,
    VERTICES_MIN,
    BadPlan,
    draw_spec,
    load_spec,
    save_spec,
)


def test_spec_is_read_back_as_it_was_written(tmp_path: Path):
    path = tmp_path / "plan.jsonl"
    for seed in range(20):
        spec = draw_spec(seed, mutant="no-pull")
        save_spec(spec, path)
        assert load_spec(path) == spec
        assert len(path.read_text().splitlines()) == 1 + len(spec.faults)


def test_specs_are_small_meshes_with_enough_to_say():
    for seed in range(200):
        spec = draw_spec(seed)
        assert NODES_MIN <= spec.nodes <= NODES_MAX
        assert spec.publications >= VERTICES_MIN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b"[1]\n",
        b'{"seed":1,"nodes":4,"safety_ms":1}\n{"fault":"meteor"}\n',
        b"\xff\n",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "plan.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadPlan):
        load_spec(path)


def test_other_formats_and_missing_files_are_refused(tmp_path: Path):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(1), path)
    path.write_text(path.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(BadPlan, match="format 2"):
        load_spec(path)
    with pytest.raises(BadPlan):
        load_spec(tmp_path / "nothing")


def test_blocks_are_made_only_where_that_is_asked_for():
    assert not draw_spec(5).order
    assert draw_spec(5, order=True) == msgspec.structs.replace(draw_spec(5), order=True)
