"""Named networks: the weather of measured places, so that results can be compared.

    ideal     20 ms, nothing is lost, bandwidth without end: what textbook models assume
    lan       0.25 ms, 10 Gbit/s
    cloud     13 AWS regions, jitter 5 %, loss 0.01 %, 1 Gbit/s
    internet  pairs as PlanetLab's (median 67 ms one way), jitter 20 %, loss 0.1 %; four nodes in
              five send 50 Mbit/s, the fifth 1 Gbit/s
    home      pairs as `internet`, jitter 65 %, loss 1 %, 20 Mbit/s up
    hostile   drawn for every seed: exponential latency, loss to 30 %, doubled to 50 %

Loss takes datagrams away; on connections it is time, until what was lost is sent again.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulations import topology as graphs
from simulations.errors import BadModel
from simulations.fidelity import Fidelity
from simulations.kernel import NS_PER_MS
from simulations.latency import Constant, Latency, load_latency
from simulations.network import NetworkSettings
from simulations.streams import Streams, derive_seed
from simulations.world import World

if TYPE_CHECKING:
    import random

    from simulations.results import Value
    from simulations.topology import Topology

Preset = Literal["ideal", "lan", "cloud", "internet", "home", "hostile"]
TopologyName = Literal["regular", "small_world", "scale_free", "complete", "line", "tree"]
Crypto = Literal["none", "real", "cached"]

MBPS: Final = 1_000_000
GBPS: Final = 1_000_000_000
INTERNET_MEDIAN_MS: Final = 67.0
INTERNET_SIGMA: Final = 0.6
"""Spread between pairs; fits the upper half of PlanetLab's round trips (median 135, p95 325 ms)."""
INTERNET_FAST_PERCENT: Final = 20
HOSTILE_LOSS_MAX: Final = 0.3
HOSTILE_DUPLICATE_MAX: Final = 0.5
HOSTILE_MEAN_MS: Final = (5, 100)
TABLE_BYTES_MAX: Final = 16 << 20


class WorldParameters(BaseModel):
    """What every measurement is told of its network; values are checked, never converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    network: Preset = "ideal"
    latency: Annotated[str, Field(max_length=1_024)] = ""
    """A table that comes with the package (`aws-13`) or a CSV file, in place of the preset's."""
    latency_sha256: str = ""
    """Of the file; filled in, so that another table under the same path is another task."""

    @model_validator(mode="before")
    @classmethod
    def _name_table_by_content(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("latency"), str):
            return values
        if not values["latency"]:
            return values
        found = _digest_table(values["latency"])
        if values.get("latency_sha256") not in (None, "", found):
            raise ValueError(f"the table {values['latency']} is not the one this task was made for")
        return {**values, "latency_sha256": found}


class CoreParameters(WorldParameters):
    """What measurements of the real core are told besides."""

    fidelity: Fidelity = "objects"
    suite: Literal["ed25519", "hybrid"] = "ed25519"


@dataclass(frozen=True, slots=True)
class StablePairs:
    """Lognormal over pairs of nodes, and the same both ways for as long as the world lasts."""

    median_ms: float
    sigma: float
    seed: int
    _known_ns: dict[tuple[int, int], int] = field(default_factory=dict, repr=False, compare=False)

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`; a pair's value does not depend on who asked before."""
        del stream
        pair = (source, target) if source < target else (target, source)
        known_ns = self._known_ns.get(pair)
        if known_ns is None:
            drawn = int.from_bytes(derive_seed(self.seed, f"pair {pair[0]} {pair[1]}")[:6], "big")
            deviate = NormalDist().inv_cdf((drawn + 0.5) / (1 << 48))
            known_ns = round(self.median_ms * math.exp(self.sigma * deviate) * NS_PER_MS)
            self._known_ns[pair] = known_ns
        return known_ns


@dataclass(frozen=True, slots=True)
class Exponential:
    """Drawn for every message, without memory."""

    mean_ms: float

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`."""
        del source, target
        return int(stream.expovariate(1 / self.mean_ms) * NS_PER_MS)


def make_world(
    parameters: WorldParameters,
    seed: int,
    nodes: int,
    *,
    reliable: bool = False,
    fidelity: Fidelity = "objects",
) -> World:
    """An empty world in the weather that parameters name; `nodes` will be added to it."""
    streams = Streams(seed)
    settings = make_settings(parameters, streams, reliable=reliable)
    world = World(seed, network=settings, fidelity=fidelity)
    if parameters.network == "internet":
        stream = streams.get("uplinks")
        for node in range(nodes):
            if stream.randrange(100) < INTERNET_FAST_PERCENT:
                world.network.uplinks_bps[node] = GBPS
    return world


def make_settings(
    parameters: WorldParameters, streams: Streams, *, reliable: bool = False
) -> NetworkSettings:
    """The preset that parameters name, with their own latency table if there is one."""
    options = _make_preset(parameters.network, streams)
    if parameters.latency:
        options["latency"] = load_latency(parameters.latency)
    return NetworkSettings(reliable=reliable, **options)


def _make_preset(name: Preset, streams: Streams) -> dict[str, Any]:
    match name:
        case "ideal":
            return {"latency": Constant(20.0)}
        case "lan":
            return {"latency": Constant(0.25), "uplink_bps": 10 * GBPS}
        case "cloud":
            return {
                "latency": load_latency("aws-13"),
                "jitter_sigma": 0.05,
                "loss": 0.000_1,
                "uplink_bps": GBPS,
            }
        case "internet":
            return {
                "latency": _make_internet(streams),
                "jitter_sigma": 0.2,
                "loss": 0.001,
                "uplink_bps": 50 * MBPS,
            }
        case "home":
            return {
                "latency": _make_internet(streams),
                "jitter_sigma": 0.65,
                "loss": 0.01,
                "uplink_bps": 20 * MBPS,
            }
        case "hostile":
            stream = streams.get("weather")
            return {
                "latency": Exponential(stream.randint(*HOSTILE_MEAN_MS)),
                "loss": stream.random() * HOSTILE_LOSS_MAX,
                "duplicate": stream.random() * HOSTILE_DUPLICATE_MAX,
            }


def _make_internet(streams: Streams) -> Latency:
    return StablePairs(INTERNET_MEDIAN_MS, INTERNET_SIGMA, streams.master)


def make_topology(name: TopologyName, nodes: int, degree: int, seed: int) -> Topology:
    """A graph by name; `degree` is the mean number of neighbours where the kind leaves a choice."""
    match name:
        case "regular":
            return graphs.random_regular(nodes, degree, seed=seed)
        case "small_world":
            return graphs.watts_strogatz(nodes, degree, seed=seed)
        case "scale_free":
            return graphs.barabasi_albert(nodes, max(1, degree // 2), seed=seed)
        case "complete":
            return graphs.complete(nodes)
        case "line":
            return graphs.line(nodes)
        case "tree":
            return graphs.tree(nodes, max(1, degree - 1))


def describe_world(world: World, parameters: WorldParameters, crypto: Crypto) -> dict[str, Value]:
    """The row of a result: what was simulated, and what of the real work was done."""
    settings = world.network.settings
    return {
        **world.describe(),
        "network": parameters.network,
        "crypto": crypto,
        "bandwidth": bool(settings.uplink_bps),
        "processor": bool(world.hosts),
    }


def _digest_table(source: str) -> str:
    """Names a latency table by its content, once it has been seen to be one."""
    try:
        if source.endswith(".csv"):
            if Path(source).stat().st_size > TABLE_BYTES_MAX:
                raise ValueError(f"{source} is larger than {TABLE_BYTES_MAX >> 20} MiB")
            content = Path(source).read_bytes()
        else:
            content = source.encode()
        load_latency(source)
    except (OSError, UnicodeDecodeError, BadModel) as error:
        raise ValueError(f"latency: {error}") from None
    return hashlib.sha256(content).hexdigest()[:16]
