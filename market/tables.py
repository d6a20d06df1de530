"""Tables of the state: records by key, with a digest that costs what has changed.

A table's digest is a tree of three levels: records, buckets by the first two bytes of the key, and
groups of buckets by the first. Only buckets that hold a changed record are computed again. The
digest depends on the records alone, never on how they came to be there.

A record that is to be changed is taken by `edit`, which notes the change. What `get` answers is to
be read only; `put` adds and `drop` removes. Whoever keeps something of its own about the records of a table, as a sum, watches it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, ValuesView
from typing import Final, Generic, TypeVar

from dag.canonical import compute_digest, encode

R = TypeVar("R")

ROW_DOMAIN: Final = b"meshnode/market-row/1"
BUCKET_KEY_BYTES: Final = 2


class Table(Generic[R]):
    """Records by key, and the digest over them."""

    def __init__(self, describe: Callable[[R], object] | None = None) -> None:
        """`describe` answers what of a record is digested, where it is not all or more than it."""
        self._describe = describe
        self._changed: dict[bytes, None] = {}
        """Keys whose change neither the digest nor the watcher has seen."""
        self.by_key: Final[dict[bytes, R]] = {}
        """For inner loops: whoever changes it, or a record in it, calls `note_change`."""
        self.get: Final[Callable[[bytes], R | None]] = self.by_key.get
        """A record to be read. This and the next are dictionaries' own methods: calls that cost
        no frame, where every trade makes two dozen of them."""
        self.note_change: Final[Callable[[bytes], object]] = self._changed.setdefault
        """A record is about to be added, changed or dropped."""
        self._undigested: dict[bytes, None] = {}
        self._unwatched: dict[bytes, None] | None = None
        self._leaves: dict[bytes, dict[bytes, bytes]] = {}
        """By bucket, the digest of each record."""
        self._groups: dict[bytes, dict[bytes, bytes]] = {}
        """By first byte, the digest of each bucket."""
        self._digests: dict[bytes, bytes] = {}
        """By first byte, the digest of its group."""

    def __len__(self) -> int:
        return len(self.by_key)

    def __contains__(self, key: bytes) -> bool:
        return key in self.by_key

    def edit(self, key: bytes) -> R:
        """A record to be changed. Raises `KeyError` where there is none: look first."""
        row = self.by_key[key]
        self._changed[key] = None
        return row

    def put(self, key: bytes, row: R) -> R:
        """Add or replace a record, and answer it."""
        self.by_key[key] = row
        self._changed[key] = None
        return row

    def drop(self, key: bytes) -> R:
        """Remove a record and answer it. Raises `KeyError` where there is none."""
        self._changed[key] = None
        return self.by_key.pop(key)

    def rows(self) -> ValuesView[R]:
        """Every record, in no order that nodes agree on: for sums and for looking only."""
        return self.by_key.values()

    def items(self) -> Iterator[tuple[bytes, R]]:
        """Every record with its key, keys ascending."""
        return iter(sorted(self.by_key.items(), key=_get_key))

    def watch(self) -> None:
        """From now on somebody asks for changes; all that is there counts as changed."""
        self._unwatched = dict.fromkeys(self.by_key)

    def take_changes(self) -> dict[bytes, None]:
        """Keys of records that were changed, added or dropped since this was last asked."""
        self._pass_on()
        taken, self._unwatched = self._unwatched, {}
        return taken or {}

    def _pass_on(self) -> None:
        self._undigested.update(self._changed)
        if self._unwatched is not None:
            self._unwatched.update(self._changed)
        self._changed.clear()

    def digest(self) -> bytes:
        """The digest of all records; what has not changed since is not computed again."""
        groups: dict[bytes, dict[bytes, None]] = {}
        for bucket in self._refresh_leaves():
            leaves = self._leaves[bucket]
            group = self._groups.setdefault(bucket[:1], {})
            if leaves:
                group[bucket] = _join(leaves)
            else:
                group.pop(bucket, None)
                del self._leaves[bucket]
            groups[bucket[:1]] = {}
        for prefix in groups:
            self._digests[prefix] = _join(self._groups[prefix])
        present = {
            prefix: self._digests[prefix] for prefix in self._digests if self._groups[prefix]
        }
        return _join(present)

    def _refresh_leaves(self) -> dict[bytes, None]:
        """Digest the changed records; answers the buckets they are in."""
        self._pass_on()
        buckets: dict[bytes, None] = {}
        for key in self._undigested:
            bucket = key[:BUCKET_KEY_BYTES]
            buckets[bucket] = None
            leaves = self._leaves.setdefault(bucket, {})
            row = self.by_key.get(key)
            if row is None:
                leaves.pop(key, None)
            else:
                value = row if self._describe is None else self._describe(row)
                leaves[key] = compute_digest(ROW_DOMAIN, key + encode(value))
        self._undigested.clear()
        return buckets

    def dump(self) -> tuple[tuple[bytes, R], ...]:
        """Every record with its key, for a snapshot."""
        return tuple(self.items())


def load_table(rows: tuple[tuple[bytes, R], ...]) -> Table[R]:
    """A table of a snapshot's records."""
    table: Table[R] = Table()
    for key, row in rows:
        table.put(key, row)
    return table


def _get_key(item: tuple[bytes, object]) -> bytes:
    return item[0]


def _join(digests: dict[bytes, bytes]) -> bytes:
    content = hashlib.sha256()
    for key in sorted(digests):
        content.update(len(key).to_bytes(2, "big") + key)
        content.update(digests[key])
    return content.digest()
