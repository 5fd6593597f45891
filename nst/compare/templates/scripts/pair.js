/* Two pictures on top of each other: wipe, difference, one at a time. */
const over = { a: null, b: null };

function pairOf() {
  const first = byKey(view.a) || shown.find((run) => run.key !== view.b);
  return [first, byKey(view.b) || nearest(first) || first];
}

/* The one that differs least, in what is set across before all else. */
function nearest(run) {
  const [, columnKey] = axes();
  const apart = (other) => {
    const keys = data.keys.filter((key) => other.values[key] !== run.values[key]);
    return keys.length - (keys.includes(columnKey) ? 0.5 : 0);
  };
  return shown.filter((other) => other !== run).sort((one, other) => apart(one) - apart(other))[0];
}

function drawPair() {
  const [a, b] = pairOf();
  byId("pair").hidden = !a || a === b;
  if (byId("pair").hidden) { Object.assign(over, { a: null, b: null }); return; }
  for (const [name, run] of [["a", a], ["b", b]]) {
    const select = byId(name);
    const list = shown.includes(run) ? shown : [...shown, run];
    select.replaceChildren(...list.map((each) => element("option", { value: each.key, textContent: each.label })));
    select.value = run.key;
  }
  if (over.a !== a || over.b !== b) {
    const [under, top] = [stage(a), stage(b)];
    under.classList.add("under");
    top.classList.add("top");
    const handle = element("div", { className: "edge-handle", title: "drag the edge" });
    const box = element("div", { className: "overlay" }, under, top, handle);
    byId("over").replaceChildren(box, inputs(a, b));
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      handle.onpointermove = (moved) => { setWipe(100 * within(box, moved)[0]); };
    });
    handle.addEventListener("pointerup", () => { handle.onpointermove = null; });
    Object.assign(over, { a, b });
  }
  showMode();
  showPair(true);
}

/* What went into A and B, the same picture once. */
function inputs(a, b) {
  const pictures = new Map();
  for (const [letter, run] of [["A", a], ["B", b]]) {
    for (const [name, href] of Object.entries(run.inputs)) {
      const key = `${name} ${run.values[name] ?? data.same[`${name}.path`]}`;
      const found = pictures.get(key) || { name, href, letters: [] };
      found.letters.push(letter);
      pictures.set(key, found);
    }
  }
  return element("div", { className: "inputs" }, ...[...pictures.values()].map(({ name, href, letters }) => {
    const title = letters.length < 2 ? `${name} of ${letters[0]}` : name;
    return element("figure", { className: "edge" },
      element("img", { src: encodeURI(href), alt: title, loading: "lazy" }),
      element("figcaption", { textContent: title }));
  }));
}

function showPair(sharp) {
  const box = document.querySelector("#over .overlay");
  if (!box || !over.a) return;
  setFrame(box.querySelector(".under"), over.a, sharp);
  setFrame(box.querySelector(".top"), over.b, sharp);
  box.dataset.steps = [over.a, over.b].map((run) => run.film?.steps[frameOf(run)]).join(" ");
  drawVersus();
}

function setWipe(percent) {
  view.wipe = Math.round(Math.min(Math.max(percent, 0), 100));
  showMode();
  writeLink();
}

function showMode() {
  const box = document.querySelector("#over .overlay");
  for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === view.mode;
  byId("wipe-label").hidden = view.mode !== "wipe";
  byId("gain-label").hidden = view.mode !== "difference";
  byId("wipe").value = view.wipe;
  byId("gain").value = view.gain;
  byId("gain-shown").textContent = view.gain;
  if (!box) return;
  box.dataset.mode = view.mode;
  box.style.setProperty("--wipe", `${view.wipe}%`);
  box.style.setProperty("--gain", view.gain);
}

/* Losses at the slider, measures of the results. No loss is the better one: weights may differ. */
function drawVersus() {
  const { a, b } = over;
  const losses = Object.keys(a.curves).filter((name) => name.startsWith("loss/") && name in b.curves);
  const measures = Object.keys(data.measures)
    .filter((name) => name in a.measures && name in b.measures && name !== "loss");
  const row = (title, x, y, better) => {
    const known = typeof x === "number" && typeof y === "number" && x !== y && better;
    const wins = known && ((x < y) === (better === "lower") ? "a" : "b");
    const cell = (value, name) => element("td", { className: wins === name ? "best" : "", textContent: digits(value) });
    const times = x && y ? `${digits(y / x)}×` : "–";
    return element("tr", {}, element("th", { scope: "row", textContent: title }), cell(x, "a"), cell(y, "b"), element("td", { textContent: times }));
  };
  const step = a.film ? a.film.steps[frameOf(a)] : 0;
  const head = element("thead", {}, element("tr", {}, ...["", "A", "B", "B / A"].map((text) => element("th", { scope: "col", textContent: text }))));
  const part = (text) => element("tr", {}, element("th", { scope: "rowgroup", colSpan: 4, className: "part", textContent: text }));
  byId("versus").replaceChildren(head, element("tbody", {},
    part(`losses at step ${step}`), ...losses.map((name) => row(name.slice(5), lossAt(a, name), lossAt(b, name))),
    ...(measures.length ? [part("measures of the results")] : []),
    ...measures.map((name) => row(data.measures[name].title, a.measures[name], b.measures[name], data.measures[name].better))));
}

function listenPair() {
  for (const name of ["a", "b"]) {
    byId(name).addEventListener("change", (event) => { lay(name, event.target.value); });
  }
  for (const radio of document.querySelectorAll("[name=mode]")) {
    radio.addEventListener("change", () => { view.mode = radio.value; showMode(); writeLink(); });
  }
  byId("wipe").addEventListener("input", (event) => setWipe(Number(event.target.value)));
  byId("gain").addEventListener("input", (event) => { view.gain = Number(event.target.value); showMode(); writeLink(); });
}

/* Lays a run under (a) or over (b) the other one; who is there already changes places. */
function lay(name, key) {
  const [a, b] = pairOf();
  const before = { a: a?.key, b: b?.key };
  const other = name === "a" ? "b" : "a";
  view[name] = key;
  view[other] = before[other] === key ? before[name] : before[other];
  drawPair();
  markRuns();
  writeLink();
}
