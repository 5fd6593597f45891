/* Puts it together: data comes in by `nstRuns`, which the file beside the page calls. */
function refresh() {
  choose();
  drawGrid();
  drawPair();
  drawTable();
  drawCurves();
  markRuns();
  drawAbout();
  showTime();
  showZoom();
  for (const radio of document.querySelectorAll("[name=by]")) radio.checked = radio.value === view.by;
  if (byId("filter").value !== view.filter) byId("filter").value = view.filter;
  writeLink();
}

let listening = false;
function nstRuns(found) {
  const newer = !data || found.made !== data.made;
  if (newer) takeData(found);
  else data.live = found.live;
  if (!listening) {
    listening = true;
    readLink();
    listen();
  }
  if (newer) { fillMetrics(); refresh(); }
  if (data.live) setTimeout(lookAgain, data.live * 1000);
}

/* A page from disk may not fetch, but it may load a script. */
function lookAgain() {
  const script = element("script", { src: `runs.js?${Date.now()}` });
  script.onload = () => script.remove();
  script.onerror = () => { script.remove(); setTimeout(lookAgain, 3000); }; // between two versions
  document.body.append(script);
}

function togglePin(key) {
  view.pins = view.pins.includes(key) ? view.pins.filter((each) => each !== key) : [...view.pins, key];
  refresh();
}

async function copy(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    // pages from disk may not be allowed to: let the person do it
    prompt("copy it from here", text);
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

function listen() {
  listenLook();
  listenPair();
  listenCurves();
  for (const name of ["rows", "columns"]) {
    byId(name).addEventListener("change", (event) => { view[name] = event.target.value; refresh(); });
  }
  let typed = 0;
  byId("filter").addEventListener("input", (event) => {
    clearTimeout(typed);
    typed = setTimeout(() => { view.filter = event.target.value; refresh(); }, 150);
  });
  byId("link").addEventListener("click", () => {
    putLink();
    copy(byId("link"), location.href);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.copy) { copy(button, button.dataset.copy); return; }
    const key = event.target.closest("[data-run]")?.dataset.run;
    if (!button?.dataset.mark || !key) return;
    if (button.dataset.mark === "pin") togglePin(key);
    else lay(button.dataset.mark.toLowerCase(), key);
  });
  addEventListener("hashchange", () => { readLink(); fillMetrics(); refresh(); });
  document.addEventListener("keydown", keys);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (at.matches("input:not([type=radio]):not([type=checkbox]), select, textarea")) return;
  const key = at.closest("figure[data-run]")?.dataset.run;
  const moves = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
  if (event.shiftKey && moves[event.key]) pan(...moves[event.key]);
  else if (event.key === "ArrowLeft" && at.type !== "radio") { play(false); scrub(position() - 1); }
  else if (event.key === "ArrowRight" && at.type !== "radio") { play(false); scrub(position() + 1); }
  else if (event.key === " " && !at.matches("button, input, summary")) play();
  else if (event.key === "+" || event.key === "=") zoomTo(view.zoom * 1.5);
  else if (event.key === "-") zoomTo(view.zoom / 1.5);
  else if (event.key === "0") zoomTo(1);
  else if (event.key === "/") byId("filter").focus();
  else if (key && "ab".includes(event.key)) lay(event.key, key);
  else if (key && event.key === "p") togglePin(key);
  else return;
  event.preventDefault();
}
