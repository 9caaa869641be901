// The attention explorer's drawing and its controls.

const byId = (name) => document.getElementById(`explorer-${name}`);
const form = byId("form"), picker = byId("picker"), status = byId("status");
const rowInput = byId("row"), columnInput = byId("column");
const panels = [...form.querySelectorAll(".panel canvas")];
const colours = bytesOf(data.colours);

const pictures = new Map();

/** The picture in colour and in grey, as canvases; drawn again when it has been decoded. */
function picture() {
  const { picture: source } = data.runs[state.run].images[state.image];
  if (!pictures.has(source)) {
    pictures.set(source, null);
    const image = new Image();
    image.onload = () => {
      pictures.set(source, [canvasOf(image, false), canvasOf(image, true)]);
      draw();
    };
    image.src = source;
  }
  return pictures.get(source);
}

function canvasOf(image, grey) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  if (grey) {
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const [r, g, b] = pixels.data.subarray(i, i + 3);
      pixels.data.fill(0.299 * r + 0.587 * g + 0.114 * b, i, i + 3);
    }
    context.putImageData(pixels, 0, 0);
  }
  return canvas;
}

/** The square of a cell in a canvas's own pixels: x, y, width, height. */
function square(canvas, cell) {
  const { grid } = data.runs[state.run];
  const at = (i) => Math.round((i * canvas.width) / grid);
  const [row, column] = [Math.floor(cell / grid), cell % grid];
  return [at(column), at(row), at(column + 1) - at(column), at(row + 1) - at(row)];
}

function outline(canvas, cell) {
  const context = canvas.getContext("2d");
  const [x, y, width, height] = square(canvas, cell);
  for (const [colour, line] of [["#000", 10], ["#fff", 5]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x, y, width, height);
  }
}

function drawPicker(cell) {
  const context = picker.getContext("2d");
  const { grid } = data.runs[state.run];
  const shown = picture();
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#000";
  context.fillRect(0, 0, picker.width, picker.height);
  if (shown) context.drawImage(shown[0], 0, 0, picker.width, picker.height);
  context.strokeStyle = "rgba(140, 140, 140, .45)";
  context.lineWidth = 1;
  for (let i = 1; i < grid; i++) {
    const line = Math.round((i * picker.width) / grid) + 0.5;
    context.strokeRect(line, -1, 0, picker.height + 2);
    context.strokeRect(-1, line, picker.width + 2, 0);
  }
  outline(picker, cell);
}

function drawPanel(canvas, result, [low, high], cell) {
  const context = canvas.getContext("2d");
  const shown = byId("beneath").checked ? picture() : null;
  context.globalAlpha = 1;
  if (shown) context.drawImage(shown[1], 0, 0, canvas.width, canvas.height);
  context.globalAlpha = shown ? 0.72 : 1;
  result.values.forEach((value, i) => {
    const level = high > low ? Math.round((255 * (value - low)) / (high - low)) : 255;
    const index = 3 * Math.min(255, Math.max(0, level));
    context.fillStyle = `rgb(${colours.subarray(index, index + 3).join(" ")})`;
    context.fillRect(...square(canvas, i));
  });
  context.globalAlpha = 1;
  if (canvas.dataset.kind !== "cls") outline(canvas, cell);
}

function draw() {
  const cell = state.hovered ?? state.chosen;
  const run = data.runs[state.run];
  const results = models().map((model) => Object.fromEntries(
    ["cls", "patch", "alike"].map((kind) => [kind, measured(kind, model, cell)])));
  drawPicker(cell);
  for (const canvas of panels) {
    const { kind, model } = canvas.dataset;
    const result = results[model][kind];
    const compared = byId("shared").checked ? results.map((of) => of[kind]) : [result];
    const range = [
      Math.min(...compared.map((one) => one.low)), Math.max(...compared.map((one) => one.high))];
    drawPanel(canvas, result, range, cell);
    const [first, , last] = canvas.nextElementSibling.children;
    const format = kind === "alike" ? cosine : (share) => (share ? percent(share) : "0");
    [first.textContent, last.textContent] = range.map(format);
    const text = reading(kind, result, cell);
    canvas.parentElement.querySelector(".reading").textContent = text;
    canvas.setAttribute("aria-label", `${run.models[model]}, ${canvas.dataset.title}: ${text}`);
  }
  // a pointer that passes by is not read aloud
  status.setAttribute("aria-live", state.hovered === null ? "polite" : "off");
  const head = state.head === MEAN ? "mean of the heads" : `head ${1 + state.head}`;
  const start = place(cell);
  const lines = [`${start[0].toUpperCase()}${start.slice(1)}, ${head}.`,
    ...results.map((of, i) => sentence(run.models[i], of, cell))];
  status.replaceChildren(...lines.map((line) =>
    Object.assign(document.createElement("span"), { textContent: `${line} ` })));
  const { grid } = run;
  [rowInput.value, columnInput.value] = [1 + Math.floor(cell / grid), 1 + (cell % grid)];
}

// ---- choices

function radios(fieldset, name, labels, onChange) {
  fieldset.querySelectorAll("label").forEach((label) => label.remove());
  labels.forEach((content, i) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name, value: String(i), checked: i === 0 });
    input.addEventListener("change", () => onChange(i));
    label.append(input, ...content);
    fieldset.append(label);
  });
}

function thumbnail({ picture: source, name, id }) {
  const image = Object.assign(new Image(), { src: source, alt: "", title: id });
  const text = Object.assign(document.createElement("span"), { textContent: name || id });
  return [image, text];
}

function chooseRun(number) {
  const run = data.runs[number];
  Object.assign(state, { run: number, image: 0, head: MEAN, hovered: null });
  radios(byId("images"), "explorer-image", run.images.map(thumbnail), chooseImage);
  const names = ["Mean", ...Array.from({ length: run.heads }, (_, i) => String(1 + i))];
  radios(byId("heads"), "explorer-head", names.map((name) => [name]), (i) => {
    state.head = i - 1;
    draw();
  });
  form.querySelectorAll(".model").forEach((heading, i) => { heading.textContent = run.models[i]; });
  [rowInput.max, columnInput.max] = [run.grid, run.grid];
  // begin where there is something to see
  state.chosen = largest(measured("cls", models()[0], 0).values, -1);
  chooseImage(0);
}

function chooseImage(number) {
  const run = data.runs[state.run];
  const { name, id } = run.images[number];
  const averaged = run.patchesPerCell > 1
    ? ` Each cell is the average of ${run.patchesPerCell} × ${run.patchesPerCell} patches.` : "";
  state.image = number;
  byId("note").textContent = `${name ? `${name}, ` : ""}test image ${id} at ${run.sizePx} px in `
    + `${run.grid} × ${run.grid} ${word() === "cell" ? "cells" : "patches"} of `
    + `${run.patchPx * run.patchesPerCell} px; ${run.heads} heads, last block.${averaged} `
    + "Spread: how many of them an even attention of the same entropy would cover. Similarity: "
    + "the cosine of features after the final norm, of all heads together.";
  draw();
}

function choose(row, column) {
  const { grid } = data.runs[state.run];
  const inside = (i) => Math.min(grid - 1, Math.max(0, i));
  state.chosen = inside(row) * grid + inside(column);
  state.hovered = null;
  draw();
}

function cellAt(canvas, event) {
  const { grid } = data.runs[state.run];
  const box = canvas.getBoundingClientRect();
  const at = (share) => Math.min(grid - 1, Math.max(0, Math.floor(share * grid)));
  return [at((event.clientY - box.top) / box.height), at((event.clientX - box.left) / box.width)];
}

picker.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const { grid } = data.runs[state.run];
  const [row, column] = [Math.floor(state.chosen / grid), state.chosen % grid];
  const target = {
    ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    Home: [row, 0], End: [row, grid - 1], PageUp: [0, column], PageDown: [grid - 1, column],
  }[event.key];
  if (!target) return;
  event.preventDefault();
  choose(...target);
});

for (const canvas of [picker, ...panels]) {
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const [row, column] = cellAt(canvas, event);
    const cell = row * data.runs[state.run].grid + column;
    if (cell === state.hovered) return;
    state.hovered = cell;
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    state.hovered = null;
    draw();
  });
  canvas.addEventListener("click", (event) => choose(...cellAt(canvas, event)));
}

for (const input of [rowInput, columnInput]) {
  input.addEventListener("change", () => choose(rowInput.value - 1, columnInput.value - 1));
}
for (const name of ["shared", "beneath"]) byId(name).addEventListener("change", draw);
form.addEventListener("submit", (event) => event.preventDefault());

const runs = byId("run");
data.runs.forEach(({ name }, i) => runs.append(new Option(name, String(i))));
runs.addEventListener("change", () => chooseRun(Number(runs.value)));
byId("run-label").hidden = data.runs.length < 2;
panels.forEach((canvas) => { canvas.dataset.title = canvas.getAttribute("aria-label"); });
const stops = [0, 32, 64, 96, 128, 160, 192, 224, 255]
  .map((i) => `rgb(${colours.subarray(3 * i, 3 * i + 3).join(" ")})`);
form.style.setProperty("--colours", `linear-gradient(to right, ${stops.join(", ")})`);
chooseRun(0);
form.hidden = false;
