"use strict";
// Draws the page's charts with Observable Plot. The data come from bench/report/charts.py; colours from style.css.

const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"].map((name) => `var(${name})`);
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross", "hexagon"];
const colour = (i) => COLOURS[i % COLOURS.length];
const symbol = (i) => SYMBOLS[i % SYMBOLS.length];

function legend(spec) {
  const list = document.createElement("ul");
  list.className = "legend";
  list.setAttribute("aria-label", spec.lines || "series");
  spec.series.forEach((name, i) => {
    const item = document.createElement("li");
    const drawn = Plot.plot({
      width: 16, height: 16, margin: 0, axis: null, ariaHidden: "true", x: { domain: [-1, 1] }, y: { domain: [-1, 1] },
      marks: [Plot.dot([0], { x: 0, y: 0, r: 4.5, symbol: symbol(i), fill: colour(i) })],
    });
    drawn.setAttribute("aria-hidden", "true");
    item.append(drawn, name);
    list.append(item);
  });
  return list;
}

// Several series at one x would hide each other's intervals: each is moved by some pixels.
const shift = (i, n) => (n < 2 ? 0 : (i - (n - 1) / 2) * Math.min(8, 36 / n));
const tip = (d) => d.tip.join("\n");
const hover = { fill: "var(--card)", stroke: "var(--line)", textPadding: 9, fontSize: 13, lineWidth: 24 };

function shared(spec) {
  const all = spec.panels.flatMap((p) => p.points).flatMap((d) => [d.y, d.low, d.high, ...d.seeds].filter((v) => v !== null));
  const low = Math.min(...all), high = Math.max(...all), room = (high - low || Math.abs(high) || 1) * 0.06;
  // A percentage does not go beyond its ends even where an interval does.
  const percent = /\(%\)$/.test(spec.y.label);
  return [percent ? Math.max(low - room, 0 - Math.min(room, 2)) : low - room, percent ? Math.min(high + room, 100 + Math.min(room, 2)) : high + room];
}

// Ticks at whole numbers only: there is no epoch 1.5.
const whole = (values, width) => {
  const low = Math.min(...values), high = Math.max(...values);
  return d3.ticks(low, high, Math.max(2, Math.min(10, Math.floor(width / 60)))).filter(Number.isInteger);
};

// 1, 2 and 5 of each decade, or the decades alone where there are many.
function decades([low, high]) {
  const all = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1).flatMap((e) => [1, 2, 5].map((m) => [m, m * 10 ** e]));
  const inside = all.filter(([, v]) => v >= low && v <= high);
  return (inside.length > 9 ? inside.filter(([m]) => m === 1) : inside).map(([, v]) => v);
}

const plain = (v) => (Math.abs(v) >= 1e4 ? d3.format("~s")(v).replace(/(\D)$/, " $1") : String(Number(v.toPrecision(4))));

function ticks(values, width) {
  const most = Math.max(2, Math.floor(width / 60));
  if (values.length <= most) return values;
  return undefined;
}

function line(spec, panel, width) {
  const band = spec.x.scale === "band", n = spec.series.length || 1, marks = [];
  for (let i = 0; i < n; i++) {
    const points = panel.points.filter((d) => d.series === i);
    const dx = band ? shift(i, n) : shift(i, n) / 2;
    marks.push(
      Plot.line(points, { x: "x", y: "y", stroke: colour(i), strokeWidth: 1.8, dx }),
      Plot.dot(points.flatMap((d) => d.seeds.map((v) => ({ x: d.x, y: v }))), { x: "x", y: "y", r: 1.8, fill: colour(i), fillOpacity: 0.45, dx, ariaHidden: "true" }),
      Plot.ruleX(points.filter((d) => d.low !== null), { x: "x", y1: "low", y2: "high", stroke: colour(i), strokeWidth: 1.8, dx, clip: true }),
      Plot.dot(points, { x: "x", y: "y", r: 4.5, symbol: symbol(i), fill: colour(i), stroke: "var(--card)", strokeWidth: 0.8, dx }),
    );
  }
  marks.push(Plot.tip(panel.points, Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  const type = band ? "point" : spec.x.scale;
  return {
    height: Math.min(420, Math.max(260, width * 0.5)), marginLeft: 52, marginBottom: 42, insetLeft: 14, insetRight: 14,
    x: { type, label: spec.x.label, domain: band ? spec.x.values : undefined, ticks: band ? undefined : ticks(spec.x.values, width), tickFormat: band ? undefined : (v) => String(v), labelAnchor: "center", labelArrow: "none", tickRotate: band && spec.x.values.join("").length * 8 > width ? -35 : 0 },
    y: { label: spec.y.label, domain: shared(spec), grid: true, ticks: 6, labelArrow: "none" },
    marks,
  };
}

// Means as dots with intervals, names down the side: bars from zero would hide the differences.
function bars(spec, panel, width) {
  const n = spec.series.length || 1, marks = [], longest = Math.max(...spec.x.values.map((v) => v.length));
  const left = Math.min(width * 0.42, 34 + longest * 7.4);
  for (let i = 0; i < n; i++) {
    const points = panel.points.filter((d) => d.series === i), dy = shift(i, n);
    marks.push(
      Plot.dot(points.flatMap((d) => d.seeds.map((v) => ({ x: d.x, y: v }))), { y: "x", x: "y", r: 2, fill: colour(i), fillOpacity: 0.45, dy, ariaHidden: "true" }),
      Plot.ruleY(points.filter((d) => d.low !== null), { y: "x", x1: "low", x2: "high", stroke: colour(i), strokeWidth: 2, dy, clip: true }),
      Plot.dot(points, { y: "x", x: "y", r: 5, symbol: symbol(i), fill: colour(i), stroke: "var(--card)", strokeWidth: 0.8, dy }),
    );
  }
  marks.push(Plot.tip(panel.points, Plot.pointer({ y: "x", x: "y", title: tip, ...hover })));
  return {
    height: 70 + spec.x.values.length * Math.max(34, 16 * n), marginLeft: left, marginBottom: 42, marginTop: 26,
    y: { type: "point", domain: spec.x.values, label: spec.x.label, labelArrow: "none", grid: true, tickFormat: (v) => (v.length * 7.4 > left - 20 ? v.slice(0, Math.floor((left - 28) / 7.4)) + "…" : v) },
    x: { label: spec.y.label, domain: shared(spec), grid: true, labelAnchor: "center", labelArrow: "none", ticks: Math.max(3, Math.floor(width / 90)) },
    marks,
  };
}

function heat(spec, panel, width) {
  const all = spec.panels.flatMap((p) => p.points).map((d) => d.y), low = Math.min(...all), high = Math.max(...all);
  const dark = (d) => (high === low ? 0 : (d.y - low) / (high - low)) > 0.55;
  const points = panel.points.map((d) => ({ ...d, row: spec.series[d.series] ?? "" }));
  const longest = Math.max(3, ...spec.series.map((v) => v.length));
  const small = Math.min(13, (width * 0.65) / spec.x.values.length / 2.4);
  const crowded = Math.max(...spec.x.values.map((v) => String(v).length)) * 8 * spec.x.values.length > width * 0.8;
  return {
    height: (crowded ? 100 : 70) + Math.max(1, spec.series.length) * 44, marginLeft: Math.min(width * 0.35, 24 + longest * 7.2), marginBottom: crowded ? 72 : 42, padding: 0.03,
    x: { type: "band", domain: spec.x.values, label: spec.x.label, labelAnchor: "center", labelArrow: "none", tickRotate: crowded ? -45 : 0 },
    y: { type: "band", domain: spec.series, label: spec.lines || null },
    color: { scheme: "blues", domain: [low - (high - low || 1) * 0.15, high], type: "linear" },
    marks: [
      Plot.cell(points, { x: "x", y: "row", fill: "y" }),
      Plot.text(points, { x: "x", y: "row", text: "text", fill: (d) => (dark(d) ? "#fff" : "#111"), fontSize: small }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "row", title: tip, ...hover })),
    ],
  };
}

function pareto(spec, panel, width) {
  const n = spec.series.length || 1, marks = [];
  marks.push(Plot.line(panel.points.filter((d) => d.front).sort((a, b) => a.x - b.x), { x: "x", y: "y", curve: "step-after", stroke: "var(--soft)", strokeDasharray: "4 3" }));
  for (let i = 0; i < n; i++) {
    const points = panel.points.filter((d) => d.series === i);
    marks.push(
      Plot.ruleX(points.filter((d) => d.low !== null), { x: "x", y1: "low", y2: "high", stroke: colour(i), strokeWidth: 1.6, clip: true }),
      Plot.dot(points, { x: "x", y: "y", r: 5, symbol: symbol(i), fill: colour(i), stroke: "var(--card)" }),
    );
  }
  marks.push(Plot.tip(panel.points, Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  const costs = spec.panels.flatMap((p) => p.points).map((d) => d.x), log = spec.x.scale === "log";
  const options = {
    width, height: Math.min(440, Math.max(280, width * 0.55)), marginLeft: 52, marginBottom: 42, inset: 16, style: { fontSize: "13px" },
    x: { type: spec.x.scale, label: spec.x.label, labelAnchor: "center", labelArrow: "none", ticks: log ? decades([Math.min(...costs), Math.max(...costs)]) : Math.max(2, Math.floor(width / 90)), tickFormat: plain },
    y: { label: spec.y.label, domain: shared(spec), grid: true, ticks: 6, labelArrow: "none" },
  };
  const names = named(panel.points, Plot.plot({ ...options, marks }), options);
  return { ...options, marks: [...marks.slice(0, -1), ...names, marks.at(-1)] };
}

// Names beside points, the front's first; one that would cover another, a point or the edge is left to the hover.
const PLACES = [[7, -7, "start"], [7, 9, "start"], [-7, -7, "end"], [-7, 9, "end"], [0, -13, "middle"], [0, 14, "middle"], [8, -20, "start"], [-8, -20, "end"], [8, 22, "start"], [-8, 22, "end"]];

function named(points, probe, { width, height, marginLeft, marginBottom }) {
  const x = probe.scale("x").apply, y = probe.scale("y").apply, marks = [];
  const taken = points.map((d) => ({ left: x(d.x) - 5, right: x(d.x) + 5, top: y(d.y) - 5, bottom: y(d.y) + 5 }));
  for (const d of points.filter((p) => p.label).sort((a, b) => b.front - a.front)) {
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

// Curves with a band: epochs, layers, severities, confidence.
function trace(spec, panel, width) {
  const n = spec.series.length || 1, marks = [], log = spec.y.scale === "log";
  const all = spec.panels.flatMap((p) => p.points).flatMap((d) => [d.y, d.low, d.high]).filter((v) => v !== null && (!log || v > 0));
  if (spec.diagonal) marks.push(Plot.line([[0, 0], [100, 100]], { stroke: "var(--soft)", strokeDasharray: "4 3" }));
  for (let i = 0; i < n; i++) {
    const points = panel.points.filter((d) => d.series === i), banded = points.filter((d) => d.low !== null);
    if (banded.length > 1) marks.push(Plot.areaY(banded, { x: "x", y1: "low", y2: "high", fill: colour(i), fillOpacity: 0.15, clip: true }));
    marks.push(
      Plot.line(points, { x: "x", y: "y", stroke: colour(i), strokeWidth: 1.8 }),
      Plot.dot(points, { x: "x", y: "y", r: points.length > 40 ? 1.5 : 3, symbol: symbol(i), fill: colour(i) }),
    );
  }
  marks.push(Plot.tip(panel.points, Plot.pointer({ x: "x", y: "y", title: tip, ...hover })));
  const reach = [Math.min(...all) / 1.1, Math.max(...all) * 1.1], xs = spec.panels.flatMap((p) => p.points).map((d) => d.x);
  return {
    height: Math.min(400, Math.max(250, width * 0.5)), marginLeft: 58, marginBottom: 42, inset: 6,
    x: { label: spec.x.label, labelAnchor: "center", labelArrow: "none", ticks: spec.x.whole ? whole(xs, width) : Math.max(2, Math.min(10, Math.floor(width / 60))), tickFormat: plain },
    y: { type: log ? "log" : "linear", tickFormat: log ? plain : undefined, label: spec.y.label, labelArrow: "none", grid: true, ticks: log ? decades(reach) : 6, domain: spec.diagonal ? [0, 100] : log ? reach : shared(spec) },
    marks,
  };
}

const KINDS = { line, bars, heat, pareto, trace };

function draw(box, spec) {
  const parts = [];
  if (spec.series.length > 1 && spec.kind !== "heat") parts.push(legend(spec));
  const grid = document.createElement("div");
  grid.className = spec.panels.length > 1 ? "panels" : "panels one";
  box.replaceChildren(...parts, grid);
  const places = spec.panels.map((panel) => {
    const place = document.createElement("div");
    if (panel.title) {
      const head = document.createElement("h4");
      head.textContent = panel.title;
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
      ariaDescription: `${panel.points.length} values; the table below the chart lists them.`,
      ...KINDS[spec.kind](spec, panel, width),
    });
    svg.setAttribute("role", "img");
    place.append(svg);
  }
}

const specs = JSON.parse(document.getElementById("charts-data").textContent);
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
