/* The grid: rows and columns by a key each, a picture per run. */
const NONE = "";
const cells = new Map(); // figure -> run

/* Keys that differ in what is shown, with their values in the order of the runs. */
function varying(list = shown) {
  const found = new Map();
  for (const key of data.keys) {
    const values = new Set(list.map((run) => run.values[key] ?? "–"));
    if (values.size > 1) found.set(key, [...values]);
  }
  return found;
}

/* Chosen by itself: the two keys that give the most cells; the one with fewer values across. */
function axes() {
  const keys = varying();
  const small = [...keys].filter(([, values]) => values.length <= 12).map(([key]) => key);
  let best = [NONE, small[0] || NONE];
  if (small.length > 1) {
    let most = 0;
    for (const row of small) {
      for (const column of small) {
        if (row === column || keys.get(column).length > keys.get(row).length) continue;
        const filled = new Set(shown.map((run) => `${run.values[row]}\n${run.values[column]}`)).size;
        if (filled > most) [most, best] = [filled, [row, column]];
      }
    }
  }
  let rows = view.rows === "auto" ? best[0] : view.rows;
  let columns = view.columns === "auto" ? best[1] : view.columns;
  if (view.rows === "auto" && rows === columns) rows = best.find((key) => key !== columns) ?? NONE;
  if (view.columns === "auto" && rows === columns) columns = best.find((key) => key !== rows) ?? NONE;
  if (rows === columns) rows = NONE;
  return [rows, columns];
}

const seer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    entry.target.seen = entry.isIntersecting;
    if (entry.isIntersecting) showFrame(entry.target, true);
  }
}, { rootMargin: "300px" });

function drawGrid() {
  const focus = document.activeElement?.dataset?.run;
  const [rowKey, columnKey] = axes();
  cells.clear();
  seer.disconnect();
  const grid = byId("grid");
  if (!shown.length) {
    const told = runs.length ? "No run is like that." : "No run yet.";
    grid.replaceChildren(element("p", { className: "none", textContent: told }));
  } else if (rowKey === NONE && columnKey === NONE) {
    grid.replaceChildren(element("div", { className: "flow" }, ...shown.map((run) => figure(run, []))));
  } else {
    grid.replaceChildren(table(rowKey, columnKey));
  }
  for (const cell of cells.keys()) seer.observe(cell);
  if (focus) document.querySelector(`#grid [data-run="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  fill(byId("rows"), view.rows, rowKey);
  fill(byId("columns"), view.columns, columnKey);
}

function table(rowKey, columnKey) {
  const of = (key) => [...new Set(shown.map((run) => run.values[key] ?? "–"))];
  const rows = rowKey === NONE ? [null] : of(rowKey);
  const columns = columnKey === NONE ? [null] : of(columnKey);
  const at = (key, value) => shown.filter((run) => value === null || (run.values[key] ?? "–") === value);
  const head = element("tr", {}, rowKey === NONE ? null : element("td", {}),
    ...columns.map((value) => heading("col", columnKey, value, at(columnKey, value), rowKey)));
  const body = rows.map((row) => {
    const inRow = at(rowKey, row);
    return element("tr", {}, rowKey === NONE ? null : heading("row", rowKey, row, inRow, columnKey),
      ...columns.map((column) => {
        const found = inRow.filter((run) => column === null || (run.values[columnKey] ?? "–") === column);
        const content = found.length ? found.map((run) => figure(run, [rowKey, columnKey]))
          : [element("div", { className: "empty", textContent: "no such run" })];
        return element("td", {}, element("div", { className: "several" }, ...content));
      }));
  });
  const whole = element("table", { className: "pictures" });
  if (columnKey !== NONE) whole.append(element("thead", {}, head));
  whole.append(element("tbody", {}, ...body));
  const where = { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Pictures by setting" };
  const box = element("div", where, whole);
  const across = Math.max(...rows.map((row) => columns.reduce((sum, column) =>
    sum + Math.max(1, at(rowKey, row).filter((run) => column === null || (run.values[columnKey] ?? "–") === column).length), 0)));
  box.style.setProperty("--across", across);
  return box;
}

/* A value, and what goes with it: settings that are the same wherever it is, and not elsewhere. */
function heading(scope, key, value, list, other) {
  const cell = element("th", { scope });
  if (value === null) return cell;
  cell.append(element("span", { className: "key", textContent: key }), ` ${value}`);
  const inside = varying(list);
  const along = [...varying().keys()].filter((each) => each !== key && each !== other && !inside.has(each));
  const told = along.map((each) => `${each} ${list[0].values[each] ?? "–"}`).join(", ");
  if (told) cell.append(element("span", { className: "along", textContent: told }));
  return cell;
}

function figure(run, known) {
  const differing = varying();
  const more = Object.entries(run.values).filter(([key]) => !known.includes(key) && differing.has(key));
  const label = known.length ? more.map(([key, value]) => `${key}=${value}`).join(" ") : run.label;
  const cell = element("figure", { className: "cell", tabIndex: 0, role: "group", "data-run": run.key });
  cell.classList.toggle("pinned", view.pins.includes(run.key));
  const told = element("span", { className: "told" });
  const mark = (name, title) => {
    const button = element("button", { type: "button", textContent: name, title, "aria-label": `${title}: ${run.label}` });
    button.dataset.mark = name;
    return button;
  };
  cell.append(stage(run), element("figcaption", {},
    label ? element("span", { className: "label", textContent: label, title: run.id }) : null, told,
    element("span", { className: "marks" }, mark("A", "lay under"), mark("B", "lay over"), mark("pin", "keep in view"),
      run.command ? copyButton(run.command, "command") : null)));
  cells.set(cell, run);
  return cell;
}

/* A picture in two layers: the film at once, and the snapshot itself when the slider rests. */
function stage(run) {
  const box = element("div", { className: "stage" });
  if (!run.film) {
    box.append(element("div", { className: "empty", textContent: run.reason || `${run.status}: no picture yet` }));
    return box;
  }
  const [width, height] = run.film.size;
  box.style.aspectRatio = `${width} / ${height}`;
  const sharp = element("img", { className: "sharp", alt: "", draggable: false, decoding: "async" });
  sharp.addEventListener("load", () => sharp.classList.add("on"));
  box.append(element("div", { className: "film layer" }), sharp);
  sharp.classList.add("layer");
  return box;
}

/* Puts the frame of the slider's place into a stage. */
function setFrame(box, run, sharp) {
  const film = box.querySelector(".film");
  if (!film) return;
  const index = frameOf(run);
  const { href, columns, rows, files } = run.film;
  if (film.dataset.href !== href) {
    film.dataset.href = href;
    film.style.backgroundImage = `url("${encodeURI(href)}")`;
    film.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
  }
  const share = (place, count) => (count > 1 ? (100 * place) / (count - 1) : 0);
  film.style.backgroundPosition =
    `${share(index % columns, columns)}% ${share(Math.floor(index / columns), rows)}%`;
  const image = box.querySelector(".sharp");
  const source = encodeURI(files[index]);
  if (image.getAttribute("src") !== source) {
    image.classList.remove("on");
    if (sharp) image.src = source;
  } else if (image.complete && image.naturalWidth) {
    image.classList.add("on");
  }
}

function showFrame(cell, sharp) {
  const run = cells.get(cell);
  if (!run) return;
  const step = run.film ? run.film.steps[frameOf(run)] : 0;
  const loss = lossAt(run);
  const state = run.status === "completed" ? "" : ` · ${run.status}`;
  const told = `step ${step}${loss === undefined ? "" : ` · loss ${digits(loss)}`}${state}`;
  cell.dataset.step = step;
  cell.querySelector(".told").textContent = told;
  cell.setAttribute("aria-label", `${run.label}: ${told}`);
  if (cell.seen) setFrame(cell.querySelector(".stage"), run, sharp);
}

function fill(select, chosen, actual) {
  const options = [["auto", `auto${actual ? `: ${actual}` : ""}`], [NONE, "nothing"],
    ...[...varying().keys()].map((key) => [key, key])];
  if (chosen !== "auto" && chosen !== NONE && !options.some(([value]) => value === chosen)) {
    options.push([chosen, chosen]);
  }
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
  select.value = chosen;
}
