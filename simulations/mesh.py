"""The hosts of one simulated network, looked at together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.world import World


class Mesh(Sequence["Host"]):
    """A sequence of hosts with one genesis."""

    def __init__(self, world: World, hosts: Sequence[Host]) -> None:
        self.world = world
        self._hosts = list(hosts)

    @overload
    def __getitem__(self, index: int) -> Host: ...

    @overload
    def __getitem__(self, index: slice) -> list[Host]: ...

    def __getitem__(self, index: int | slice) -> Host | list[Host]:
        return self._hosts[index]

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts)

    @property
    def up(self) -> list[Host]:
        """Hosts that run."""
        return [host for host in self._hosts if host.is_up]

    @property
    def meshed(self) -> bool:
        """Whether every running host is ready with every other."""
        up = self.up
        return bool(up) and all(len(host.core.get_ready_peers()) == len(up) - 1 for host in up)

    @property
    def converged(self) -> bool:
        """Whether every running host holds the same vertices, and none has any waiting."""
        views = [host.summarise() for host in self.up]
        same = len({(view.heads_digest, view.vertices) for view in views}) == 1
        return same and not any(view.quarantined or view.publications_queued for view in views)
