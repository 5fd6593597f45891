// The types of the page's modules, for the type check and for editors. `nst/compare/data.py` makes `Data`.

/** The values of a run by key, as text: settings, metrics, status and so on. */
interface Facts { get(key: string): string | string[] | undefined; has(key: string): boolean }

/** What one word of the filter demands of a run: a value of one of the keys matches a pattern. */
interface Condition { keys: string[]; sign: string; patterns: string[] }

/** All snapshots of a run, small, in rows from the top left of one picture. */
interface Filmstrip {
  href: string;
  columns: number;
  rows: number;
  /** Of each frame: the step, seconds since the run began, and the snapshot's file. */
  steps: number[];
  seconds: number[];
  files: string[];
  /** Width and height of the last snapshot, px. */
  size: [number, number];
}

/** A run in `runs.js`. */
interface RunData {
  /** Unique, and short: the signature. */
  key: string;
  folder: string;
  /** Why it failed, diverged or was interrupted. */
  reason: string | null;
  /** Whether another program made the picture, its only frame. */
  measured: boolean;
  /** Its content and style: results with the same ones can be compared by eye. null: it has no result. */
  subject: string | null;
  filmstrip: Filmstrip | null;
  /** Files of the content and the style picture. */
  inputs: Record<string, string>;
  command: string | null;
  /** Measures that the run minimises itself, or nearly so. */
  optimised: string[];
  /** Columns of metrics.csv, thinned. */
  curves: Record<string, (number | null)[]>;
  /** Those that are not the same in all runs. */
  facts: Record<string, string | string[]>;
}

interface Run extends Omit<RunData, "facts"> { facts: Facts; name: string; status: string; label: string }

interface Measure { title: string; better: "higher" | "lower"; about: string; unit: string }

/** A trial of a study. */
interface Trial {
  number: number;
  status: "completed" | "pruned" | "failed" | "running";
  /** Searched keys with their values. */
  settings: Record<string, string>;
  /** Of the objective; empty unless it completed. */
  values: number[];
  /** Key of its run; null if the page does not have it. */
  run: string | null;
  /** Why it did not complete; else empty. */
  reason: string;
}

interface Study {
  name: string;
  objective: { name: string; title: string; higher: boolean }[];
  /** In the order of their numbers. */
  trials: Trial[];
  /** Numbers of the best trials, along the front. */
  front: number[];
  /** After each trial, the best value or the hypervolume of the front; null before the first. */
  history: (number | null)[];
  /** For each objective, the share of its variance that a searched key explains. */
  importances: Record<string, number>[];
}

/** The content of `runs.js`. */
interface Data {
  /** Seconds between two looks for newer data; null: never. */
  live: number | null;
  /** When the file was made, seconds since 1970. */
  made: number;
  /** Settings in which the runs differ. */
  keys: string[];
  /** All settings that can change the picture. */
  settings: string[];
  /** Facts that are the same in all runs. */
  shared: Record<string, string | string[]>;
  measures: Record<string, Measure>;
  runs: RunData[];
  /** The study that the page is about. */
  study: Study | null;
  /** What is chosen at first, on a page that is embedded in another one; null: it is not. */
  view: Partial<View> | null;
}

/** Which of two results a person prefers, by the names of their run folders: a line of `votes.jsonl`. */
interface Vote {
  left: string;
  right: string;
  preferred: "left" | "equal" | "right";
  /** ISO 8601. */
  time: string;
  voter: string;
}

/** What the person has chosen; a link restores it. */
interface View {
  /** Unit of the slider. */
  by: "step" | "seconds";
  /** Place of the slider in that unit; Infinity: the end. */
  at: number;
  /** Keys of the grid's rows and columns, "auto", or "" for none. */
  rows: string;
  columns: string;
  filter: string;
  /** A key, with "-" before it for falling order; "": the order of the data. */
  sort: string;
  /** Keys of runs. */
  pins: string[];
  /** Runs that are shown, at most: a browser takes a minute to draw ten thousand. */
  most: number;
  a: string;
  b: string;
  mode: "wipe" | "difference" | "a" | "b";
  /** Place of the edge, percent of the width. */
  wipe: number;
  /** Factor of the difference. */
  gain: number;
  /** Scale of the pictures, and their shift as a fraction of the frame. */
  zoom: number;
  x: number;
  y: number;
  /** Whether textures that wrap around are shown as two by two copies. */
  tiled: boolean;
  /** Column of metrics.csv that the curves show. */
  metric: string;
  logx: boolean;
  logy: boolean;
  /** Names of the objectives across and down; "": the first ones. */
  across: string;
  down: string;
}

interface State {
  data: Data;
  /** All runs, in the order of the data. */
  runs: Run[];
  /** The first of those that match the filter, pinned ones before the others. */
  shown: Run[];
  /** How many match the filter, or are pinned. */
  matching: number;
  /** Places of the slider, in steps or seconds. */
  positions: number[];
  votes: Vote[];
  /** Whether the page comes from a server that saves votes. */
  server: boolean;
}

interface Window {
  /** Called by `runs.js`. */
  nstRuns(data: Data): void;
  /** Called by `votes.js`. */
  nstVotes(data: Pick<State, "votes" | "server">): void;
  Plotly?: any;
}
