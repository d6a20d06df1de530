"""A copied home folder is refused, with both ways out."""

from __future__ import annotations

import shutil

import pytest

from meshnode.errors import Unavailable
from meshnode.host_binding import bind_host, check_host, read_machine_digest


def test_fresh_folder_is_bound_and_accepted_again(tmp_path):
    check_host(tmp_path, "this")
    check_host(tmp_path, "this")


def test_folder_of_another_machine_is_refused_until_rebound(tmp_path):
    check_host(tmp_path, "that")
    with pytest.raises(Unavailable, match=r"identity new.*identity rebind"):
        check_host(tmp_path, "this")
    bind_host(tmp_path, "this")
    check_host(tmp_path, "this")


def test_copy_on_the_same_machine_is_refused_and_a_renamed_folder_is_not(tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    check_host(original, "this")
    shutil.copytree(original, tmp_path / "copy")
    with pytest.raises(Unavailable, match="is a copy"):
        check_host(tmp_path / "copy", "this")
    check_host(original.rename(tmp_path / "renamed"), "this")


def test_machine_digest_is_stable_and_hides_the_id(tmp_path):
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef\n")
    digest = read_machine_digest(path)
    assert digest == read_machine_digest(path)
    assert "0123456789abcdef" not in digest
    assert (
        digest
        != read_machine_digest(tmp_path / "absent")
        == read_machine_digest(tmp_path / "other")
    )
