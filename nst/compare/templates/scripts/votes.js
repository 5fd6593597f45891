/** The votes: those of the file, those cast on this page, and how they are saved. */
import { state } from "nst/state";

/** Those cast on this page, in order. @type {Vote[]} */
export const cast = [];
/** Those of them that are in a file. @type {Set<Vote>} */
const saved = new Set();
/** Those that were taken back and may still be in the server's file. @type {Vote[]} */
const taken = [];
let sending = Promise.resolve();
let failed = false;

/** @param {Vote} vote @param {() => void} react called when it is known whether it is saved */
export function add(vote, react) {
  cast.push(vote);
  state.votes.push(vote);
  send(react);
}

/** Takes the last vote back. @param {() => void} react @returns {Vote | undefined} */
export function takeBack(react) {
  const vote = cast.pop();
  if (vote) {
    state.votes.splice(state.votes.indexOf(vote), 1);
    taken.push(vote);
    send(react);
  }
  return vote;
}

/** Brings the server's file up to date, if there is a server: one request after another. @param {() => void} react */
function send(react) {
  if (!state.server) return;
  sending = sending.then(async () => {
    failed = false;
    for (const vote of [...taken]) {
      if (!(await request("DELETE", vote))) break;
      taken.splice(taken.indexOf(vote), 1);
    }
    for (const vote of cast.filter((each) => !saved.has(each))) {
      if (!(await request("POST", vote))) break;
      saved.add(vote);
    }
    react();
  });
}

/** @param {string} method @param {Vote} vote */
async function request(method, vote) {
  const answer = await fetch("/votes", { method, body: JSON.stringify(vote) }).catch(() => null);
  failed ||= !answer?.ok;
  return !failed;
}

/** Whether the page has votes that are in no file. */
export const unsaved = () => cast.filter((vote) => !saved.has(vote)).length;

/** What has become of the votes, in words. */
export function outcome() {
  if (state.server && failed) return "Not saved: the server does not answer. Download the votes.";
  if (state.server) return cast.length ? `${cast.length - unsaved()} of ${cast.length} saved` : "Votes are saved at once.";
  return unsaved() ? `${unsaved()} not downloaded yet` : "";
}

/** Downloads all that were cast on this page. */
export function download() {
  const text = cast.map((vote) => `${JSON.stringify(vote)}\n`).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = "votes.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  for (const vote of cast) saved.add(vote);
}

export function listenVotes() {
  addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
}
