/** Which two results are compared next. */

/** Both sides of a vote, in no order. @param {string} one @param {string} other */
const key = (one, other) => [one, other].sort().join("\n");

/** All pairs of results of the same content and style: others are not a fair comparison. @param {Run[]} runs @returns {[Run, Run][]} */
export const fairPairs = (runs) => runs.flatMap((one, index) =>
  runs.slice(index + 1).flatMap((other) => (one.subject !== null && one.subject === other.subject
    ? [/** @type {[Run, Run]} */ ([one, other])] : [])));

/**
 * The next pair of a person, who sees each once, on random sides, and the number of those before it. Pairs that
 * have been compared least come first, then those of results that have been compared least.
 * @param {[Run, Run][]} pairs @param {Vote[]} votes @param {string} voter
 * @returns {{pair: [Run, Run] | null, done: number}}
 */
export function nextPair(pairs, votes, voter) {
  const own = new Set(votes.filter((vote) => vote.voter === voter).map(({ left, right }) => key(left, right)));
  /** @type {Map<string, number>} */
  const counts = new Map(); // of pairs and of runs
  for (const { left, right } of votes) {
    for (const each of [left, right, key(left, right)]) counts.set(each, (counts.get(each) ?? 0) + 1);
  }
  const count = (/** @type {string} */ each) => counts.get(each) ?? 0;
  const open = pairs.filter(([one, other]) => !own.has(key(one.name, other.name)))
    .map((pair) => ({ pair, names: pair.map(({ name }) => name), chance: Math.random() }))
    .map(({ pair, names: [one, other], chance }) => ({ pair, ranks: [count(key(one, other)), count(one) + count(other), chance] }))
    .sort((one, other) => one.ranks.map((rank, index) => rank - other.ranks[index]).find((apart) => apart !== 0) ?? 0);
  const [one, other] = open[0]?.pair ?? [];
  /** @type {[Run, Run] | null} */
  const pair = one && other ? (Math.random() < 0.5 ? [one, other] : [other, one]) : null;
  return { pair, done: pairs.length - open.length };
}
