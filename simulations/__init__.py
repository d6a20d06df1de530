"""Drives `meshnode.core` under virtual time: what is simulated is what runs.

    world = World(seed=7, network=NetworkSettings(latency=load_latency("aws-13")))
    mesh = world.add_mesh(10)
    world.run_until(lambda: mesh.meshed, limit_ms=10_000)
    mesh[0].publish(b"note")
    world.run_until(lambda: mesh.converged, limit_ms=10_000)

One seed gives one run, event by event, on every machine: `world.digest` names it.
"""

from __future__ import annotations

from simulations.errors import CheckFailed, SimulationFailed, Unreached
from simulations.latency import Constant, Lognormal, Matrix, Uniform, load_latency
from simulations.network import NetworkSettings
from simulations.observers import Observer
from simulations.process import Context, Process
from simulations.world import World

__all__ = [
    "CheckFailed",
    "Constant",
    "Context",
    "Lognormal",
    "Matrix",
    "NetworkSettings",
    "Observer",
    "Process",
    "SimulationFailed",
    "Uniform",
    "Unreached",
    "World",
    "load_latency",
]
