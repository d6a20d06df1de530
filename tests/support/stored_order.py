"""What a store whose process is gone holds, and the order that follows from it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from consensus.block import BlockBody
from dag.canonical import CanonicalDecoder, encode
from dag.genesis import Genesis
from dag.identity import derive_public_keys, make_profile
from dag.order import Commit
from dag.types import BODY_BYTES_MAX, LANE_BLOCKS
from dag.vertex import SignedVertex
from meshnode.core.effects import Emit
from meshnode.core.events import Committed
from meshnode.core.node import Node
from meshnode.core.recovered import Recovered
from meshnode.core.settings import Settings
from meshnode.home import open_home
from meshnode.shell.store import FILE_NAME, Store

_body_decoder = CanonicalDecoder(BlockBody, what="block", bytes_max=BODY_BYTES_MAX)


def read_stored(home: Path) -> Recovered:
    """Read a journal from a copy: opening the original would repair what a kill left."""
    with tempfile.TemporaryDirectory() as folder:
        copy_store(home, Path(folder))
        with closing(Store.open_readonly(Path(folder) / FILE_NAME)) as store:
            return store.load()


def copy_store(home: Path, folder: Path) -> None:
    """Copy the journal of a home whose process is gone, as it lies there."""
    folder.mkdir(exist_ok=True)
    for path in _list_files(_find_journal(home).parent):
        shutil.copy(path, folder)


def put_back_store(copy: Path, home: Path) -> None:
    """Replace the journal of a home by a copy, and remove the copy."""
    folder = _find_journal(home).parent
    for path in _list_files(folder):
        path.unlink()
    for path in _list_files(copy):
        shutil.move(path, folder)


def _find_journal(home: Path) -> Path:
    (journal,) = (home / "networks").glob(f"*/{FILE_NAME}")
    return journal


def _list_files(folder: Path) -> list[Path]:
    """The journal and its log; the log's index is made anew by whoever opens them."""
    return [path for path in (folder / FILE_NAME, folder / f"{FILE_NAME}-wal") if path.exists()]


def list_ids(stored: Recovered) -> dict[str, None]:
    """The ids of all vertices of a store, in hex."""
    return dict.fromkeys(signed.id.hex() for signed in stored.vertices)


def fold_again(home: Path, genesis: Genesis, stored: Recovered) -> list[Commit]:
    """The order as a restart would find it: every commit since the genesis."""
    identity = open_home(home, check=False).ensure_identity(None, now_ms=0)
    keys = derive_public_keys(identity.secrets, genesis.suite)
    settings = Settings(
        genesis=genesis,
        author=identity.compute_author(genesis.suite),
        transport="nobody",
        addresses=(),
        profile=encode(make_profile(keys, name=home.name)),
    )
    node = Node(settings, bytes(32), replace(stored, delivered=0))
    events = [effect.event for effect in node.start(0) if isinstance(effect, Emit)]
    return [event.commit for event in events if isinstance(event, Committed)]


def read_block(signed: SignedVertex) -> BlockBody:
    """The body of a lane-1 vertex."""
    return _body_decoder.decode(signed.vertex.body)


class Places:
    """Every place in a chain or round that an author has filled, over several stores."""

    def __init__(self) -> None:
        self._filled: dict[tuple[bytes, str, int, int], bytes] = {}

    def fill(self, stored: Recovered) -> list[str]:
        """Take in a store; answers the places that are filled twice by now, in words."""
        twins = []
        for signed in stored.vertices:
            said = signed.vertex
            places = [(said.author, "lane", said.lane, said.seq)]
            if said.lane == LANE_BLOCKS:
                body = read_block(signed)
                places.append((said.author, "epoch", body.epoch, body.round))
            twins += [
                f"{place[0].hex()[:8]} {place[1:]}"
                for place in places
                if self._filled.setdefault(place, signed.id) != signed.id
            ]
        return twins
