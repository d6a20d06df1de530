"""What the animated topology is told, and what the page's script makes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

import simulations.reports.animation as module
from simulations import Context, World
from simulations.reports.animation import Animation
from tests.support.recorded import run_mesh, run_processes

NODE = shutil.which("node")
SCRIPT = resources.files("simulations.reports") / "topology.js"


def test_hosts_hold_what_they_admitted():
    animation = Animation()
    mesh = run_mesh(animation)
    document = animation.make_document()
    assert animation.is_shown
    assert document["digest"] == mesh.world.digest
    assert [node["name"] for node in document["nodes"]] == [host.identity.name for host in mesh]
    assert len(document["edges"]) == 6
    (note,) = [item for item in document["items"] if item["held"][0][0] > 1_000_000]
    assert note["held"][0][1] == 0
    assert {node for _, node in note["held"]} == {0, 1, 2, 3}
    assert [state for _, node, state in document["states"] if node == 3] == [1, 0, 1]
    carried = [message for message in document["messages"] if message[4] >= 0]
    assert carried
    assert document["messages"] == sorted(document["messages"])
    assert document["end_us"] == max(message[1] for message in document["messages"])


def test_cuts_are_shown_while_they_stand():
    animation = Animation()
    run_mesh(animation)
    document = animation.make_document()
    (_, cut), (_, healed) = document["cuts"]
    assert [document["edges"][place] for place in cut] == [[0, 1], [0, 2]]
    assert healed == []


def test_processes_hold_what_reached_them():
    animation = Animation()
    world = run_processes(animation)
    sender, receiver = world.nodes[1:3]
    assert isinstance(sender, Context)
    assert isinstance(receiver, Context)
    receiver.stop()
    sender.send(receiver.index, "late")
    world.run_to_end()
    document = animation.make_document()
    assert next(i["held"] for i in document["items"] if i["name"] == "late") == [[60_000, 1]]
    assert document["edges"] == [[0, 1], [0, 4], [1, 2], [2, 3], [3, 4]]
    rumour = next(item for item in document["items"] if item["name"] == "rumour")
    assert rumour["held"] == [[0, 0], [20_000, 1], [20_000, 4], [40_000, 2], [40_000, 3]]


def test_links_that_nobody_used_are_shown_too():
    animation = Animation()
    world = World(1)
    world.add_observer(animation)
    world.add_processes([], [])
    assert not animation.is_shown
    assert not Animation().is_shown


@pytest.mark.parametrize(
    ("name", "value", "list_name"),
    [
        ("CARRIERS_MAX", 1, "messages"),
        ("ITEMS_MAX", 1, "items"),
        ("HOLDINGS_MAX", 3, "items"),
        ("OTHERS_MAX", 2, "messages"),
        ("EDGES_MAX", 1, "edges"),
        ("STATES_MAX", 1, "states"),
    ],
)
def test_every_list_is_capped(monkeypatch, name, value, list_name):
    whole, capped = Animation(), Animation()
    run_mesh(whole)
    monkeypatch.setattr(module, name, value)
    run_mesh(capped)
    size, full = (len(json.dumps(one.make_document()[list_name])) for one in (capped, whole))
    assert size < full
    if name not in ("EDGES_MAX", "STATES_MAX"):
        assert capped.left_out > 0


def test_neighbours_are_capped_as_links_are(monkeypatch):
    monkeypatch.setattr(module, "EDGES_MAX", 2)
    animation = Animation()
    run_processes(animation)
    assert len(animation.make_document()["edges"]) == 2


CHECK = """
const script = require(process.argv[2]);
const data = JSON.parse(require("fs").readFileSync(process.argv[3], "utf8"));
const elements = {};
let drawn = 0;
const context = new Proxy({}, {get: (_, name) => (...a) => {
  if (a.some((x) => typeof x === "number" && !Number.isFinite(x))) throw new Error(String(name));
  drawn += 1;
}, set: () => true});
const get = (id) => elements[id] ??= {textContent: "", value: "4", checked: true, heard: {},
  options: [], clientWidth: 900, getContext: () => context, append(o) { this.options.push(o); },
  addEventListener(name, action) { this.heard[name] = action; }};
get("topology-data").textContent = JSON.stringify(data);
globalThis.addEventListener = () => {};
const frames = [];
globalThis.requestAnimationFrame = (frame) => frames.push(frame);
script.start({getElementById: get, createElement: () => ({})});
const clocks = [get("topology-clock").textContent];
get("topology-slider").value = "1000";
get("topology-slider").heard.input();
clocks.push(get("topology-clock").textContent);
get("topology-play").heard.click();
for (let now = 1000; frames.length; now += 900) frames.shift()(now);
clocks.push(get("topology-clock").textContent);
get("topology-item").value = "-1";
get("topology-item").heard.change();
get("topology-control").heard.change();
console.log(JSON.stringify({
  clocks, drawn, options: get("topology-item").options.length,
  play: get("topology-play").textContent,
  down: [0, 99e9].map((t) => [...script.findDown(data.states, t)]),
  downAtCrash: [...script.findDown(data.states, data.states.find((s) => !s[2])[0])],
  cut: data.cuts.map(([t]) => [...script.findCut(data.cuts, t)]),
  underWay: data.messages.map((m) => script.findUnderWay(
    data.messages, script.findLongest(data.messages), m[1]).some((o) => o.join() === m.join())),
}));
"""


@pytest.mark.skipif(NODE is None, reason="needs node to run the page's script")
def test_the_script_shows_the_run(tmp_path: Path):
    animation = Animation()
    run_mesh(animation)
    document = animation.make_document()
    (tmp_path / "data.json").write_text(json.dumps(document))
    (tmp_path / "check.js").write_text(CHECK)
    assert NODE is not None
    command = [NODE, *map(str, (tmp_path / "check.js", SCRIPT, tmp_path / "data.json"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["clocks"][0].endswith("held by 1 of 4 nodes")
    assert shown["clocks"][1:] == [shown["clocks"][1]] * 2
    assert shown["clocks"][1].endswith("held by 4 of 4 nodes")
    assert shown["options"] == len(document["items"])
    assert shown["play"] == "Play"
    assert (shown["down"], shown["downAtCrash"]) == ([[], []], [3])
    assert shown["cut"] == [document["cuts"][0][1], []]
    assert all(shown["underWay"])
    assert shown["drawn"] > 100
