// What sets a row apart from those that the model was trained on, as far as their profile tells.

import { quantity } from "./answers.js";

const FAR = 4;

/**
 * Say in words where a row is unlike the training rows; nothing is said of what is not known.
 *
 * @param {object} known by field: {low, high}, {labels}, or {height, width, channels, type, mean,
 *   between, std}.
 * @param {Map<string, any>} values of the row by field.
 * @returns {string[]}
 */
export function unlike(known, values) {
  const found = [];
  for (const [name, seen] of Object.entries(known)) {
    const value = values.get(name);
    const who = values.size > 1 ? `${name}: ` : "";
    if (typeof value === "number") found.push(number(who, value, seen));
    else if (typeof value === "string") found.push(label(who, value, seen));
    else if (value?.image) found.push(size(who, value.image, seen), brightness(who, value.image, seen));
  }
  return found.filter(Boolean);
}

function number(who, value, { low, high }) {
  if (low === undefined || !(value < low || value > high)) return "";
  return `${who}${quantity(value, "")} lies outside what training saw (${quantity(low, "")} to ${quantity(high, "")}).`;
}

function label(who, value, { labels }) {
  return !labels || value === "" || labels.includes(value) ? "" : `${who}“${value}” was not seen in training.`;
}

function size(who, { height, width }, seen) {
  const sides = [[height, seen.height], [width, seen.width]];
  if (!sides.some(([side, [low, , high]]) => side < low / 2 || side > 2 * high)) return "";
  return `${who}The image has ${width} x ${height} pixels; those of training had about ${seen.width[1]} x ${seen.height[1]}.`;
}

function brightness(who, image, seen) {
  if (seen.type !== image.dtype || seen.channels !== image.channels) return "";
  const mean = image.data.reduce((sum, value) => sum + value, 0) / image.data.length;
  const apart = Math.abs(mean - seen.mean);
  if (!(apart > FAR * seen.between && apart > seen.std / FAR)) return "";
  const way = mean > seen.mean ? "brighter" : "darker";
  return `${who}The image is much ${way} than those of training (its mean is ${quantity(mean, "")}, theirs about ${quantity(seen.mean, "")}).`;
}
