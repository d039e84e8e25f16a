// From scores to answers, as the tasks of Lepta decide.

import { boxesOf } from "./gap.js";

const most = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

/** For each task: its answer in words, and what stands behind it. */
const TASKS = {
  binary(task, scores) {
    const yes = scores[1] >= Math.fround(task.threshold);
    const mark = { 1: task.threshold };
    return shares(task.classes, scores, [yes ? 1 : 0], mark);
  },
  multiclass: (task, scores) => shares(task.classes, scores, [most(scores)]),
  ordinal(task, scores) {
    let below = 0;
    const code = scores.findIndex((share) => (below += share) >= 0.5 - 1e-6);
    return shares(task.classes, scores, [Math.max(0, code)]);
  },
  multilabel(task, scores) {
    const cuts = task.thresholds.length ? task.thresholds : task.classes.map(() => 0.5);
    const answered = task.classes.map((_, i) => i).filter((i) => scores[i] >= cuts[i]);
    return shares(task.classes, scores, answered, { ...cuts });
  },
  anomaly(task, scores) {
    const threshold = 1 - task.false_alarms;
    const strange = scores[0] >= threshold;
    const bars = [{ label: "Unlike normal", value: scores[0], answered: strange, mark: threshold }];
    return { answer: task.classes[strange ? 1 : 0], bars };
  },
  regression: (task, scores) => ({ answer: quantity(scores[0], task.unit), bars: [] }),
  ranking: (task, scores) => ({ answer: quantity(scores[0], ""), bars: [] }),
  quantile(task, scores) {
    const middle = most(task.quantiles.map((level) => -Math.abs(level - 0.5)));
    const rows = task.quantiles.map((level, i) => [`Quantile ${level}`, quantity(scores[i], task.unit)]);
    return { answer: quantity(scores[middle], task.unit), bars: [], rows };
  },
  recommendation(task, scores) {
    const order = task.items.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
    const best = order.slice(0, task.top).filter((i) => scores[i] > 0);
    const bars = best.map((i) => ({ label: task.items[i], value: scores[i], answered: true }));
    return { answer: best.length ? task.items[best[0]] : "nothing", bars };
  },
  forecasting(task, scores) {
    const { fields, quantiles, horizon } = task;
    const at = (step, field, level) => scores[(step * fields.length + field) * quantiles.length + level];
    const rows = Array.from({ length: horizon }, (_, step) => [
      `+${step + 1}`,
      ...fields.flatMap((_, field) => quantiles.map((_, level) => quantity(at(step, field, level), ""))),
    ]);
    const heads = ["Step", ...fields.flatMap((field) => quantiles.map((level) => `${field}, quantile ${level}`))];
    const middle = most(quantiles.map((level) => -Math.abs(level - 0.5)));
    return { answer: `${quantity(at(0, 0, middle), "")} in the next step`, bars: [], rows, heads };
  },
  segmentation(task, scores, [, height, width]) {
    const { classes } = task;
    const two = classes.length === 2;
    const size = height * width;
    const codes = Uint8Array.from({ length: size }, (_, i) =>
      two ? Number(scores[i] >= 0.5) : most(scores.slice(i * classes.length, (i + 1) * classes.length)));
    const counts = classes.map(() => 0);
    for (const code of codes) counts[code]++;
    const bars = classes.slice(1).map((label, i) => ({ label, value: counts[i + 1] / size, answered: counts[i + 1] > 0, colour: i }));
    const found = bars.filter(({ answered }) => answered).map(({ label }) => label);
    return { answer: found.join(", ") || `nothing but ${classes[0]}`, bars, note: "Share of the image", mask: { codes, height, width } };
  },
  detection(task, scores) {
    const threshold = Math.fround(task.threshold);
    const boxes = boxesOf(scores).filter((box) => box[4] >= threshold && box[4] > 0);
    const bars = boxes.map((box) => ({ label: task.classes[box[5]], value: box[4], answered: true, colour: box[5], mark: task.threshold }));
    const names = [...new Set(bars.map(({ label }) => label))].join(", ");
    const answer = boxes.length ? `${boxes.length} found: ${names}` : "nothing found";
    return { answer, bars, boxes };
  },
};

/**
 * Say what scores mean.
 *
 * @param {object} task the task of the bundle.
 * @param {Float32Array} data the scores of one row.
 * @param {number[]} shape of these scores, rows first.
 * @returns {{answer: string, bars: object[], rows?: string[][], mask?: object, boxes?: number[][]}}
 */
export function decide(task, data, shape) {
  return TASKS[task.name](task, Array.from(data), shape);
}

function shares(classes, scores, answered, marks = {}) {
  const bars = classes.map((label, i) => ({
    label,
    value: scores[i],
    answered: answered.includes(i),
    mark: marks[i],
  }));
  const answer = answered.map((i) => classes[i]).join(", ") || "none of them";
  return { answer, bars };
}

/** Return a number with at least four significant digits, and its unit. */
export function quantity(value, unit) {
  const digits = Math.abs(value) >= 1000 ? 0 : 4;
  const shown = value.toLocaleString("en", digits ? { maximumSignificantDigits: digits } : { maximumFractionDigits: 0 });
  return unit ? `${shown} ${unit}` : shown;
}
