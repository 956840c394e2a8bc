// The browser's half of FramePlayer: draws tiles of one sprite sheet on a canvas for each clip, and
// outlines and arrows over them at the screen's own resolution.

const COMFORTABLE = 256; // screen pixels that small frames are enlarged to, in whole steps
const GAP = 10; // screen pixels between clips
const PAGE = 960; // screen pixels that a row of clips may take
const LOOKS = "change:captions change:alt change:columns change:scale change:smooth";
const DATA = "change:sheet change:tiling change:stills change:marks";

function buildControls() {
  const bar = element("div", "vidssl-player-controls");
  const button = element("button", "vidssl-player-play", { type: "button" });
  const range = element("input", "vidssl-player-range", { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "frame");
  const counter = element("output", "vidssl-player-counter");
  bar.append(button, range, counter);
  return { bar, button, range, counter };
}

function buildClip(tiling, scale, fine) {
  const figure = element("figure", "vidssl-player-clip");
  const canvas = element("canvas", "vidssl-player-canvas", { role: "img" });
  const density = fine ? scale * (window.devicePixelRatio || 1) : 1;
  canvas.width = Math.round(tiling.width * density);
  canvas.height = Math.round(tiling.height * density);
  canvas.style.width = `${tiling.width * scale}px`;
  canvas.style.imageRendering = fine ? "auto" : "pixelated";
  const text = element("figcaption", "vidssl-player-caption");
  figure.style.width = `min(100%, max(${tiling.width * scale}px, 8em))`;
  figure.append(canvas, text);
  return figure;
}

function drawArrow(pen, x, y, dx, dy, unit, color) {
  const length = Math.hypot(dx, dy);
  const head = Math.min(9 * unit, 0.6 * length);
  const [ax, ay] = [dx / length, dy / length];
  const [nx, ny] = [x + dx - ax * head, y + dy - ay * head];
  for (const [ink, rim] of [["black", 1.5 * unit], [color, 0]]) {
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = 2 * unit + 2 * rim;
    pen.beginPath();
    pen.moveTo(x - ax * rim, y - ay * rim);
    pen.lineTo(nx, ny);
    pen.stroke();
    const wing = 0.6 * head + 1.5 * rim;
    pen.beginPath();
    pen.moveTo(x + dx + 2 * ax * rim, y + dy + 2 * ay * rim);
    pen.lineTo(nx - ax * rim - ay * wing, ny - ay * rim + ax * wing);
    pen.lineTo(nx - ax * rim + ay * wing, ny - ay * rim - ax * wing);
    pen.fill();
  }
}

function drawSquare(pen, [left, top, side], scale, unit, color) {
  for (const [ink, width] of [["black", 4.5], [color, 2]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = width * unit;
    const inset = 2.25 * unit;
    pen.strokeRect(left * scale + inset, top * scale + inset, side * scale - 2 * inset, side * scale - 2 * inset);
  }
}

function drawField(pen, field, frame, scale, unit, color) {
  const { rows, columns, spacing, gain, values } = field;
  const numbers = new Float32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  const place = spacing >> 1;
  for (let k = 0; k < rows * columns; k++) {
    const at = 2 * (frame * rows * columns + k);
    const [dx, dy] = [numbers[at] * gain * scale, numbers[at + 1] * gain * scale];
    const x = ((k % columns) * spacing + place + 0.5) * scale;
    const y = (Math.floor(k / columns) * spacing + place + 0.5) * scale;
    if (Math.hypot(dx, dy) >= 2 * unit) drawArrow(pen, x, y, dx, dy, 0.6 * unit, color);
    else {
      pen.fillStyle = color;
      pen.fillRect(x - unit / 2, y - unit / 2, unit, unit);
    }
  }
}

function drawMarks(canvas, marks, frame, tiling) {
  const pen = canvas.getContext("2d");
  const unit = (window.devicePixelRatio || 1); // a screen pixel
  const scale = canvas.width / (marks.width || tiling.width);
  const squares = marks.squares ?? [];
  if (squares.length) drawSquare(pen, squares[Math.min(frame, squares.length - 1)], scale, unit, marks.color);
  if (marks.arrow) {
    const [[x, y], [tox, toy]] = marks.arrow.map(([a, b]) => [a * scale, b * scale]);
    if (Math.hypot(tox - x, toy - y) >= unit) drawArrow(pen, x, y, tox - x, toy - y, unit, "white");
  }
  if (marks.field) drawField(pen, marks.field, frame, scale, unit, marks.color);
}

function render({ model, el }) {
  const root = element("div", "vidssl-player vidssl-live", { tabindex: -1, role: "group" });
  const row = element("div", "vidssl-player-row");
  const { bar, button, range, counter } = buildControls();
  root.append(row, bar);
  row.style.gap = `${GAP}px`;
  el.append(root);

  let shown = null; // what is decoded and drawn: sheet, stills, marks, with the tiling they came with
  let tiling = model.get("tiling");
  let canvases = [];
  let timer = 0;
  let newest = 0; // the last load asked for: a slower, older one is dropped

  const last = () => tiling.frames - 1;
  const current = () => Math.min(Math.max(model.get("frame"), 0), last());

  function drawClip(canvas, clip, place, frame) {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = model.get("smooth");
    pen.imageSmoothingQuality = "high";
    const still = shown.stills[clip];
    const tile = place * tiling.frames + frame;
    const x = (tile % tiling.columns) * tiling.width;
    const y = Math.floor(tile / tiling.columns) * tiling.height;
    if (still) pen.drawImage(still, 0, 0, canvas.width, canvas.height);
    else pen.drawImage(shown.sheet, x, y, tiling.width, tiling.height, 0, 0, canvas.width, canvas.height);
    if (shown.marks[clip]) drawMarks(canvas, shown.marks[clip], frame, tiling);
  }

  function draw() {
    const frame = current();
    let place = 0; // among the clips that are in the sheet
    canvases.forEach((canvas, clip) => drawClip(canvas, clip, shown.stills[clip] ? 0 : place++, frame));
    range.max = last();
    range.value = frame;
    counter.textContent = !canvases.length ? "no frames" : `frame ${frame} of 0 to ${last()}`;
    range.setAttribute("aria-valuetext", counter.textContent);
  }

  function chooseScale() {
    const room = Math.min(COMFORTABLE, PAGE / Math.max(model.get("columns"), 1));
    const side = Math.max(tiling.width, tiling.height);
    return model.get("scale") || Math.max(1, Math.floor(room / side));
  }

  // Canvases are kept where their number and shape stay: a redraw then neither flickers nor jumps.
  function layOut() {
    const scale = chooseScale();
    const columns = model.get("columns");
    const captions = model.get("captions");
    const fine = model.get("smooth") || (shown && Object.keys(shown.marks).length > 0);
    const shape = JSON.stringify([tiling.clips, tiling.width, tiling.height, scale, fine]);
    row.style.maxWidth = columns ? `${columns * (tiling.width * scale + GAP)}px` : "";
    root.setAttribute("aria-label", `Frame player. ${model.get("alt")}`.trim());
    bar.hidden = tiling.frames < 2;
    if (!shown) return draw();
    if (row.dataset.shape !== shape) {
      row.replaceChildren(...[...Array(tiling.clips)].map(() => buildClip(tiling, scale, fine)));
      canvases = [...row.querySelectorAll("canvas")];
      row.dataset.shape = shape;
    }
    canvases.forEach((canvas, clip) => {
      canvas.setAttribute("aria-label", captions[clip] || `clip ${clip + 1}`);
      canvas.nextSibling.textContent = captions[clip] ?? "";
    });
    draw();
  }

  const decode = (data, type) => createImageBitmap(new Blob([data], { type }));

  async function load() {
    const wanted = ++newest;
    const next = model.get("tiling");
    if (!next.clips) return;
    const [marks, given] = [model.get("marks"), Object.entries(model.get("stills"))];
    const moving = next.clips > given.length;
    const sheet = moving ? await decode(model.get("sheet"), next.mime) : null;
    const stills = {};
    for (const [clip, data] of given) stills[clip] = await decode(data, "image/png");
    if (wanted !== newest) return;
    [shown, tiling] = [{ sheet, stills, marks }, next];
    layOut();
    root.dataset.shown = wanted; // told to tests: so many contents were drawn
  }

  let asked = false; // several traits arrive in one message: load once
  function loadSoon() {
    if (asked) return;
    asked = true;
    queueMicrotask(() => ((asked = false), load()));
  }

  function goTo(frame) {
    model.set("frame", frame);
    if (!timer) model.save_changes(); // while playing, only this browser follows
    draw();
  }

  function play(wish) {
    clearInterval(timer);
    timer = 0;
    if (wish) {
      const step = () => goTo((current() + 1) % tiling.frames);
      timer = setInterval(step, 1000 / Math.max(model.get("fps"), 0.1));
    } else {
      model.save_changes();
    }
    button.textContent = timer ? "❚❚" : "▶";
    button.setAttribute("aria-label", timer ? "pause" : "play");
    counter.setAttribute("aria-live", timer ? "off" : "polite");
  }

  function stepTo(frame) {
    if (timer) play(false);
    goTo(frame);
  }

  const keys = {
    ArrowLeft: () => stepTo((current() + last()) % tiling.frames),
    ArrowRight: () => stepTo((current() + 1) % tiling.frames),
    Home: () => stepTo(0),
    End: () => stepTo(last()),
    " ": () => play(!timer),
  };

  function onKey(event) {
    if (!isPlain(event) || event.shiftKey || !(event.key in keys)) return;
    if (event.key === " " && event.target === button) return; // the button clicks by itself
    event.preventDefault();
    keys[event.key]();
  }

  const release = keepKeys(root);
  root.addEventListener("keydown", onKey);
  button.addEventListener("click", () => play(!timer));
  range.addEventListener("input", () => stepTo(Number(range.value)));
  model.on(DATA, loadSoon);
  model.on(LOOKS, layOut);
  model.on("change:frame", draw);
  play(false);
  load();

  return () => {
    release();
    clearInterval(timer);
    model.off(DATA, loadSoon);
    model.off(LOOKS, layOut);
    model.off("change:frame", draw);
  };
}

export default { render };
