"""One table of the settings file is replaced; what a person wrote beside it stays."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.config_table import replace_table, write_table
from meshnode.errors import ConfigError

OURS = {"provider": "moonshot", "max_tokens": 5, "temperature": 0.5}
WRITTEN = '[kimi]\n# c\nprovider = "moonshot"\nmax_tokens = 5\ntemperature = 0.5\n'


def replace(text):
    return replace_table(text, "kimi", OURS, comment="c")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", WRITTEN),
        ('name = "a"', f'name = "a"\n\n{WRITTEN}'),
        ('# mine\nname = "a"\n', f'# mine\nname = "a"\n\n{WRITTEN}'),
        ('[kimi]\nprovider = "local"\n', WRITTEN),
        (
            '# top\n[kimi]\nprovider = "local"\n\n# about options\n[engine_options]\nslots = 2\n',
            f"# top\n{WRITTEN}\n# about options\n[engine_options]\nslots = 2\n",
        ),
        ("[kimi]\n[engine_options]\n", f"{WRITTEN}\n[engine_options]\n"),
    ],
)
def test_table_is_replaced_or_added(before, after):
    assert replace(before) == after
    assert replace(after) == after


@pytest.mark.parametrize(
    "text", ["kimi = {provider = 'local'}\n", "kimi.provider = 'local'\n", 'x = """\n[kimi]\n"""\n']
)
def test_table_of_another_form_is_left_alone(text):
    with pytest.raises(ConfigError, match="cannot be replaced"):
        replace(text)


def test_broken_file_is_left_alone(tmp_path):
    with pytest.raises(ConfigError, match="not TOML"):
        replace("name = ")
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        write_table(path, "kimi", OURS, comment="c")
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        write_table(path, "kimi", OURS, comment="c")
    other = tmp_path / "other.toml"
    other.write_text("#" * 65_530 + "\n")
    with pytest.raises(ConfigError, match="larger than"):
        write_table(other, "kimi", OURS, comment="c")


def test_file_and_its_folder_are_made(tmp_path):
    path = tmp_path / "home" / "config.toml"
    write_table(path, "kimi", OURS, comment="c")
    write_table(path, "kimi", OURS, comment="c")
    assert path.read_text() == WRITTEN
    assert path.stat().st_mode & 0o777 == 0o600


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]), st.one_of(st.integers(0, 9), st.text(max_size=20))
    )
)
def test_any_value_reads_back(values):
    text = replace_table('name = "x"\n', "kimi", values, comment="c")
    assert tomllib.loads(text) == {"name": "x", "kimi": values}
