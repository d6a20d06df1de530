"""Own keys verify own vertices even before the own profile is stored."""

from __future__ import annotations

from dag.authors import AuthorRegistry
from meshnode.core.directory import Directory
from tests.support.dag_builder import make_genesis, make_person


def test_directory_knows_members_and_itself():
    member, own, stranger = (make_person(number) for number in range(3))
    directory = Directory(AuthorRegistry(make_genesis([member])), own.author, own.keys)
    assert directory.get_keys(member.author) == member.keys
    assert directory.get_keys(own.author) == own.keys
    assert directory.get_keys(stranger.author) is None
