// From scores to answers, as the tasks of Lepta decide.

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
};

/**
 * Say what scores mean.
 *
 * @param {object} task the task of the bundle.
 * @param {Float32Array} data the scores of one row.
 * @returns {{answer: string, bars: object[], rows?: string[][]}}
 */
export function decide(task, data) {
  return TASKS[task.name](task, Array.from(data));
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
