/** Voting: two results at a time, without their settings; the keyboard suffices. */
import { around, byId, element } from "nst/dom";
import { fairPairs, nextPair } from "nst/pairing";
import { state } from "nst/state";
import { add, cast, download, outcome, takeBack, unsaved } from "nst/votes";

const dialog = () => byId("voting", HTMLDialogElement);
const voter = () => byId("voter", HTMLInputElement);

/** The two results that are shown. @type {[Run, Run] | null} */
let shown = null;

export const isVoting = () => dialog().open;

export function showVoteButton() {
  byId("vote").hidden = !fairPairs(state.shown).length;
}

export function openVoting() {
  if (!fairPairs(state.shown).length) return;
  dialog().showModal();
  showNext();
}

function showNext() {
  const pairs = fairPairs(state.shown);
  const { pair, done } = nextPair(pairs, state.votes, voter().value.trim());
  byId("progress").textContent = pair ? `${done} of ${pairs.length} pairs` : "All pairs are compared.";
  showPictures(pair);
}

/** @param {[Run, Run] | null} pair */
function showPictures(pair) {
  shown = pair;
  for (const [index, side] of /** @type {const} */ ([[0, "left"], [1, "right"]])) {
    const run = pair?.[index];
    byId(`choose-${side}`).replaceChildren(...(run
      ? [element("img", { src: encodeURI(`${run.folder}/final.png`), alt: `${side} result`, draggable: false })] : []));
  }
  byId("references").replaceChildren(...(pair ? references(pair) : []));
  for (const button of dialog().querySelectorAll("[data-prefer]")) button.toggleAttribute("disabled", !pair);
  showOutcome();
  dialog().focus();
}

/** The content and the styles, in their own colours. @param {[Run, Run]} pair */
function references(pair) {
  // a share of 0 removes a style of a mix
  const [{ inputs }] = [...pair].sort((one, other) => Object.keys(other.inputs).length - Object.keys(one.inputs).length);
  return Object.keys(inputs).filter((name) => /^(content|style( \d+)?)$/.test(name)).map((name) => {
    const source = pair.map((run) => run.inputs[name.replace("style", "original style")]).find(Boolean) ?? inputs[name];
    return element("figure", {}, element("img", { src: encodeURI(source), alt: name }),
      element("figcaption", { textContent: name }));
  });
}

function showOutcome() {
  byId("outcome").textContent = outcome();
  byId("undo").toggleAttribute("disabled", !cast.length);
  const button = byId("download");
  button.hidden = state.server && !unsaved();
  button.toggleAttribute("disabled", !cast.length);
}

/** @param {Vote["preferred"]} preferred */
function prefer(preferred) {
  const pictures = [...dialog().querySelectorAll("img")];
  if (!shown || !pictures.every((picture) => picture.complete)) return; // not seen yet
  const [left, right] = shown;
  add({ left: left.name, right: right.name, preferred, time: new Date().toISOString(), voter: voter().value.trim() }, showOutcome);
  showNext();
}

function undo() {
  const vote = takeBack(showOutcome);
  if (!vote) return;
  showNext();
  const [left, right] = [vote.left, vote.right].map((name) => state.runs.find((run) => run.name === name));
  if (left && right) showPictures([left, right]);
}

/** @param {KeyboardEvent} event @returns {(() => void) | undefined} */
export function voteAction(event) {
  const { key } = event;
  if (key === "Escape" || key === "Tab" || key === "Enter" || (key === " " && around(event, "button"))) return undefined;
  if (event.repeat) return () => undefined; // a key that is held is one vote
  if (key === "ArrowLeft") return () => prefer("left");
  if (key === "ArrowRight") return () => prefer("right");
  if (key === " " || key === "0" || key === "=") return () => prefer("equal");
  return key === "Backspace" ? undo : undefined;
}

export function listenVote() {
  byId("vote").addEventListener("click", openVoting);
  for (const button of dialog().querySelectorAll("[data-prefer]")) {
    const preferred = /** @type {Vote["preferred"]} */ (button.getAttribute("data-prefer"));
    button.addEventListener("click", () => prefer(preferred));
  }
  byId("undo").addEventListener("click", undo);
  byId("download").addEventListener("click", () => { download(); showOutcome(); });
  byId("leave").addEventListener("click", () => dialog().close());
  voter().value = remembered();
  voter().addEventListener("change", () => { remember(voter().value); showNext(); });
}

const NAME = "nst.voter";

function remembered() {
  try { return localStorage.getItem(NAME) ?? ""; } catch { return ""; } // switched off
}

/** @param {string} name */
function remember(name) {
  try { localStorage.setItem(NAME, name); } catch { /* it has to be typed again */ }
}
