"use strict";
// Tables that sort and filter, and the list of runs. No library: a page's own tables need some 150 lines.

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

function headings(table, onSort) {
  const heads = [...table.querySelectorAll("thead th[data-column]")];
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      onSort(Number(head.dataset.column), down);
    });
  }
}

function matches(text, wanted) {
  return wanted.every((word) => text.includes(word));
}

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
  const seeds = block.querySelector("input[data-seeds]");
  if (seeds) seeds.addEventListener("change", () => block.classList.toggle("with-seeds", seeds.checked));
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children); // strings become text nodes: nothing in the records can become markup
  return node;
}

function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    list.append(make("dt", {}, name), make("dd", {}, value));
  }
  return list;
}

// The list of runs: columns of values, drawn a page at a time so that ten thousand stay quick.
function runs(block) {
  const data = JSON.parse(document.getElementById("runs-data").textContent);
  const table = block.querySelector("table"), body = table.tBodies[0], size = 50;
  const filter = block.querySelector("input[type=search]"), status = block.querySelector("select");
  const said = block.querySelector(".count"), [back, forth] = block.querySelectorAll(".pager button");
  const count = data.seed.length;
  const cell = (i, column) => {
    const c = data.columns[column];
    const value = c.values[i];
    return c.names ? (value === null ? "" : c.names[value]) : value;
  };
  const haystack = [];
  for (let i = 0; i < count; i++) {
    haystack.push([...data.columns.keys()].filter((c) => data.columns[c].searched).map((c) => cell(i, c)).concat(data.run_id[i]).join(" ").toLowerCase());
  }
  let chosen = [...Array(count).keys()], first = 0, sorting = null;
  // The "en" is the text's language: every reader sees the same number.
  const written = (value, digits) => Number(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  function show() {
    body.replaceChildren();
    for (const i of chosen.slice(first, first + size)) {
      const row = make("tr");
      const open = make("button", { type: "button", class: "push", "aria-expanded": "false" }, "Details");
      open.append(make("span", { class: "only-heard" }, ` of run ${data.run_id[i] || i + 1}`));
      open.addEventListener("click", () => toggle(open, row, i));
      row.append(make("td", {}, open));
      data.columns.forEach((column, c) => {
        const value = cell(i, c);
        const text = value === null || value === "" ? "–" : column.digits === undefined ? String(value) : written(value, column.digits);
        const node = c === 0 ? make("th", { scope: "row" }, text) : make("td", column.digits === undefined ? {} : { class: "number" }, text);
        if (column.status) node.className = `status-${text}`;
        row.append(node);
      });
      body.append(row);
    }
    const last = Math.min(first + size, chosen.length);
    said.textContent = chosen.length ? `${first + 1} to ${last} of ${chosen.length} runs` : "No run matches.";
    block.querySelector(".pager").hidden = chosen.length <= size;
    back.disabled = first === 0;
    forth.disabled = last >= chosen.length;
  }

  function toggle(open, row, i) {
    const was = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!was));
    if (was) return row.nextSibling.remove();
    const pairs = [];
    if (data.reason[i]) pairs.push(["failed because", data.reason[i]]);
    pairs.push(["run key", data.key[i] || "not recorded"]);
    if (data.run_id[i]) {
      const link = make("a", { href: `${data.ui}/#/runs/${encodeURIComponent(data.run_id[i])}` }, data.run_id[i]);
      pairs.push(["MLflow run", link], ["to open it", "start 'bench ui' in the folder of the store, then follow the link"]);
    }
    for (const [name, names, values] of data.settings) pairs.push([name, values[i] === null ? "–" : names[values[i]]]);
    pairs.push(["all other settings", "are the same in every run: see the list below the table"]);
    row.after(make("tr", { class: "more" }, make("td", { colspan: String(row.cells.length) }, facts(pairs))));
  }

  function choose() {
    const wanted = words(filter.value);
    chosen = [...Array(count).keys()].filter(
      (i) => matches(haystack[i], wanted) && (!status.value || data.status_names[data.status[i]] === status.value));
    if (sorting) {
      const keyed = chosen.map((i) => [cell(i, sorting.column), i]);
      keyed.sort((a, b) => order(a[0], b[0], sorting.down));
      chosen = keyed.map((pair) => pair[1]);
    }
    first = 0;
    show();
  }

  headings(table, (column, down) => { sorting = { column, down }; choose(); });
  filter.addEventListener("input", choose);
  status.addEventListener("change", choose);
  back.addEventListener("click", () => { first = Math.max(0, first - size); show(); });
  forth.addEventListener("click", () => { first += size; show(); });
  show();
}

document.querySelectorAll("[data-sortable]").forEach(sortable);
document.querySelectorAll("[data-runs]").forEach(runs);
