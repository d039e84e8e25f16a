// How far two computations of the same scores differ, as the tasks of Lepta measure it.

const FAINT = 0.05;
const WIDTH = 6;

/**
 * @param {object} task the task of the bundle.
 * @param {ArrayLike<number>} wanted scores that were expected.
 * @param {ArrayLike<number>} found scores of the same rows.
 * @returns {number} the largest difference; Infinity where there are not as many.
 */
export function gap(task, wanted, found) {
  if (wanted.length !== found.length) return Infinity;
  if (task.name === "detection") return difference(boxesOf(wanted), boxesOf(found));
  let largest = 0;
  for (let i = 0; i < wanted.length; i++) largest = Math.max(largest, Math.abs(wanted[i] - found[i]));
  return largest;
}

/** Return boxes [x0, y0, x1, y1, score, class] from scores in a row. */
export function boxesOf(scores) {
  return Array.from({ length: scores.length / WIDTH }, (_, i) => Array.from(scores.slice(i * WIDTH, (i + 1) * WIDTH)));
}

/** Return how far scored boxes of one image differ: paired by overlap, whatever their order. */
function difference(one, other) {
  const pairs = paired(one, other);
  let worst = 0;
  for (const { left, right, shared } of pairs) {
    const [mine, theirs] = [one[left][4], other[right][4]];
    const moved = (Math.max(mine, theirs) - FAINT) * (1 - shared);
    worst = Math.max(worst, Math.abs(mine - theirs), moved);
  }
  worst = Math.max(worst, alone(one, other, new Set(pairs.map(({ left }) => left))));
  return Math.max(worst, alone(other, one, new Set(pairs.map(({ right }) => right))));
}

function alone(mine, theirs, taken) {
  const least = Math.max(FAINT, Math.min(1, ...theirs.map((box) => box[4])));
  return Math.max(0, ...mine.filter((_, i) => !taken.has(i)).map((box) => box[4] - least));
}

function paired(one, other) {
  const near = [];
  one.forEach((a, left) => {
    other.forEach((b, right) => {
      const shared = a[4] > 0 && b[4] > 0 && a[5] === b[5] ? overlap(a, b) : 0;
      if (shared >= 0.5) near.push({ left, right, shared, apart: Math.abs(a[4] - b[4]) });
    });
  });
  const round = (value) => Math.round(1000 * value);
  near.sort((a, b) => round(b.shared) - round(a.shared) || a.apart - b.apart);
  const taken = [new Set(), new Set()];
  return near.filter(({ left, right }) => {
    if (taken[0].has(left) || taken[1].has(right)) return false;
    taken[0].add(left);
    taken[1].add(right);
    return true;
  });
}

function overlap(a, b) {
  const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
  const both = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return both / (area(a) + area(b) - both || 1);
}
