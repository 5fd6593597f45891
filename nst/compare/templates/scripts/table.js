/* The table: only settings that differ, and the numbers; a click on a heading sorts everything. */
function drawTable() {
  const keys = data.keys;
  const measures = Object.keys(data.measures).filter((name) => runs.some((run) => name in run.measures));
  const heading = (key, text, title = "") => {
    const [falling, on] = [view.sort === `-${key}`, view.sort === key || view.sort === `-${key}`];
    const button = element("button", { type: "button", className: "sort", textContent: text + (on ? (falling ? " ↓" : " ↑") : ""), title });
    button.addEventListener("click", () => {
      view.sort = view.sort === key ? `-${key}` : view.sort === `-${key}` ? "" : key;
      refresh();
    });
    return element("th", { scope: "col", "aria-sort": on ? (falling ? "descending" : "ascending") : "none" }, button);
  };
  // no loss is the best one: weights may differ
  const best = new Map(measures.filter((name) => name !== "loss").map((name) => {
    const numbers = shown.map((run) => run.measures[name]).filter((value) => value !== undefined);
    return [name, data.measures[name].better === "lower" ? Math.min(...numbers) : Math.max(...numbers)];
  }));
  const head = element("thead", {}, element("tr", {}, element("td", {}),
    heading("status", "status"), ...keys.map((key) => heading(key, key)),
    ...measures.map((name) => heading(name, data.measures[name].title, `${data.measures[name].about} ${data.measures[name].better} is better`)),
    element("td", {})));
  const rows = shown.map((run) => {
    const pin = element("button", { type: "button", textContent: "pin", "aria-pressed": String(view.pins.includes(run.key)), "aria-label": `keep in view: ${run.label}` });
    pin.dataset.mark = "pin";
    return element("tr", { "data-run": run.key, className: view.pins.includes(run.key) ? "pinned" : "" },
      element("td", {}, pin),
      element("td", { textContent: run.status, title: run.reason || "" }),
      ...keys.map((key) => element("td", { textContent: run.values[key] ?? "–" })),
      ...measures.map((name) => element("td", {
        className: shown.length > 1 && run.measures[name] === best.get(name) ? "best" : "",
        textContent: digits(run.measures[name]),
      })),
      element("td", {}, run.command ? copyButton(run.command, "command") : null,
        element("a", { href: encodeURI(`${run.folder}/`), textContent: "folder", title: run.id })));
  });
  byId("table").replaceChildren(head, element("tbody", {}, ...rows));
  byId("same").replaceChildren(...Object.entries(data.same).flatMap(([key, value]) =>
    [element("dt", { textContent: key }), element("dd", { textContent: value })]));
}

function drawAbout() {
  const counts = {};
  for (const run of runs) counts[run.status] = (counts[run.status] || 0) + 1;
  const states = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  const part = shown.length < runs.length ? `${shown.length} of ${runs.length}` : String(runs.length);
  byId("about").textContent = `${part} runs (${states})${data.live ? "; the page keeps itself up to date" : ""}`;
}

/* Marks A, B and the pinned ones wherever they are. */
function markRuns() {
  const [a, b] = pairOf();
  for (const each of document.querySelectorAll("figure[data-run]")) {
    for (const button of each.querySelectorAll("[data-mark]")) {
      const on = { A: each.dataset.run === a?.key, B: each.dataset.run === b?.key, pin: view.pins.includes(each.dataset.run) };
      button.setAttribute("aria-pressed", String(on[button.dataset.mark]));
    }
  }
}
