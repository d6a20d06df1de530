// Shows a recorded run: nodes, links, messages under way, and who holds the item that is followed.
// The page works without it; everything it draws comes from the JSON beside it.
"use strict";

const COLOURS = {
  edge: "#d5dae2", cut: "#cf3f4f", node: "#ffffff", ring: "#59657a", holder: "#0072b2",
  origin: "#009e73", down: "#cf3f4f", carrier: "#e69f00", other: "#8f9bb0", control: "#c3cad5",
  text: "#1f2733",
};
const NAMED_NODES_MAX = 40;
const CROWD_NODES_MIN = 200;
const MARGIN = 46;

// --- what is true at a time; pure ---------------------------------------------------------------

/** Place of the first entry whose first field is above a time; entries ascend by it. */
function findAfter(entries, time) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle][0] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Messages under way at a time; none flies longer than `longest`. */
function findUnderWay(messages, longest, time) {
  const found = [];
  const end = findAfter(messages, time);
  for (let place = findAfter(messages, time - longest - 1); place < end; place += 1) {
    if (messages[place][1] >= time) found.push(messages[place]);
  }
  return found;
}

function findLongest(messages) {
  return messages.reduce((longest, message) => Math.max(longest, message[1] - message[0]), 0);
}

/** Nodes that are down at a time. */
function findDown(states, time) {
  const down = new Set();
  for (const [at, node, isUp] of states.slice(0, findAfter(states, time))) {
    if (isUp) down.delete(node);
    else down.add(node);
  }
  return down;
}

/** Numbers of the edges that are cut at a time. */
function findCut(cuts, time) {
  const place = findAfter(cuts, time);
  return new Set(place ? cuts[place - 1][1] : []);
}

/** From when to when an item spread; the whole run for none. */
function findSpan(data, item) {
  if (item < 0) return [0, Math.max(1, data.end_us)];
  const times = data.items[item].held.map((entry) => entry[0]);
  for (const [departure, arrival, , , carried] of data.messages) {
    if (carried === item) times.push(departure, arrival);
  }
  const begin = Math.min(...times);
  return [begin, Math.max(begin + 1, ...times)];
}

/** The item that reached most nodes; of several, the last. */
function findWidest(items) {
  let widest = -1;
  items.forEach((item, number) => {
    if (widest < 0 || item.held.length >= items[widest].held.length) widest = number;
  });
  return widest;
}

// --- drawing -------------------------------------------------------------------------------------

function makePlacer(width, height) {
  return (node) => [
    MARGIN + node.x * (width - 2 * MARGIN), MARGIN + node.y * (height - 2 * MARGIN),
  ];
}

function drawEdges(context, data, places, cut) {
  data.edges.forEach(([one, other], number) => {
    const isCut = cut.has(number);
    context.strokeStyle = isCut ? COLOURS.cut : COLOURS.edge;
    context.setLineDash(isCut ? [4, 5] : []);
    context.beginPath();
    context.moveTo(...places[one]);
    context.lineTo(...places[other]);
    context.stroke();
  });
  context.setLineDash([]);
}

function drawDot(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawMessages(context, messages, places, time, item, showsControl) {
  const size = places.length > CROWD_NODES_MIN ? 0.45 : 1;
  for (const [departure, arrival, source, target, carried] of messages) {
    if (carried < 0 && !showsControl) continue;
    const share = (time - departure) / Math.max(1, arrival - departure);
    const [x1, y1] = places[source];
    const [x2, y2] = places[target];
    const followed = item >= 0 && carried === item;
    const colour = followed ? COLOURS.carrier : carried < 0 ? COLOURS.control : COLOURS.other;
    drawDot(context, x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, (followed ? 5 : 3) * size, colour);
  }
}

function drawNodes(context, data, places, time, item, down) {
  const held = new Map(item < 0 ? [] : data.items[item].held.map(([at, node]) => [node, at]));
  const origin = item < 0 || !data.items[item].held.length ? -1 : data.items[item].held[0][1];
  const radius = data.nodes.length > CROWD_NODES_MIN ? 3 : data.nodes.length > NAMED_NODES_MAX ? 6 : 11;
  let holders = 0;
  data.nodes.forEach((node, number) => {
    const [x, y] = places[number];
    const holds = held.has(number) && held.get(number) <= time;
    holders += holds;
    const colour = !holds ? COLOURS.node : number === origin ? COLOURS.origin : COLOURS.holder;
    drawDot(context, x, y, radius, down.has(number) ? COLOURS.node : colour);
    context.strokeStyle = down.has(number) ? COLOURS.down : COLOURS.ring;
    context.lineWidth = down.has(number) ? 2.5 : 1.3;
    context.stroke();
    if (data.nodes.length <= NAMED_NODES_MAX) {
      context.fillStyle = down.has(number) ? COLOURS.down : COLOURS.text;
      context.fillText(node.name + (down.has(number) ? " (down)" : ""), x, y + radius + 14);
    }
  });
  context.lineWidth = 1;
  return holders;
}

// --- the controls --------------------------------------------------------------------------------

function start(page) {
  const get = (name) => page.getElementById(`topology-${name}`);
  const data = JSON.parse(get("data").textContent);
  const canvas = get("canvas");
  const context = canvas.getContext("2d");
  const longest = findLongest(data.messages);
  const view = { item: findWidest(data.items), time: 0, span: [0, 1], playing: false, last: 0 };
  let places = [];

  function resize() {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = canvas.clientWidth || 900;
    const height = Math.min(620, Math.max(360, width * 0.62));
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "12px ui-sans-serif, system-ui, sans-serif";
    context.textAlign = "center";
    places = data.nodes.map(makePlacer(width, height));
    draw();
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    const down = findDown(data.states, view.time);
    const underWay = findUnderWay(data.messages, longest, view.time);
    drawEdges(context, data, places, findCut(data.cuts, view.time));
    drawMessages(context, underWay, places, view.time, view.item, get("control").checked);
    const holders = drawNodes(context, data, places, view.time, view.item, down);
    const [begin, end] = view.span;
    get("slider").value = Math.round(((view.time - begin) / (end - begin)) * 1000);
    const spread = view.item < 0 ? "" : `, held by ${holders} of ${data.nodes.length} nodes`;
    get("clock").textContent = `${(view.time / 1000).toFixed(3)} ms${spread}`;
  }

  function follow(item) {
    view.item = item;
    view.span = findSpan(data, item);
    view.time = view.span[0];
    draw();
  }

  function play(isOn) {
    view.playing = isOn;
    get("play").textContent = isOn ? "Pause" : "Play";
    if (isOn) {
      if (view.time >= view.span[1]) view.time = view.span[0];
      view.last = 0;
      globalThis.requestAnimationFrame(tick);
    }
  }

  function tick(now) {
    if (!view.playing) return;
    const [begin, end] = view.span;
    const seconds = Number(get("seconds").value);
    if (view.last) view.time += ((now - view.last) / 1000 / seconds) * (end - begin);
    view.last = now;
    view.time = Math.min(view.time, end);
    draw();
    if (view.time >= end) play(false);
    else globalThis.requestAnimationFrame(tick);
  }

  data.items.forEach((item, number) => {
    const option = page.createElement("option");
    const at = item.held.length ? ` at ${(item.held[0][0] / 1000).toFixed(0)} ms` : "";
    option.value = String(number);
    option.textContent = `${item.name.slice(0, 12)}${at}, reaches ${item.held.length}`;
    get("item").append(option);
  });
  get("item").value = String(view.item);
  get("item").addEventListener("change", () => follow(Number(get("item").value)));
  get("play").addEventListener("click", () => play(!view.playing));
  get("control").addEventListener("change", draw);
  get("slider").addEventListener("input", () => {
    play(false);
    const [begin, end] = view.span;
    view.time = begin + (Number(get("slider").value) / 1000) * (end - begin);
    draw();
  });
  globalThis.addEventListener("resize", resize);
  resize();
  follow(view.item);
}

if (typeof module !== "undefined") {
  module.exports = {
    findAfter, findUnderWay, findLongest, findDown, findCut, findSpan, findWidest, start,
  };
} else {
  start(document);
}
