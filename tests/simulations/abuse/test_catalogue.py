"""Every attack has a name of its own that fits the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.abuse.catalogue import ROWS
from simulations.abuse.rows import Row
from simulations.commands.abuse import FIGURE_CHARS_MAX, NAME_CHARS_MAX

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_row_fits_the_table_and_names_files_that_exist(row: Row):
    assert len(row.name) <= NAME_CHARS_MAX
    assert len(row.figure) <= FIGURE_CHARS_MAX
    folder = ROOT
    for name in row.code.split(", "):
        folder = (ROOT / name).parent if "/" in name else folder
        assert (folder / Path(name).name).is_file(), name


def test_page_has_the_line_of_every_row():
    page = (ROOT / "docs" / "abuse.md").read_text(encoding="utf-8").splitlines()
    lines = {line.split(" | ")[0]: line for line in page if line.startswith("| `")}
    assert list(lines) == [f"| `{name}`" for name in ROWS]
    for name, row in ROWS.items():
        line = lines[f"| `{name}`"]
        assert f" | {row.attack} | {row.defence} | " in line
        assert line.endswith(f" | {row.bound:,} |")
