"use strict";
// Tables that sort, filter and change their metric; the list of runs; the way from a number to its runs.

const number = (text) => (text === "" || text === null || text === undefined ? NaN : Number(text));

// Numbers by size, then words; what is absent goes last in both directions.
function order(a, b, down) {
  if (typeof a === "number" && typeof b === "number") return down ? b - a : a - b;
  const empty = (v) => v === "" || v === null || v === undefined || v === "–";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const x = number(a), y = number(b);
  const least = Number.isNaN(x) || Number.isNaN(y)
    ? String(a).localeCompare(String(b), undefined, { numeric: true })
    : x - y;
  return down ? -least : least;
}

// Heads that sort; and where a narrow window stacks the table, which hides its heads, a list to choose from.
function headings(table, onSort) {
  const heads = [...table.querySelectorAll("thead th[data-column]")], stacks = [...table.classList].find((name) => name.startsWith("stack-"));
  const select = make("select", {}, make("option", { value: "" }, "as they come"));
  const sort = (head, down) => {
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    select.value = `${heads.indexOf(head)} ${down ? "down" : "up"}`;
    select.options[0].disabled = true; // where they came from is not kept
    onSort(Number(head.dataset.column), down);
  };
  heads.forEach((head, k) => {
    const name = table.tBodies[0].rows[0]?.cells[head.dataset.column]?.dataset.head ?? head.textContent.trim();
    for (const way of ["up", "down"]) select.append(make("option", { value: `${k} ${way}` }, `${name} ${way === "up" ? "↑" : "↓"}`));
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(head, head.getAttribute("aria-sort") === "ascending"));
  });
  select.addEventListener("change", () => {
    const [k, way] = select.value.split(" ");
    sort(heads[Number(k)], way === "down");
  });
  if (heads.length && (stacks || table.closest("[data-runs]"))) {
    const label = make("label", { class: `sorter ${stacks ?? "stack-runs"}` }, "Sort by ", select);
    (table.closest(".scroll") ?? table).before(label);
  }
}

const matches = (text, wanted) => wanted.every((word) => text.includes(word));
const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

function sortable(block) {
  const table = block.querySelector("table"), body = table.tBodies[0];
  const said = block.querySelector(".count"), filter = block.querySelector("input[type=search]");
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
  headings(table, (column, down) => {
    const rows = [...body.rows];
    rows.sort((a, b) => order(value(a, column), value(b, column), down));
    body.append(...rows);
  });
  if (filter) {
    filter.addEventListener("input", () => {
      const wanted = words(filter.value);
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !matches([...row.querySelectorAll("th")].map((c) => c.textContent).join(" ").toLowerCase(), wanted);
        shown += !row.hidden;
      }
      said.textContent = `${shown} of ${body.rows.length} rows`;
    });
  }
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children); // strings become text nodes: nothing in the records can become markup
  return node;
}

function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of pairs) list.append(make("dt", {}, name), make("dd", {}, value));
  return list;
}

// The "en" is the text's language: every reader sees the same number.
const written = (value, digits) => Number(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const inside = document.getElementById("runs-data");
const DATA = window.RUNS ?? (inside ? JSON.parse(inside.textContent) : null);

function cell(i, column) {
  const value = column.values[i];
  return column.names ? (value === null ? "" : column.names[value]) : value;
}

function shown(i, column) {
  const value = cell(i, column);
  return value === null || value === "" ? "–" : column.digits === undefined ? String(value) : written(value, column.digits);
}

const called = (i) => DATA.columns.filter((c) => c.field && !c.status).map((c) => `${c.head} ${shown(i, c)}`).join(", ");

// A dialog: closed by Escape, by its button, by a click beside it; the focus goes back to what opened it.
function dialog(title) {
  const close = make("button", { type: "button", class: "push", autofocus: "" }, "Close");
  const body = make("div", { class: "inside" });
  const box = make("dialog", { "aria-label": title }, make("div", { class: "bar" }, make("h2", {}, title), close), body);
  close.addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return body;
}

function grid(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((h) => make("th", { scope: "col" }, h)));
  const body = rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((t, k) => make("td", { "data-head": heads[k + 1] }, t))));
  const table = make("table", { class: "stack-34" }, make("caption", { class: "only-heard" }, caption), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

function span(values, ends) {
  const low = Math.min(...values), high = Math.max(...values), room = (high - low || Math.abs(high) || 1) * 0.06;
  return [Math.max(low - room, ends ? ends[0] - 1 : -Infinity), Math.min(high + room, ends ? ends[1] + 1 : Infinity)];
}

// A chart of one run, in the form of bench/report/figures/chart.py.
function own(spec, panel) {
  const marks = panel.marks, xs = marks.map((m) => m.x), ys = marks.flatMap((m) => [m.y, m.low, m.high]).filter((v) => Number.isFinite(v));
  const full = { title: "", threads: [], columns: [], lines: [], x_range: span(xs), y_range: span(ys, spec.y.ends), out: "", ...panel };
  const box = make("div", { class: "drawn" });
  return [box, () => draw(box, { series: [], lines: "", diagonal: false, root: false, ...spec, panels: [full] })];
}

function curves(files) {
  const rank = (name) => ["val_accuracy", "val_loss", "val_nll", "train_loss"].indexOf(name) + 1 || 9;
  const told = Object.entries(files.curves).filter(([name, values]) => name !== "seconds" && values.some((v) => v !== null) && (name !== "lr" || new Set(values).size > 1)); // seconds are of all seeds that were stacked
  return told.sort((a, b) => rank(a[0]) - rank(b[0])).map(([name, values]) => {
    const share = name === "val_accuracy", factor = share ? 100 : 1, label = name.replaceAll("_", " ") + (share ? " (%)" : "");
    const marks = files.epochs.map((x, i) => ({ x, y: values[i] === null ? null : values[i] * factor, tip: [`epoch ${x}`, `${label}: ${Number((values[i] * factor).toPrecision(5))}`] }));
    return own({ kind: "trace", title: label, x: { label: "epoch", kind: "linear", ticks: [], whole: true }, y: { label, kind: "linear", ticks: [], ends: share ? [0, 100] : null } }, { marks: alive(marks) });
  });
}

function confusion({ classes, counts }) {
  const marks = counts.flatMap((row, i) => {
    const all = row.reduce((a, b) => a + b, 0) || 1;
    return row.map((n, j) => ({ x: classes[j], y: (100 * n) / all, series: i, text: n ? String(n) : "", tip: [`${classes[i]} called ${classes[j]}`, `${n} of ${all} images`] }));
  });
  return own({ kind: "heat", title: "Confusion matrix", root: true, series: classes, lines: "true class", x: { label: "predicted class", kind: "names", ticks: classes }, y: { label: "", ends: null } }, { marks, y_range: [0, 100] });
}

function reliability({ bins, bars }) {
  const marks = bins.map(([x, y, low, high]) => ({ x, y, low, high, tip: [`confidence ${x.toFixed(1)}%`, `accuracy ${y.toFixed(1)}% [${low.toFixed(1)}, ${high.toFixed(1)}]`] }));
  const axis = (label) => ({ label, kind: "linear", ticks: [], whole: false });
  return own({ kind: "trace", title: "Reliability", diagonal: true, x: axis("confidence (%)"), y: axis("accuracy (%)") }, { marks, columns: bars, x_range: [0, 100], y_range: [0, 100] });
}

// Everything that is known of one run, what differs first.
function run(i) {
  const body = dialog(`Run: ${called(i)}`), files = DATA.files[i] ?? {}, commit = DATA.commit_names[DATA.commit[i]], later = [];
  const numbers = DATA.columns.filter((c) => c.digits !== undefined && cell(i, c) !== null).map((c) => [c.head, shown(i, c)]);
  const section = (title, ...nodes) => body.append(make("h3", {}, title), ...nodes);
  const picture = (title, [box, draws]) => { section(title, box); later.push(draws); };
  section("Settings that differ between runs", facts(DATA.settings.map(([name, names, values]) => [name, values[i] === null ? "–" : names[values[i]]])));
  body.append(make("p", { class: "key" }, "All other settings are the same in every run; the page lists them below the runs."));
  section("Outcome", facts([["status", DATA.status_names[DATA.status[i]]], ...(DATA.reason[i] ? [["failed because", DATA.reason[i]]] : []), ...numbers]));
  body.lastChild.classList.add("wide");
  if (files.curves) {
    const made = curves(files), place = make("div", { class: "panels" }, ...made.map(([box]) => box));
    section("Learning curves", place);
    later.push(...made.map(([, draws]) => draws));
  }
  if (files.counts) picture("Confusion matrix", confusion(files));
  if (files.mistakes?.length) section("Most frequent mistakes", make("ol", {}, ...files.mistakes.map(([n, all, a, b]) => make("li", {}, `${a} taken for ${b}: ${n} of ${all} images`))));
  if (files.bins) picture(`Reliability (calibration error ${written(files.ece, 2)}%)`, reliability(files));
  if (DATA.command[i] !== null && DATA.command[i] !== undefined) {
    const text = `${DATA.command_names[DATA.command[i]]} seed=${DATA.seed[i]}`, copy = make("button", { type: "button", class: "push" }, "Copy");
    copy.addEventListener("click", () => navigator.clipboard.writeText(text).then(() => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select it to copy"; }));
    section("Run it again, alone", make("pre", { tabindex: "0" }, make("code", {}, text)), copy);
  }
  const origin = [["run key", DATA.key[i] || "not recorded"]];
  if (commit) origin.push(["commit", DATA.repository && /^[0-9a-f]{7,}$/.test(commit) ? make("a", { href: `${DATA.repository}/commit/${commit}` }, commit) : commit]);
  if (DATA.run_id[i]) origin.push(["MLflow run", DATA.ui ? make("a", { href: `${DATA.ui}/#/runs/${encodeURIComponent(DATA.run_id[i])}` }, DATA.run_id[i]) : `${DATA.run_id[i]}, in the store that it was run in (bench ui)`]);
  section("Where it comes from", facts(origin));
  later.forEach((draws) => draws());
}

// The runs behind one number: a single one at once, several as a list.
function behind(title, list) {
  if (list.length === 1) return run(list[0]);
  const body = dialog(`Runs behind: ${title}`), columns = DATA.columns.filter((c) => !c.extra && (c.digits !== undefined || c.status || c.head === "seed"));
  const rows = list.map((i) => {
    const open = make("button", { type: "button", class: "push" }, "Evidence");
    open.append(make("span", { class: "only-heard" }, ` of ${called(i)}`));
    open.addEventListener("click", () => run(i));
    return [open, ...columns.map((c) => shown(i, c))];
  });
  body.append(grid(`Runs behind ${title}`, ["run", ...columns.map((c) => c.head)], rows));
}

const listed = (text) => text.split(" ").filter(Boolean).flatMap((part) => {
  const [a, b = a] = part.split("-").map(Number);
  return Array.from({ length: b - a + 1 }, (_, k) => a + k);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-runs-of]");
  if (!link || !DATA) return;
  event.preventDefault();
  behind(link.dataset.title, listed(link.dataset.runsOf));
});

// Several runs side by side; what is equal is hidden until asked for.
function compare(list) {
  const body = dialog(`${list.length} runs side by side`), all = make("input", { type: "checkbox" }), place = make("div");
  body.append(make("p", { class: "tools" }, make("label", {}, all, " Show what is equal too")), place);
  const rows = [
    ...DATA.columns.map((c) => [c.head, ...list.map((i) => shown(i, c))]),
    ...DATA.settings.map(([name, names, values]) => [name, ...list.map((i) => (values[i] === null ? "–" : names[values[i]]))]),
  ];
  const fill = () => {
    const kept = rows.filter(([, ...values]) => all.checked || new Set(values).size > 1);
    place.replaceChildren(grid("Runs side by side", ["", ...list.map((i, k) => `run ${k + 1}, seed ${DATA.seed[i]}`)], kept), make("p", { class: "key", role: "status" }, `${kept.length} of ${rows.length} rows`));
  };
  all.addEventListener("change", fill);
  fill();
}

// The list of runs: columns of values, drawn a page at a time so that ten thousand stay quick.
function runs(block) {
  const columns = DATA.columns.filter((c) => !c.extra), count = DATA.seed.length, size = 50, chosen = new Set();
  const table = block.querySelector("table"), body = table.tBodies[0], filter = block.querySelector("input[type=search]");
  const said = block.querySelector(".count"), [back, forth] = block.querySelectorAll(".pager button"), tools = block.querySelector(".tools");
  const side = block.querySelector("[data-compare]"), fields = [];
  for (const column of columns.filter((c) => c.field && c.names.length > 1)) {
    const names = column.names.map((name, k) => [name, k]).sort((a, b) => order(a[0], b[0], false));
    const select = make("select", {}, make("option", { value: "" }, "all"), ...names.map(([name, k]) => make("option", { value: String(k) }, name)));
    tools.insertBefore(make("label", {}, `${column.head} `, select), side);
    select.addEventListener("change", choose);
    fields.push([column, select]);
  }
  const haystack = [], all = DATA.order ?? [...Array(count).keys()];
  for (let i = 0; i < count; i++) haystack.push(columns.filter((c) => c.field).map((c) => cell(i, c)).concat(DATA.run_id[i], DATA.key[i]).join(" ").toLowerCase());
  let kept = all, first = 0, sorting = null;
  tools.hidden = false;

  function row(i) {
    const pick = make("input", { type: "checkbox", "aria-label": `compare ${called(i)}` }), open = make("button", { type: "button", class: "push", "data-run": String(i) }, "Evidence");
    pick.checked = chosen.has(i);
    pick.addEventListener("change", () => { chosen[pick.checked ? "add" : "delete"](i); counted(); });
    open.append(make("span", { class: "only-heard" }, ` of ${called(i)}`));
    open.addEventListener("click", () => run(i));
    const cells = columns.map((column, c) => {
      const text = shown(i, column), name = { "data-head": column.head };
      const node = c === 0 ? make("th", { scope: "row", ...name }, text) : make("td", column.digits === undefined ? name : { class: "number", ...name }, text);
      if (column.status) node.className = `status-${text}`;
      return node;
    });
    return make("tr", {}, make("td", { class: "pick" }, pick, " ", open), ...cells);
  }

  function counted() {
    side.disabled = chosen.size < 2;
    side.textContent = chosen.size < 2 ? "Compare (mark two)" : `Compare ${chosen.size} runs`;
  }

  function show() {
    const last = Math.min(first + size, kept.length);
    body.replaceChildren(...kept.slice(first, last).map(row));
    said.textContent = kept.length ? `${first + 1} to ${last} of ${kept.length} runs` : "No run matches.";
    block.querySelector(".pager").hidden = kept.length <= size;
    back.disabled = first === 0;
    forth.disabled = last >= kept.length;
  }

  function choose() {
    const wanted = words(filter.value), fixed = fields.filter(([, select]) => select.value !== "");
    kept = all.filter((i) => fixed.every(([c, select]) => String(c.values[i]) === select.value) && matches(haystack[i], wanted));
    if (sorting) {
      const keyed = kept.map((i) => [cell(i, columns[sorting.column]), i]);
      keyed.sort((a, b) => order(a[0], b[0], sorting.down));
      kept = keyed.map((pair) => pair[1]);
    }
    first = 0;
    show();
  }

  headings(table, (column, down) => { sorting = { column, down }; choose(); });
  filter.addEventListener("input", choose);
  side.addEventListener("click", () => compare([...chosen]));
  back.addEventListener("click", () => { first = Math.max(0, first - size); show(); });
  forth.addEventListener("click", () => { first += size; show(); });
  // On paper there is no second page of a list: all runs, or as many as a reader would leaf through, and how many.
  const printed = block.querySelector(".printed"), MOST = 500;
  window.addEventListener("beforeprint", () => {
    body.replaceChildren(...kept.slice(0, MOST).map(row));
    printed.textContent = `${Math.min(MOST, kept.length)} of ${count} runs are printed here; records.csv holds all.`;
  });
  window.addEventListener("afterprint", show);
  counted();
  show();
}

// The table of another metric, which waits in a template.
function metrics(block) {
  const select = block.querySelector("select"), place = document.getElementById("tables"), first = [...place.childNodes];
  block.hidden = false;
  select.addEventListener("change", () => {
    const waiting = select.value && document.getElementById(`metric-${select.value}`);
    place.replaceChildren(...(waiting ? waiting.content.cloneNode(true).childNodes : first));
    if (waiting) place.querySelectorAll("[data-sortable]").forEach(sortable);
  });
}

// The list of sweeps: by words, verdict, data set.
function sweeps(block) {
  const filter = block.querySelector("input[type=search]"), selects = [...block.querySelectorAll("select")];
  const cards = [...document.querySelectorAll(".sweep")], lines = document.querySelectorAll(".glance li"), said = block.querySelector(".count");
  block.hidden = false;
  const choose = () => {
    const wanted = words(filter.value);
    let kept = 0;
    cards.forEach((card, i) => {
      const fits = matches(card.textContent.toLowerCase(), wanted)
        && selects.every((s) => !s.value || card.dataset[s.dataset.by].split("\n").includes(s.value));
      card.hidden = lines[i].hidden = !fits;
      kept += fits;
    });
    for (const part of document.querySelectorAll(".theme, .glance section")) part.hidden = ![...part.querySelectorAll("ul > li")].some((c) => !c.hidden);
    said.textContent = `${kept} of ${cards.length} sweeps`;
  };
  filter.addEventListener("input", choose);
  selects.forEach((s) => s.addEventListener("change", choose));
  choose();
}

document.querySelectorAll("[data-sortable]").forEach(sortable);
if (DATA) document.querySelectorAll("[data-runs]").forEach(runs);
document.querySelectorAll("[data-metrics]").forEach(metrics);
document.querySelectorAll("[data-sweeps]").forEach(sweeps);
