"""What the kernel knows of a node's process: processor, memory, files, threads, bytes of its network.

    before = read_process(pid)
    ...
    print(read_process(pid).cpu_s - before.cpu_s)

Bytes are those of the interface of the process's own network (see `tests.support.netns`), with every
header, acknowledgement and retransmission: more than any program counts of itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemons import read_cpu_s, read_rss_kib

INTERFACE = "eth0"
ESTABLISHED = "01"
"""As the kernel's table of connections has it."""


@dataclass(frozen=True)
class ProcessReading:
    """A process at one moment."""

    at_s: float
    """Of the monotonic clock."""
    cpu_s: float
    rss_kib: int
    files: int
    threads: int
    sent_bytes: int
    """Of its host's interface; 0 for a process that shares the machine's network."""
    received_bytes: int
    sent_packets: int
    resent: int
    """TCP segments sent again, by all of its host."""


def read_process(pid: int) -> ProcessReading:
    """Read a process of this user. Raises `OSError` when it is gone."""
    folder = Path(f"/proc/{pid}")
    received_bytes, sent_bytes, sent_packets = _read_interface(folder / "net/dev")
    return ProcessReading(
        at_s=time.monotonic(),
        cpu_s=read_cpu_s(pid),
        rss_kib=read_rss_kib(pid)[0],
        files=sum(1 for _ in (folder / "fd").iterdir()),
        threads=sum(1 for _ in (folder / "task").iterdir()),
        sent_bytes=sent_bytes,
        received_bytes=received_bytes,
        sent_packets=sent_packets,
        resent=_read_resent(folder / "net/snmp"),
    )


def list_connections(pid: int) -> list[tuple[str, int]]:
    """The other ends of the TCP connections of a process's network that stand, over IPv4."""
    ends = []
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, _, remote, state = line.split()[:4]
        if state == ESTABLISHED:
            host, port = (bytes.fromhex(part) for part in remote.split(":"))
            ends.append((".".join(str(byte) for byte in reversed(host)), int.from_bytes(port)))
    return ends


def _read_interface(path: Path) -> tuple[int, int, int]:
    for line in path.read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == INTERFACE:
            fields = rest.split()
            return int(fields[0]), int(fields[8]), int(fields[9])
    return 0, 0, 0


def _read_resent(path: Path) -> int:
    names, values = (
        line.split()
        for line in path.read_text(encoding="ascii").splitlines()
        if line.startswith("Tcp:")
    )
    return int(values[names.index("RetransSegs")])
