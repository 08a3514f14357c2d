// One row of the table, folded or not, and what it opens to.

function keyOf(group) {
  return group.length === 1 ? group[0].version : `${group[0].version}..${group.at(-1).version}`;
}

function spanText(group) {
  return group.length === 1 ? group[0].version : `${group[0].version} .. ${group.at(-1).version} (${group.length})`;
}

function spansText(rows) {
  const runs = [];
  for (const release of rows) {
    if (runs.at(-1)?.at(-1).index === release.index - 1) runs.at(-1).push(release);
    else runs.push([release]);
  }
  const shown = runs.slice(0, VARIANTS).map(spanText);
  return shown.join(", ") + (runs.length > VARIANTS ? " …" : "");
}

function rowsOf(group, { member = false } = {}) {
  const key = keyOf(group);
  const open = state.open.has(key);
  const apart = group.length > 1 && state.apart.has(key);
  const row = group.length === 1 ? group[0].row : foldedRow(group);
  row.classList.toggle("open", open);
  row.classList.toggle("member", member);
  row.querySelector(".toggle").setAttribute("aria-expanded", open);
  row.onclick = () => {
    if (String(getSelection()) === "") toggle(state.open, key); // a text that is being selected is no tap
  };
  const ordered = state.sort === "-release" ? [...group].reverse() : group;
  const members = apart ? ordered.flatMap((release) => rowsOf([release], { member: true })) : [];
  return [row, ...(open ? [panel(group)] : []), ...members];
}

function foldedRow(group) {
  const row = group[0].row.cloneNode(true);
  row.removeAttribute("id");
  row.className = "folded";
  row.dataset.key = keyOf(group);
  const [first, last] = [group[0].date, group.at(-1).date];
  const yanked = group.filter((release) => release.yanked).length;
  row.cells[0].replaceChildren(
    make("button", { type: "button", className: "toggle" }, spanText(group)),
    make("time", {}, first === last ? first : `${first} .. ${last}`),
    ...(yanked ? [make("em", {}, `${yanked} yanked`)] : []),
  );
  row.lastElementChild.replaceChildren(...noteLines(group));
  return row;
}

function noteLines(group) {
  const said = new Set();
  for (const release of group) {
    release.cells.forEach((cell, i) => {
      if (cell.verdict === "f") said.add(`${checks[i].id}: ${cell.detail.split("\n")[0]}`);
    });
  }
  const lines = [...said].slice(0, NOTES).map((text) => make("span", { className: "failed" }, text));
  if (said.size > NOTES) lines.push(make("span", {}, `and ${said.size - NOTES} more`));
  if (group[0].reason) lines.push(make("span", {}, group[0].reason));
  return lines;
}

function toggle(set, key) {
  const active = document.activeElement;
  if (!set.delete(key)) set.add(key);
  render();
  // The rows were put in anew, and the keyboard must not lose its place.
  if (document.activeElement !== active) focusOn(key, active.className);
}

function focusOn(key, className) {
  const row = document.getElementById(key) ?? $(`tr[data-key="${key}"]`);
  const button = className === "apart" ? row?.nextElementSibling.querySelector("button.apart") : null;
  (button ?? row?.querySelector("button"))?.focus({ preventScroll: true });
  return row;
}

// What a row opens to

function panel(group) {
  const box = make("div", {}, ...facts(group));
  const asked = checks.map((check, i) => checkLine(check, i, group));
  const absent = checks.filter((_, i) => asked[i] === null).map((check) => check.id);
  if (absent.length < checks.length) box.append(make("ul", { className: "results" }, ...asked.filter(Boolean)));
  if (absent.length) box.append(make("p", { className: "soft" }, `Not asked for: ${absent.join(", ")}`));
  box.append(...patchLines(group), ...(group.length > 1 ? [apartButton(group)] : []));
  return make("tr", { className: "panel" }, make("td", { colSpan: checks.length + 3 }, box));
}

function facts(group) {
  const lines = group.filter((release) => release.yanked).map((r) => `${r.version} was yanked: ${r.yanked}`);
  if (group[0].reason) lines.unshift(group[0].reason);
  return lines.map((text) => make("p", {}, text));
}

function checkLine(check, column, group) {
  const verdict = group[0].cells[column].verdict;
  if (!verdict) return null;
  return make(
    "li",
    { className: verdict },
    make("b", {}, VERDICTS[verdict]),
    make("span", { className: "what" }, make("strong", {}, check.id), ` ${check.title}`),
    make("span", { className: "time" }, secondsText(group.map((release) => release.cells[column].seconds))),
    ...details(column, group),
  );
}

function secondsText(all) {
  const known = all.filter((value) => !Number.isNaN(value));
  if (!known.length) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)].map((value) => value.toFixed(1));
  return low === high ? `${low} s` : `${low}–${high} s`;
}

function details(column, group) {
  const variants = new Map();
  for (const release of group) {
    const { detail, log } = release.cells[column];
    const text = detail + (log && `\nlog: ${log}`);
    if (text) variants.set(text, [...(variants.get(text) ?? []), release]);
  }
  if (variants.size > VARIANTS && group[0].cells[column].verdict !== "f") {
    return [make("span", { className: "soft" }, `${variants.size} different details, one by one below`)];
  }
  return [...variants].map(([text, where]) => {
    if (where.length === group.length) return make("pre", {}, text);
    return make("pre", {}, make("i", {}, `${spansText(where)}:${text.includes("\n") ? "\n" : " "}`), text);
  });
}

function patchLines(group) {
  const states = new Map();
  for (const release of group) {
    for (const [patch, where] of Object.entries(release.patches)) {
      if (!states.has(where)) states.set(where, new Map());
      states.get(where).set(patch, (states.get(where).get(patch) ?? 0) + 1);
    }
  }
  if (!states.size) return [];
  const named = ([patch, count]) => (count === group.length ? patch : `${patch} (${count} of ${group.length})`);
  const lines = STATES.filter((where) => states.has(where)).map((where) => {
    const patches = [...states.get(where)].map(named).join(", ");
    return make("div", { className: where }, make("dt", {}, where), make("dd", {}, patches));
  });
  return [make("h3", {}, "Patches"), make("dl", { className: "states" }, ...lines)];
}

function apartButton(group) {
  const key = keyOf(group);
  const text = state.apart.has(key) ? "fold them again" : `show the ${group.length} releases one by one`;
  return make("button", { type: "button", className: "apart", onclick: () => toggle(state.apart, key) }, text);
}
