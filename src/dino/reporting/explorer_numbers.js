// The attention explorer's state, its numbers and their words. All data stand in the page.

const data = JSON.parse(document.getElementById("explorer-data").textContent);
const MEAN = -1, MINUS = "\u2212";
const state = { run: 0, image: 0, head: MEAN, chosen: 0, hovered: null };

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function floatsOf(base64) {
  const view = new DataView(bytesOf(base64).buffer);
  return Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const decoded = new Map();

function models() {
  const key = `${state.run}/${state.image}`;
  if (!decoded.has(key)) {
    decoded.set(key, data.runs[state.run].images[state.image].models.map((model) => ({
      attention: bytesOf(model.attention),
      rowMaximum: floatsOf(model.rowMaximum),
      similarity: bytesOf(model.similarity),
      lowest: model.lowestSimilarity,
    })));
  }
  return decoded.get(key);
}

/** The attention of a token (0 is [CLS]) over all tokens: of one head, or the mean of all. */
function attentionOf(model, token) {
  const { heads, grid } = data.runs[state.run];
  const tokens = 1 + grid * grid;
  const used = state.head === MEAN ? [...Array(heads).keys()] : [state.head];
  const shares = new Float64Array(tokens);
  for (const head of used) {
    const row = head * tokens + token;
    const unit = model.rowMaximum[row] / 255 / used.length;
    for (let i = 0; i < tokens; i++) shares[i] += unit * model.attention[row * tokens + i];
  }
  return shares;
}

function similarityTo(model, cell) {
  const cells = data.runs[state.run].grid ** 2;
  const row = model.similarity.subarray(cell * cells, (cell + 1) * cells);
  return Float64Array.from(row, (byte) => model.lowest + ((1 - model.lowest) * byte) / 255);
}

/** How many cells a uniform attention of the same entropy would spread over. */
function spread(shares) {
  const sum = shares.reduce((a, b) => a + b, 0);
  const entropy = shares.reduce((h, s) => (s > 0 ? h - (s / sum) * Math.log(s / sum) : h), 0);
  return Math.exp(entropy);
}

function measured(kind, model, cell) {
  if (kind === "alike") {
    const values = similarityTo(model, cell);
    return { values, low: Math.min(...values), high: 1 };
  }
  const shares = attentionOf(model, kind === "cls" ? 0 : 1 + cell);
  const values = shares.subarray(1);
  return { values, low: 0, high: Math.max(...values), toCls: shares[0] };
}

function largest(values, except) {
  let best = -1;
  values.forEach((value, i) => { if (i !== except && (best < 0 || value > values[best])) best = i; });
  return best;
}

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const cosine = (value) => value.toFixed(2).replace("-", MINUS);

function word() {
  return data.runs[state.run].patchesPerCell > 1 ? "cell" : "patch";
}

function place(cell) {
  const { grid } = data.runs[state.run];
  return `row ${1 + Math.floor(cell / grid)}, column ${1 + (cell % grid)}`;
}

function reading(kind, result, cell) {
  const { grid } = data.runs[state.run];
  if (kind === "alike") {
    const nearest = largest(result.values, cell);
    return `Nearest: ${place(nearest)}, cosine ${cosine(result.values[nearest])}`;
  }
  const words = word() === "cell" ? "cells" : "patches";
  const over = `Spread over ${spread(result.values).toFixed(0)} of ${grid * grid} ${words}`;
  return `${over}, ${percent(result.toCls)} on [CLS]`;
}

function sentence(name, results, cell) {
  const top = (kind) => largest(results[kind].values, -1);
  const nearest = largest(results.alike.values, cell);
  return `${name}: [CLS] looks most at ${place(top("cls"))} (${percent(results.cls.high)}), `
    + `this ${word()} at ${place(top("patch"))} (${percent(results.patch.high)}), `
    + `and resembles ${place(nearest)} most (cosine ${cosine(results.alike.values[nearest])}).`;
}
