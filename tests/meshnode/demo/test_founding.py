"""The founders of a demo: homes of one network, whose genesis says who they are and where."""

from __future__ import annotations

from dag.genesis import compute_network_id
from meshnode.demo.founding import find_free_ports, found_network
from meshnode.home import open_home

NAMES = ("ada", "bell", "curie")


def test_founders_are_the_validators_of_one_network(tmp_path):
    found_network(tmp_path, NAMES)
    homes = [open_home(tmp_path / name) for name in NAMES]
    found = [home.get_current_network() for home in homes]
    networks = [network for network in found if network is not None]
    assert len(networks) == len(homes)
    (genesis,) = {network.genesis for network in networks}
    authors = [home.ensure_identity(None, now_ms=0).compute_author("hybrid") for home in homes]
    assert [validator.author for validator in genesis.committee] == authors
    assert [founder.name for founder in genesis.founders] == [home.get_name() for home in homes]
    assert [(grant.account, grant.amount) for grant in genesis.grants] == [
        (author, 1_000_000_000) for author in authors
    ]
    assert genesis.kind == "demo"
    assert all(network.network == compute_network_id(genesis) for network in networks)
    assert not any(network.membership.inviter for network in networks)


def test_genesis_says_where_each_founder_listens(tmp_path):
    found_network(tmp_path, NAMES)
    for position, name in enumerate(NAMES):
        home = open_home(tmp_path / name)
        network = home.get_current_network()
        assert network is not None
        (address,) = network.genesis.founders[position].addresses
        assert f"/tcp/{home.get_port()}/p2p/" in address


def test_free_ports_differ():
    assert len(set(find_free_ports(8))) == 8
