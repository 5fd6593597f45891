/** Puts the modules together, and takes the data that `runs.js` and `votes.js` bring. */
import { listenAxes, showAxes } from "nst/axes";
import { choose } from "nst/choose";
import { drawCurves, fillMetrics, listenCurves, markTime, traces } from "nst/curves";
import { takeData } from "nst/data";
import { byId, element, radios } from "nst/dom";
import { emit, on } from "nst/events";
import { showFront } from "nst/front";
import { drawGrid, showFrames } from "nst/grid";
import { listenHighlight } from "nst/highlight";
import { listenKeyboard } from "nst/keyboard";
import { readLink, writeLink } from "nst/link";
import { listenMarks, showMarks } from "nst/marks";
import { drawPair, listenPair, showPair } from "nst/pair";
import { listenSlider, showTime } from "nst/slider";
import { state, view } from "nst/state";
import { drawStudy, listenStudy } from "nst/study";
import { drawAbout, drawTable } from "nst/table";
import { listenTiles, showTiles } from "nst/tiles";
import { findPositions } from "nst/time";
import { listenVote, openVoting, showVoteButton } from "nst/vote";
import { listenVotes } from "nst/votes";
import { listenZoom, showZoom } from "nst/zoom";

const filter = byId("filter", HTMLInputElement);
let typing = 0;

on("refresh", () => {
  choose();
  findPositions();
  drawStudy();
  drawGrid();
  showAxes();
  drawPair();
  drawTable();
  drawCurves();
  showMarks();
  drawAbout();
  showTime();
  showZoom();
  showTiles();
  showVoteButton();
  for (const radio of radios("by")) radio.checked = radio.value === view.by;
  if (filter.value !== view.filter) filter.value = view.filter;
  writeLink();
});
on("pair", () => { drawPair(); showMarks(); });
on("moved", () => { showFrames(false); showFront(false); showPair(false); markTime(); });
on("rested", () => { showFrames(true); showFront(true); showPair(true); });

function start() {
  readLink();
  fillMetrics();
  emit("refresh");
}

function listen() {
  for (const each of [listenAxes, listenCurves, listenKeyboard, listenMarks, listenPair, listenSlider, listenStudy,
    listenTiles, listenVote, listenVotes, listenZoom]) each();
  listenHighlight(() => traces.map((run) => run.key));
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { view.filter = filter.value; emit("refresh"); }, 150);
  });
  addEventListener("hashchange", start);
}

window.nstRuns = (data) => {
  const [first, newer] = [state.data.made === 0, data.made !== state.data.made];
  if (newer) takeData(data);
  else state.data.live = data.live;
  if (first) {
    listen();
    start();
    if (data.view) fitFrame();
  } else if (newer) {
    fillMetrics();
    emit("refresh");
  }
  if (data.live) setTimeout(lookAgain, data.live * 1000);
};

window.nstVotes = (data) => {
  Object.assign(state, data);
  if (data.server) openVoting();
};

/** Embedded in another page: gives its frame the height of the grid, as far as the other page lets it. */
function fitFrame() {
  new ResizeObserver(() => {
    try {
      const height = Math.min(document.documentElement.scrollHeight, 1200);
      const frame = /** @type {HTMLElement | null} */ (window.frameElement); // of another window's class
      if (frame) frame.style.height = `${height}px`;
    } catch { /* then it scrolls */ }
  }).observe(byId("grid"));
}

/** A page from disk may not fetch, but it may load a script. */
function lookAgain() {
  const script = element("script", { src: `runs.js?${Date.now()}` });
  script.onload = () => script.remove();
  script.onerror = () => { script.remove(); setTimeout(lookAgain, 3000); }; // the file is being replaced
  document.body.append(script);
}
