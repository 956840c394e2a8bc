// The browser's half of FramePlayer: draws tiles of one sprite sheet on a canvas for each clip.

const COMFORTABLE = 256; // screen pixels that small frames are enlarged to, in whole steps
const GAP = 10; // screen pixels between clips
const PAGE = 960; // screen pixels that a row of clips may take
const LOOKS = "change:captions change:alt change:columns change:scale change:smooth";

function element(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function buildControls() {
  const bar = element("div", "vidssl-player-controls");
  const button = element("button", "vidssl-player-play", { type: "button" });
  const range = element("input", "vidssl-player-range", { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "frame");
  const counter = element("output", "vidssl-player-counter");
  bar.append(button, range, counter);
  return { bar, button, range, counter };
}

function buildClip(tiling, scale, smooth, caption, number) {
  const figure = element("figure", "vidssl-player-clip");
  const canvas = element("canvas", "vidssl-player-canvas", { role: "img" });
  canvas.width = tiling.width;
  canvas.height = tiling.height;
  canvas.style.width = `${tiling.width * scale}px`;
  canvas.style.imageRendering = smooth ? "auto" : "pixelated";
  canvas.setAttribute("aria-label", caption || `clip ${number + 1}`);
  const text = element("figcaption", "vidssl-player-caption");
  text.textContent = caption;
  figure.style.width = `max(${tiling.width * scale}px, 8em)`;
  figure.append(canvas, text);
  return { figure, canvas };
}

function render({ model, el }) {
  const root = element("div", "vidssl-player", { tabindex: 0, role: "group" });
  const row = element("div", "vidssl-player-row");
  const { bar, button, range, counter } = buildControls();
  root.append(row, bar);
  row.style.gap = `${GAP}px`;
  el.append(root);

  let sheet = null; // decoded sprite sheet, with the tiling it was made with
  let tiling = model.get("tiling");
  let canvases = [];
  let timer = 0;
  let newest = 0; // the last load asked for: a slower, older one is dropped

  const last = () => tiling.frames - 1;
  const current = () => Math.min(Math.max(model.get("frame"), 0), last());

  function draw() {
    const frame = current();
    canvases.forEach((canvas, clip) => {
      const tile = clip * tiling.frames + frame;
      const x = (tile % tiling.columns) * tiling.width;
      const y = Math.floor(tile / tiling.columns) * tiling.height;
      const [w, h] = [tiling.width, tiling.height];
      if (sheet) canvas.getContext("2d").drawImage(sheet, x, y, w, h, 0, 0, w, h);
    });
    range.max = last();
    range.value = frame;
    counter.textContent = !canvases.length ? "no frames" : `frame ${frame + 1} of ${last() + 1}`;
    range.setAttribute("aria-valuetext", counter.textContent);
  }

  function chooseScale() {
    const room = Math.min(COMFORTABLE, PAGE / Math.max(model.get("columns"), 1));
    const side = Math.max(tiling.width, tiling.height);
    return model.get("scale") || Math.max(1, Math.floor(room / side));
  }

  function layOut() {
    const scale = chooseScale();
    const columns = model.get("columns");
    row.style.maxWidth = columns ? `${columns * (tiling.width * scale + GAP)}px` : "";
    const captions = model.get("captions");
    const made = [...Array(tiling.clips).keys()].map((k) =>
      buildClip(tiling, scale, model.get("smooth"), captions[k] ?? "", k),
    );
    canvases = made.map(({ canvas }) => canvas);
    row.replaceChildren(...made.map(({ figure }) => figure));
    root.setAttribute("aria-label", `Frame player. ${model.get("alt")}`.trim());
    draw();
  }

  async function load() {
    const wanted = ++newest;
    const next = model.get("tiling");
    if (!next.clips) return;
    const blob = new Blob([model.get("sheet")], { type: next.mime });
    const picture = await createImageBitmap(blob);
    if (wanted !== newest) return;
    [sheet, tiling] = [picture, next];
    layOut();
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
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
    if (!plain || !(event.key in keys)) return;
    event.stopPropagation(); // else the notebook scrolls or leaves the cell
    if (event.key === " " && event.target === button) return; // the button clicks by itself
    event.preventDefault();
    keys[event.key]();
  }

  root.addEventListener("keydown", onKey);
  button.addEventListener("click", () => play(!timer));
  range.addEventListener("input", () => stepTo(Number(range.value)));
  model.on("change:sheet change:tiling", load);
  model.on(LOOKS, layOut);
  model.on("change:frame", draw);
  play(false);
  load();

  return () => {
    clearInterval(timer);
    model.off("change:sheet change:tiling", load);
    model.off(LOOKS, layOut);
    model.off("change:frame", draw);
  };
}

export default { render };
