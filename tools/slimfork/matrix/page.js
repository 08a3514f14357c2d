"use strict";
// The table that came with the page is the only copy of the data: every row is read once, and then shown, folded or
// left out. What the reader chose lives in `state`, and in the fragment of the address so that a link can be shared.

const VERDICTS = { p: "pass", f: "FAIL", n: "not run" }; // by the class of a cell
const WORST_FIRST = ["f", "n", "p"];
const RELEASES_WORST_FIRST = ["failed", "not run", "reasoned", "green"];
const STATES = ["broken", "pending", "applied", "upstreamed", "excluded"];
const VARIANTS = 4; // of a detail in a folded row; more are counted
const NOTES = 2;

const state = { q: "", verdicts: new Set(), line: "", sort: "release", fold: true, open: new Set(), apart: new Set() };
let releases = [];
let checks = [];
let patchSets = [];

const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => [...document.querySelectorAll(selector)];

document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  patchSets = JSON.parse($("#patch-sets").textContent);
  checks = $$("th[data-title]").map((cell) => ({ id: cell.dataset.sort, title: cell.dataset.title }));
  releases = $$("#matrix tbody tr").map(readRelease);
  prepareControls();
  window.addEventListener("hashchange", followLink);
  followLink();
});

function make(tag, options = {}, ...children) {
  const element = Object.assign(document.createElement(tag), options);
  element.append(...children);
  return element;
}

// Reading the table

function readRelease(row, index) {
  const [name, verdict, ...cells] = row.cells;
  const note = cells.pop();
  const release = {
    index,
    row,
    version: row.id,
    line: row.dataset.line,
    date: name.querySelector("time")?.textContent ?? "",
    yanked: name.querySelector("em[title]")?.title ?? "",
    verdict: verdict.textContent,
    reason: note.textContent,
    cells: cells.map(readCell),
    patches: patchSets[row.dataset.patches],
  };
  release.alike = [release.verdict, release.reason, ...release.cells.map((cell) => cell.verdict)].join("|");
  release.text = searchText(release);
  name.firstChild.replaceWith(make("button", { type: "button", className: "toggle" }, release.version));
  note.replaceChildren(...noteLines([release]));
  return release;
}

function readCell(cell) {
  const text = (tag) => cell.querySelector(tag)?.textContent ?? "";
  return { verdict: cell.className, detail: text("small"), log: text("code"), seconds: parseFloat(text("i")) };
}

function searchText(release) {
  const patches = Object.entries(release.patches).filter(([, where]) => where !== "excluded");
  const said = release.cells.flatMap((cell) => [cell.detail, cell.log]);
  const words = [release.version, release.date, release.reason, release.yanked && `yanked ${release.yanked}`, ...said];
  return [...words, ...patches.map((patch) => patch.join(":"))].join("\n").toLowerCase();
}

// Choosing and ordering

function chosen() {
  const words = state.q.toLowerCase().split(/\s+/);
  return releases.filter(
    (release) =>
      (!state.line || release.line === state.line) &&
      (!state.verdicts.size || state.verdicts.has(release.verdict)) &&
      words.every((word) => release.text.includes(word)),
  );
}

function order() {
  const [key, sign] = state.sort.startsWith("-") ? [state.sort.slice(1), -1] : [state.sort, 1];
  const rank = ranking(key, sign);
  return (a, b) => sign * (rank(a) - rank(b)) || a.index - b.index; // NaN, of two that are last, is false too
}

function ranking(key, sign) {
  const column = checks.findIndex((check) => check.id === key);
  const place = (verdict) => (verdict ? WORST_FIRST.indexOf(verdict) : sign * Infinity); // not asked for: last
  if (column >= 0) return (release) => place(release.cells[column].verdict);
  if (key === "verdict") return (release) => RELEASES_WORST_FIRST.indexOf(release.verdict);
  return (release) => release.index; // the page came in the order of versions
}

function fold(rows) {
  const groups = [];
  for (const release of rows) {
    const last = groups.at(-1)?.at(-1);
    // Only true neighbours: `first .. last` must not span a release that is not in the row.
    const joins = last && Math.abs(last.index - release.index) === 1 && last.alike === release.alike;
    if (joins) groups.at(-1).push(release);
    else groups.push([release]);
  }
  return groups.map((group) => group.sort((a, b) => a.index - b.index));
}

function groupsNow() {
  const rows = chosen().sort(order());
  return state.fold ? fold(rows) : rows.map((release) => [release]);
}

function render() {
  const groups = groupsNow();
  $("#matrix tbody").replaceChildren(...groups.flatMap(rowsOf));
  showStatus(groups);
  showControls();
  history.replaceState(null, "", fragment() || location.pathname + location.search);
}

// Controls

function prepareControls() {
  for (const cell of $$("th[data-sort]")) {
    const button = make("button", { type: "button", onclick: () => sortBy(cell.dataset.sort) }, cell.textContent);
    if (cell.dataset.title) button.title = cell.dataset.title;
    cell.replaceChildren(button);
  }
  for (const button of $$("[data-verdict]")) {
    button.disabled = !releases.some((release) => release.verdict === button.dataset.verdict);
    button.onclick = () => toggle(state.verdicts, button.dataset.verdict);
  }
  for (const button of $$("button[data-line]")) {
    button.disabled = false;
    button.onclick = () => change({ line: state.line === button.dataset.line ? "" : button.dataset.line });
  }
  $("#q").oninput = () => change({ q: $("#q").value.trim() });
  $("#sort").onchange = () => change({ sort: $("#sort").value });
  $("#fold").onchange = () => change({ fold: $("#fold").checked });
  $("#clear").onclick = () => {
    change({ q: "", verdicts: new Set(), line: "" });
    $("#q").focus(); // the button is gone now
  };
}

function change(values) {
  Object.assign(state, values);
  render();
}

function sortBy(key) {
  change({ sort: state.sort === key ? `-${key}` : key });
}

function showStatus(groups) {
  const count = groups.reduce((sum, group) => sum + group.length, 0);
  const of = count === releases.length ? "" : ` of ${releases.length}`;
  const rows = groups.length === count ? "" : ` in ${groups.length} ${groups.length === 1 ? "row" : "rows"}`;
  $("#status").textContent = count ? `${count}${of} releases${rows}` : "no release matches";
}

function showControls() {
  const [key, direction] = state.sort.startsWith("-") ? [state.sort.slice(1), "descending"] : [state.sort, "ascending"];
  for (const cell of $$("th[data-sort]")) {
    if (cell.dataset.sort === key) cell.setAttribute("aria-sort", direction);
    else cell.removeAttribute("aria-sort");
  }
  const press = (button, pressed) => button.setAttribute("aria-pressed", pressed);
  for (const button of $$("[data-verdict]")) press(button, state.verdicts.has(button.dataset.verdict));
  for (const button of $$("button[data-line]")) press(button, state.line === button.dataset.line);
  if ($("#q").value.trim() !== state.q) $("#q").value = state.q;
  $("#sort").value = state.sort;
  $("#fold").checked = state.fold;
  $("#clear").hidden = !(state.q || state.line || state.verdicts.size);
}

// The fragment

function fragment() {
  const words = new URLSearchParams();
  if (state.q) words.set("q", state.q);
  if (state.verdicts.size) words.set("verdict", [...state.verdicts].join(","));
  if (state.line) words.set("line", state.line);
  if (state.sort !== "release") words.set("sort", state.sort);
  if (!state.fold) words.set("fold", "0");
  if (state.open.size) words.set("open", [...state.open].join(","));
  if (state.apart.size) words.set("apart", [...state.apart].join(","));
  return words.size ? `#${words}` : "";
}

function followLink() {
  const version = location.hash.slice(1); // a plain link to a row, which works without this script, too
  if (releases.some((release) => release.version === version)) return showRelease(version);
  const words = new URLSearchParams(location.hash.slice(1));
  const set = (name) => new Set(words.get(name)?.split(",") ?? []);
  const sorts = ["release", "verdict", ...checks.map((check) => check.id)];
  const sort = words.get("sort") ?? "release";
  change({
    q: words.get("q") ?? "",
    verdicts: set("verdict"),
    line: words.get("line") ?? "",
    sort: sorts.includes(sort.replace(/^-/, "")) ? sort : "release",
    fold: words.get("fold") !== "0",
    open: set("open"),
    apart: set("apart"),
  });
}

function showRelease(version) {
  Object.assign(state, { q: "", verdicts: new Set(), line: "" });
  const key = keyOf(groupsNow().find((group) => group.some((release) => release.version === version)));
  state.open.add(key);
  render();
  focusOn(key, "toggle").scrollIntoView({ block: "center" });
}
