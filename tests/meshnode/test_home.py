"""The home folder: one identity, its networks, one process, one machine."""

from __future__ import annotations

import stat

import pytest

from dag.keys import derive_secret_keys
from meshnode.errors import ConfigError, KeystoreError, StorageError, Unavailable
from meshnode.home import (
    Bootstrap,
    Membership,
    get_default_home,
    open_home,
    rebind_home,
)
from meshnode.keystore import open_key_store
from meshnode.node.setup import OPEN_LIMITS
from meshnode.sealing import KdfCost
from meshnode.secret import Secret

FAST = KdfCost(operations=2, memory_bytes=19 * 2**20)


@pytest.fixture
def home(tmp_path):
    return open_home(tmp_path / "home", machine="this")


@pytest.fixture
def identity(home):
    return home.ensure_identity(None, now_ms=5)


def found(home, identity, name="lab", **options):
    return home.create_network(
        identity, name=name, founder_name="ada", now_ms=9, suite="ed25519", **options
    )


def test_fresh_home_is_private_and_empty(home):
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert home.key_mode is None
    assert home.get_current_network() is None
    assert home.get_port() is None


def test_home_that_others_may_change_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="chmod 700"):
        open_home(tmp_path / "open")


def test_copied_home_is_refused_and_can_be_rebound(home):
    with pytest.raises(Unavailable, match="is a copy"):
        open_home(home.path, machine="that")
    open_home(home.path, machine="that", check=False)
    rebind_home(home.path, machine="that")
    open_home(home.path, machine="that")


def test_identity_is_made_once_and_kept(home, identity):
    again = home.ensure_identity(None, now_ms=99)
    assert again.secrets.ed25519_seed == identity.secrets.ed25519_seed
    assert (again.mode, again.created_ms) == ("unencrypted-demo", 5)
    assert again.compute_author("ed25519") != again.compute_author("hybrid")


def test_sealing_keys_are_random_and_kept_beside_the_identity(home, identity):
    assert (home.path / "sealing.keys").exists()
    derived = derive_secret_keys(open_key_store(home.key_path, passphrase=None).seed)
    assert identity.secrets.x25519_seed != derived.x25519_seed
    assert identity.secrets.mlkem768_seed != derived.mlkem768_seed
    again = home.ensure_identity(None, now_ms=99)
    assert again.secrets.mlkem768_seed == identity.secrets.mlkem768_seed
    identity.ring_file.rotate(identity.ring, 100)
    rotated = home.ensure_identity(None, now_ms=101)
    assert rotated.secrets.mlkem768_seed == rotated.ring.current.mlkem768_secret
    assert rotated.secrets.mlkem768_seed != identity.secrets.mlkem768_seed
    assert rotated.compute_author("hybrid") == identity.compute_author("hybrid")


def test_identity_without_sealing_keys_begins_with_those_of_its_seed(home, identity):
    (home.path / "sealing.keys").unlink()
    again = home.ensure_identity(None, now_ms=99)
    derived = derive_secret_keys(open_key_store(home.key_path, passphrase=None).seed)
    assert again.secrets.mlkem768_seed == derived.mlkem768_seed
    assert again.ring.current.created_ms == 5, (
        "as old as the seed, and so replaced at the next start"
    )
    assert not (home.path / "sealing.keys").exists()


def test_sealing_keys_of_another_identity_are_refused(home, identity, tmp_path):
    other = open_home(tmp_path / "other", machine="this")
    other.ensure_identity(None, now_ms=5)
    (other.path / "sealing.keys").write_bytes((home.path / "sealing.keys").read_bytes())
    with pytest.raises(KeystoreError, match="no sealing keys of this identity"):
        other.ensure_identity(None, now_ms=6)


def test_encrypted_identity_needs_its_passphrase(home):
    home.ensure_identity(Secret("p"), now_ms=5, cost=FAST)
    assert home.key_mode == "encrypted"
    home.ensure_identity(Secret("p"), now_ms=6)
    with pytest.raises(KeystoreError, match="passphrase"):
        home.ensure_identity(Secret("q"), now_ms=6)


def test_retired_identity_is_kept_aside_with_its_networks(home, identity):
    network = found(home, identity)
    retired = home.retire_identity(now_ms=77)
    assert (retired / "networks" / network.directory.name / "genesis.bin").exists()
    assert home.get_current_network() is None
    fresh = open_home(home.path, machine="that").ensure_identity(None, now_ms=6)
    assert fresh.secrets.ed25519_seed != identity.secrets.ed25519_seed


def test_founded_network_is_current_and_reads_back(home, identity):
    network = found(home, identity, kind="demo", share="digest")
    assert home.get_current_network() == network
    assert network.genesis.kind == "demo"
    assert network.genesis.parameters.share == "digest"
    assert network.genesis.committee[0].author == identity.compute_author("ed25519")
    assert network.membership == Membership()
    assert network.directory.name == network.network.hex()[:16]
    assert network.invitations_path.parent == network.directory
    assert stat.S_IMODE((network.directory / "genesis.bin").stat().st_mode) == 0o600


def test_two_networks_of_one_name_differ(home, identity):
    first, second = found(home, identity), found(home, identity)
    assert first.network != second.network
    assert home.get_current_network() == second
    assert first.directory.is_dir() and second.directory.is_dir()
    home.select_network(first.network)
    assert home.get_current_network() == first


def test_network_name_over_its_limit_is_refused(home, identity):
    with pytest.raises(Exception, match="1 to 64 characters"):
        found(home, identity, name="x" * 65)
    assert home.get_current_network() is None


def test_membership_reads_back_and_is_never_replaced(home, identity):
    genesis = found(home, identity).genesis
    other = open_home(home.path.parent / "other", machine="this")
    membership = Membership(b"i" * 32, b"invitation", (b"v",), (Bootstrap("p", ("/ip4/x",)),))
    assert other.add_network(genesis, membership).membership == membership
    assert other.add_network(genesis, Membership()).membership == membership


def test_damaged_network_folders_are_named(home, identity):
    network = found(home, identity)
    path = network.directory / "membership.bin"
    path.write_bytes(b"\x00")
    with pytest.raises(StorageError, match="damaged"):
        home.get_current_network()
    path.unlink()
    with pytest.raises(StorageError, match="missing"):
        home.get_current_network()
    renamed = network.directory.with_name("0" * 16)
    network.directory.rename(renamed)
    with pytest.raises(StorageError, match="names no network"):
        home.get_current_network()
    home.add_network(network.genesis, Membership())
    (renamed / "membership.bin").write_bytes((network.directory / "membership.bin").read_bytes())
    (renamed / "membership.bin").chmod(0o600)
    (home.path / "current").write_text(renamed.name)
    with pytest.raises(StorageError, match="holds the genesis of"):
        home.get_current_network()


@pytest.mark.parametrize("content", [b"../../etc", b"", b"zz", b"\xff" * 16, b"................"])
def test_current_that_names_no_network_is_refused(home, content):
    path = home.path / "current"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageError, match="names no network"):
        home.get_current_network()


def test_port_is_remembered_where_none_is_asked_for(home):
    assert home.resolve_listen("/ip4/0.0.0.0/tcp/0") == "/ip4/0.0.0.0/tcp/0"
    home.remember_port(4_100)
    home.remember_port(4_100)
    assert home.resolve_listen("/ip4/0.0.0.0/tcp/0") == "/ip4/0.0.0.0/tcp/4100"
    assert home.resolve_listen("/ip4/0.0.0.0/tcp/5") == "/ip4/0.0.0.0/tcp/5"
    (home.path / "port").write_bytes(b"99999")
    assert home.get_port() is None


def test_name_is_remembered_and_nonsense_is_not(home):
    assert home.get_name() == ""
    home.remember_name("Ümits Küche")
    home.remember_name("Ümits Küche")
    assert home.get_name() == "Ümits Küche"
    (home.path / "name").write_bytes(b"two\nlines")
    assert home.get_name() == ""


def test_second_process_is_refused_and_told_who_holds_the_home(home):
    with (
        home.lock(now_ms=1),
        pytest.raises(ConfigError, match=r"another meshnode, pid \d+, since \d\d:\d\d"),
        home.lock(now_ms=2),
    ):
        pass
    with home.lock(now_ms=3):
        (home.path / "node.lock").write_text("?")
        with pytest.raises(ConfigError, match="another process"), home.lock(now_ms=4):
            pass


def test_paths_lie_in_the_home(home):
    for path in (home.runtime_path, home.logs_path, home.key_path):
        assert path.parent == home.path
    assert get_default_home().name == "meshnode"


def test_open_network_limits_newcomers(home, identity):
    network = found(home, identity, newcomers=OPEN_LIMITS)
    assert network.genesis.parameters.open
    assert network.genesis.newcomers == OPEN_LIMITS
