"use strict";
// Draws charts with Observable Plot. What is drawn, and in which range, is decided in bench/report/figures/chart.py;
// colours are style.css's.

const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"].map((name) => `var(${name})`);
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross"];
const DASHES = [null, "7 3", "2 2", "7 2 2 2", "11 3 3 3"];
const colour = (i) => COLOURS[i % COLOURS.length];
const symbol = (i) => SYMBOLS[i % SYMBOLS.length];
const dash = (i) => DASHES[i % DASHES.length];

function legend(spec) {
  const list = document.createElement("ul");
  list.className = "legend";
  list.setAttribute("aria-label", spec.lines || "series");
  if (spec.lines) {
    const head = document.createElement("li");
    head.className = "of";
    head.append(`${spec.lines}:`);
    list.append(head);
  }
  const lined = ["line", "trace"].includes(spec.kind);
  spec.series.forEach((name, i) => {
    const item = document.createElement("li");
    const drawn = Plot.plot({
      width: lined ? 34 : 16, height: 16, margin: 0, axis: null, ariaHidden: "true", x: { domain: [-1, 1] }, y: { domain: [-1, 1] },
      marks: [
        ...(lined ? [Plot.link([0], { x1: -1, x2: 1, y1: 0, y2: 0, stroke: colour(i), strokeWidth: 1.8, strokeDasharray: dash(i) })] : []),
        Plot.dot([0], { x: 0, y: 0, r: 4.5, symbol: symbol(i), fill: colour(i) }),
      ],
    });
    drawn.setAttribute("aria-hidden", "true");
    item.append(drawn, name);
    list.append(item);
  });
  return list;
}

// Several series at one x would hide each other's intervals: each is moved by some pixels.
const shift = (i, n) => (n < 2 ? 0 : (i - (n - 1) / 2) * Math.min(8, 36 / n));
const tip = (d) => (d.tip ?? []).join("\n");
const hover = { fill: "var(--card)", stroke: "var(--line)", textPadding: 9, fontSize: 13, lineWidth: 24 };
const plain = (v) => (Math.abs(v) >= 1e4 ? d3.format("~s")(v).replace(/(\D)$/, " $1") : String(Number(v.toPrecision(4))));
const alive = (points) => points.filter((d) => d.y !== null && d.y !== undefined);
const seeds = (points) => points.flatMap((d) => (d.seeds ?? []).map((v) => ({ x: d.x, y: v })));
const banded = (points) => points.filter((d) => d.low !== undefined);

// 1, 2 and 5 of each decade, or the decades alone where there are many.
function decades([low, high]) {
  const all = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1).flatMap((e) => [1, 2, 5].map((m) => [m, m * 10 ** e]));
  const inside = all.filter(([, v]) => v >= low && v <= high);
  return (inside.length > 9 ? inside.filter(([m]) => m === 1) : inside).map(([, v]) => v);
}

// Ticks that keep apart: every value that was run where there is room, else fewer of them.
function thinned(values, [low, high], log, width) {
  const at = log ? Math.log : Number, kept = [], wide = (v) => String(v).length * 8 + 12;
  const place = (v) => ((at(v) - at(low)) / (at(high) - at(low))) * width;
  for (const v of values) if (!kept.length || place(v) - place(kept.at(-1)) > (wide(v) + wide(kept.at(-1))) / 2) kept.push(v);
  return kept;
}

// One axis of numbers, or of names.
function scale(axis, range, width) {
  const base = { label: axis.label, labelArrow: "none" };
  if (axis.kind === "names") return { ...base, type: "point", domain: axis.ticks, tickFormat: String };
  const log = axis.kind === "log", most = Math.max(2, Math.min(10, Math.floor(width / 60)));
  let ticks = most;
  if (axis.ticks.length) ticks = thinned(axis.ticks, range, log, width);
  else if (log) ticks = decades(range);
  else if (axis.whole) ticks = d3.ticks(...range, most).filter(Number.isInteger);
  // D3 leaves out the labels of a logarithmic axis that lie far from a power of its base (64 of 16, 64, 256): with a
  // base beyond all numbers it writes each tick that is given. It must be no whole number, or D3 counts up to it.
  return { ...base, ...(log ? { type: "log", base: 1e9 + 0.5 } : { type: "linear" }), domain: range, ticks, tickFormat: axis.ticks.length ? String : plain };
}

const threads = (panel) => panel.threads.map(([i, points]) => Plot.line(points, { stroke: colour(i), strokeWidth: 0.8, strokeOpacity: 0.5, ariaHidden: "true" }));

// Crosses at the foot of a panel for what has no number.
const crosses = (panel, n) => panel.marks.filter((d) => d.y === null).map((d) =>
  Plot.text([d], { x: "x", frameAnchor: "bottom", dx: shift(d.series ?? 0, n), dy: -3, text: () => "×", fill: colour(d.series ?? 0), fontWeight: 700, fontSize: 15 }));

function line(spec, panel, width) {
  const n = spec.series.length || 1, marks = threads(panel), names = spec.x.kind === "names";
  for (let i = 0; i < n; i++) {
    const points = panel.marks.filter((d) => (d.series ?? 0) === i), dx = names ? shift(i, n) : shift(i, n) / 2;
    marks.push(
      Plot.line(points, { x: "x", y: "y", stroke: colour(i), strokeWidth: 1.8, strokeDasharray: dash(i), dx }),
      Plot.dot(seeds(points), { x: "x", y: "y", r: 1.8, fill: colour(i), fillOpacity: 0.45, dx: dx + (2 * i + 1 < n ? -5 : 5), ariaHidden: "true" }),
      Plot.ruleX(banded(points), { x: "x", y1: "low", y2: "high", stroke: colour(i), strokeWidth: 1.8, dx }),
      Plot.dot(alive(points), { x: "x", y: "y", r: 4.5, symbol: symbol(i), fill: colour(i), stroke: "var(--card)", strokeWidth: 0.8, dx }),
    );
  }
  marks.push(...crosses(panel, n), Plot.tip(alive(panel.marks), Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  return {
    height: Math.min(420, Math.max(260, width * 0.5)), marginLeft: 52, marginBottom: 42, insetLeft: names ? 0 : 8, insetRight: names ? 0 : 8,
    x: { ...scale(spec.x, panel.x_range, width - 70), labelAnchor: "center", tickRotate: names && spec.x.ticks.join("").length * 8 > width ? -35 : 0 },
    y: { ...scale(spec.y, panel.y_range, 400), grid: true },
    marks,
  };
}

// Means as dots with intervals, names down the side: bars from zero would hide the differences.
function dots(spec, panel, width) {
  const n = spec.series.length || 1, marks = [], names = spec.x.ticks, longest = Math.max(...names.map((v) => v.length));
  const left = Math.min(width * 0.42, 34 + longest * 7.4);
  for (let i = 0; i < n; i++) {
    const points = panel.marks.filter((d) => (d.series ?? 0) === i), dy = shift(i, n);
    marks.push(
      Plot.dot(seeds(points), { y: "x", x: "y", r: 2, fill: colour(i), fillOpacity: 0.45, dy: dy + 6, ariaHidden: "true" }),
      Plot.ruleY(banded(points), { y: "x", x1: "low", x2: "high", stroke: colour(i), strokeWidth: 2, dy }),
      Plot.dot(alive(points), { y: "x", x: "y", r: 5, symbol: symbol(i), fill: colour(i), stroke: "var(--card)", strokeWidth: 0.8, dy }),
      Plot.text(points.filter((d) => d.y === null), { y: "x", frameAnchor: "left", dx: 6, dy, text: "text", fill: colour(i) }),
    );
  }
  marks.push(Plot.tip(alive(panel.marks), Plot.pointer({ y: "x", x: "y", title: tip, ...hover })));
  return {
    height: 70 + names.length * Math.max(34, 16 * n), marginLeft: left, marginBottom: 42, marginTop: 26,
    y: { type: "point", domain: names, label: spec.x.label, labelArrow: "none", grid: true, tickFormat: (v) => (v.length * 7.4 > left - 20 ? v.slice(0, Math.floor((left - 28) / 7.4)) + "…" : v) },
    x: { ...scale(spec.y, panel.y_range, width - left), grid: true, labelAnchor: "center" },
    marks,
  };
}

function heat(spec, panel, width) {
  const root = (v) => (spec.root ? Math.sqrt(v) : v), [low, high] = panel.y_range.map(root), names = spec.x.ticks;
  const dark = (d) => (root(d.y) - low) / (high - low) > 0.55;
  const points = panel.marks.map((d) => ({ ...d, row: spec.series[d.series ?? 0] ?? "" })), longest = Math.max(3, ...spec.series.map((v) => v.length));
  const left = Math.min(width * 0.35, 24 + longest * 7.2), letters = Math.max(...points.flatMap((d) => (d.text ?? "").split("\n").map((t) => t.length)));
  const small = Math.min(13, (width - left - 24) / names.length / (letters * 0.62 + 0.4));
  const crowded = Math.max(...names.map((v) => String(v).length)) * 8 * names.length > width * 0.8;
  const below = crowded ? Math.min(110, 30 + Math.max(...names.map((v) => v.length)) * 5.5) : 42;
  const tall = points.some((d) => (d.text ?? "").includes("\n")) ? 50 : names.length > 8 ? 30 : 44;
  return {
    height: below + 30 + Math.max(1, spec.series.length) * tall, marginLeft: left, marginBottom: below, padding: 0.03,
    x: { type: "band", domain: names, label: spec.x.label, labelAnchor: "center", labelArrow: "none", tickRotate: crowded ? -45 : 0 },
    y: { type: "band", domain: spec.series, label: spec.lines || null },
    color: { scheme: "blues", domain: [low - (high - low) * 0.15, high], type: "linear" },
    marks: [
      Plot.cell(alive(points), { x: "x", y: "row", fill: (d) => root(d.y) }),
      ...(small >= 7 ? [Plot.text(points, { x: "x", y: "row", text: "text", fill: (d) => (d.y === null ? "var(--ink)" : dark(d) ? "#fff" : "#111"), fontSize: small })] : []),
      Plot.tip(points, Plot.pointer({ x: "x", y: "row", title: tip, ...hover })),
    ],
  };
}

function pareto(spec, panel, width) {
  const n = spec.series.length || 1, marks = [], front = panel.marks.filter((d) => d.front).sort((a, b) => a.x - b.x);
  if (front.length) front.push({ x: panel.x_range[1], y: front.at(-1).y }); // nothing dearer beats the last one
  marks.push(Plot.line(front, { x: "x", y: "y", curve: "step-after", stroke: "var(--soft)", strokeDasharray: "4 3" }));
  for (let i = 0; i < n; i++) {
    const points = panel.marks.filter((d) => (d.series ?? 0) === i);
    marks.push(
      Plot.ruleX(banded(points), { x: "x", y1: "low", y2: "high", stroke: colour(i), strokeWidth: 1.6 }),
      Plot.ruleY(points.filter((d) => d.left !== undefined), { y: "y", x1: "left", x2: "right", stroke: colour(i), strokeWidth: 1.6 }),
      Plot.dot(points, { x: "x", y: "y", r: 5, symbol: symbol(i), fill: (d) => (d.front ? colour(i) : "var(--card)"), stroke: colour(i), strokeWidth: 1.6 }),
    );
  }
  marks.push(Plot.tip(panel.marks, Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  const options = {
    width, height: Math.min(440, Math.max(280, width * 0.55)), marginLeft: 52, marginBottom: 42, inset: 6, style: { fontSize: "13px" },
    x: { ...scale(spec.x, panel.x_range, width - 60), labelAnchor: "center" },
    y: { ...scale(spec.y, panel.y_range, 400), grid: true },
  };
  const names = named(panel.marks, Plot.plot({ ...options, marks }), options);
  return { ...options, marks: [...marks.slice(0, -1), ...names, marks.at(-1)] };
}

// Names beside points, the front's first; one that would cover another, a point or the edge is left to the hover.
const PLACES = [[7, -7, "start"], [7, 9, "start"], [-7, -7, "end"], [-7, 9, "end"], [0, -13, "middle"], [0, 14, "middle"], [8, -20, "start"], [-8, -20, "end"], [8, 22, "start"], [-8, 22, "end"]];

function named(points, probe, { width, height, marginLeft, marginBottom }) {
  const x = probe.scale("x").apply, y = probe.scale("y").apply, marks = [];
  const taken = points.map((d) => ({ left: x(d.x) - 5, right: x(d.x) + 5, top: y(d.y) - 5, bottom: y(d.y) + 5 }));
  for (const d of points.filter((p) => p.label).sort((a, b) => Boolean(b.front) - Boolean(a.front))) {
    for (const [dx, dy, anchor] of PLACES) {
      const wide = d.label.length * 6.8, start = x(d.x) + dx - (anchor === "end" ? wide : anchor === "middle" ? wide / 2 : 0);
      const box = { left: start, right: start + wide, top: y(d.y) + dy - 8, bottom: y(d.y) + dy + 8 };
      const free = box.left > marginLeft && box.right < width - 4 && box.top > 4 && box.bottom < height - marginBottom
        && taken.every((t) => box.right < t.left || t.right < box.left || box.bottom < t.top || t.bottom < box.top);
      if (!free) continue;
      taken.push(box);
      marks.push(Plot.text([d], { x: "x", y: "y", text: "label", dx, dy, textAnchor: anchor, fill: "var(--ink)", stroke: "var(--card)", strokeWidth: 4, fontSize: 12 }));
      break;
    }
  }
  return marks;
}

// Curves with a band, or with bars where each point has a sample of its own: epochs, layers, confidence.
function trace(spec, panel, width) {
  const n = spec.series.length || 1, marks = [];
  if (panel.columns.length) marks.push(Plot.rect(panel.columns, { x1: (d) => d[0] + 0.3, x2: (d) => d[1] - 0.3, y1: 0, y2: (d) => d[2], fill: "var(--bar)", ariaLabel: "share of the images" }));
  if (spec.diagonal) marks.push(Plot.line([[0, 0], [100, 100]], { stroke: "var(--soft)", strokeDasharray: "4 3" }));
  marks.push(...threads(panel));
  for (let i = 0; i < n; i++) {
    const points = alive(panel.marks.filter((d) => (d.series ?? 0) === i)), whole = banded(points);
    if (spec.diagonal) marks.push(Plot.ruleX(whole, { x: "x", y1: "low", y2: "high", stroke: colour(i), strokeWidth: 1.6 }));
    else if (whole.length > 1) marks.push(Plot.areaY(whole, { x: "x", y1: "low", y2: "high", fill: colour(i), fillOpacity: 0.15 }));
    marks.push(
      Plot.line(points, { x: "x", y: "y", stroke: colour(i), strokeWidth: 1.8, strokeDasharray: dash(i) }),
      Plot.dot(points, { x: "x", y: "y", r: points.length > 40 ? 1.5 : 3.2, symbol: symbol(i), fill: colour(i) }),
    );
  }
  marks.push(Plot.tip(panel.marks, Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  return {
    height: Math.min(400, Math.max(250, width * 0.5)), marginLeft: 58, marginBottom: 42,
    x: { ...scale(spec.x, panel.x_range, width - 70), labelAnchor: "center" },
    y: { ...scale(spec.y, panel.y_range, 400), grid: true },
    marks,
  };
}

const KINDS = { line, dots, heat, pareto, trace };

function draw(box, spec) {
  const parts = [];
  if (spec.series.length > 1 && spec.kind !== "heat") parts.push(legend(spec));
  const grid = document.createElement("div");
  grid.className = ["panels", { 1: "one", 4: "four" }[spec.panels.length]].filter(Boolean).join(" ");
  box.replaceChildren(...parts, grid);
  const places = spec.panels.map((panel) => {
    const place = document.createElement("div");
    if (panel.title) {
      const head = document.createElement("h4");
      head.textContent = panel.out ? `${panel.title} (${panel.out})` : panel.title;
      place.append(head);
    }
    return place;
  });
  grid.append(...places); // all of them, so that each has its final width
  for (const [i, panel] of spec.panels.entries()) {
    const place = places[i];
    const width = Math.max(240, Math.floor(place.clientWidth || grid.clientWidth));
    const svg = Plot.plot({
      width, style: { background: "none", color: "var(--ink)", fontSize: "13px" },
      ariaLabel: [spec.title, panel.title].filter(Boolean).join(", "),
      ariaDescription: `${panel.marks.length} values; the table below the chart lists them.`,
      ...KINDS[spec.kind](spec, panel, width),
    });
    svg.setAttribute("role", "img");
    place.append(svg);
  }
}

const specs = JSON.parse(document.getElementById("charts-data")?.textContent ?? "[]");
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const width = Math.round(target.clientWidth);
    if (width && Number(target.dataset.width) !== width) {
      target.dataset.width = width;
      draw(target, specs[Number(target.dataset.chart)]);
    }
  }
});
document.querySelectorAll("[data-chart]").forEach((box) => watch.observe(box));
