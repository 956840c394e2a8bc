// The browser's half of Controls: plain HTML controls, each with its name and one Tab stop. At most
// one change is on its way to Python: keys held down never queue up, the newest values win.

const PATIENCE = 250; // ms until the line says that something is going on

const decimals = (step) => (String(step).split(".")[1] ?? "").length;

function readout(field, value) {
  if (field.options) return field.options[value] ?? "";
  return Number(value).toFixed(decimals(field.step));
}

const KINDS = {
  slider(field, tell) {
    const range = element("input", "vidssl-field-range", { type: "range" });
    const shown = element("output", "vidssl-field-value", { "aria-hidden": "true" });
    const say = () => {
      shown.textContent = readout(range.field, range.value);
      range.setAttribute("aria-valuetext", shown.textContent);
    };
    range.addEventListener("input", () => (say(), tell(Number(range.value))));
    const update = (now, keep) => {
      range.field = now;
      for (const name of ["min", "max", "step"]) range[name] = now[name];
      if (!keep) range.value = now.value;
      say();
    };
    return { focusable: range, parts: [range, shown], update };
  },
  choice(field, tell) {
    const select = element("select", "vidssl-field-select");
    select.addEventListener("change", () => tell(select.selectedIndex));
    const update = (now, keep) => {
      const texts = [...select.options].map((option) => option.text);
      if (texts.join("\n") !== now.options.join("\n")) {
        select.replaceChildren(...now.options.map((text) => new Option(text, text)));
        keep = false;
      }
      if (!keep) select.selectedIndex = now.value;
    };
    return { focusable: select, parts: [select], update };
  },
  radios(field, tell) {
    const group = element("div", "vidssl-field-radios", { role: "radiogroup" });
    const name = `vidssl-${Math.random().toString(36).slice(2)}`;
    const buttons = field.options.map((text, index) => {
      const button = element("input", "", { type: "radio", name, value: index });
      button.addEventListener("change", () => tell(index));
      const label = element("label", "vidssl-field-radio");
      label.append(button, ` ${text}`);
      group.append(label);
      return button;
    });
    const update = (now, keep) => {
      if (!keep) buttons.forEach((button, index) => (button.checked = index === now.value));
    };
    return { focusable: group, parts: [group], update };
  },
  number(field, tell) {
    const input = element("input", "vidssl-field-number", { type: "number" });
    input.addEventListener("input", () => input.validity.valid && input.value && tell(Number(input.value)));
    input.addEventListener("change", () => input.validity.valid || (input.value = input.field.value));
    const update = (now, keep) => {
      input.field = now;
      for (const name of ["min", "max", "step"]) if (name in now) input[name] = now[name];
      if (!keep && document.activeElement !== input) input.value = now.value;
    };
    return { focusable: input, parts: [input], update };
  },
  switch(field, tell) {
    const box = element("input", "vidssl-field-box", { type: "checkbox" });
    box.addEventListener("change", () => tell(box.checked));
    return { focusable: box, parts: [box], update: (now, keep) => keep || (box.checked = now.value) };
  },
  file(field, tell) {
    const input = element("input", "vidssl-field-file", { type: "file", accept: field.accept });
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (!file) return;
      const { name, size, type, lastModified: last_modified } = file;
      tell({ name, size, type, last_modified }, await file.arrayBuffer());
    });
    return { focusable: input, parts: [input], update() {} };
  },
};

function buildField(field, number, tell) {
  const id = `vidssl-field-${number}-${Math.random().toString(36).slice(2)}`;
  const made = KINDS[field.kind](field, tell);
  const box = element("div", `vidssl-field vidssl-field-of-${field.kind}`);
  const label = element(field.kind === "radios" ? "span" : "label", "vidssl-field-label");
  label.textContent = field.label;
  if (field.kind !== "radios") label.htmlFor = id;
  made.focusable.id = id;
  made.focusable.setAttribute("aria-label", field.label);
  box.append(label, ...made.parts);
  return { ...made, box, kind: field.kind };
}

function render({ model, el }) {
  const root = element("div", "vidssl-controls vidssl-live", { role: "group" });
  const grid = element("div", "vidssl-fields");
  const line = element("div", "vidssl-said", { role: "status" });
  root.append(grid, line);
  el.append(root);
  const me = Math.random().toString(36).slice(2);
  const built = new Map();
  const waiting = new Map();
  let sent = null; // the change that Python works on
  let count = 0;
  let patience = 0;

  function send() {
    if (sent || !waiting.size) return;
    const values = {};
    const buffers = [];
    for (const [key, { value, data }] of waiting) {
      values[key] = value;
      if (data) buffers.push(data);
    }
    sent = { number: `${me}-${++count}`, keys: new Set(waiting.keys()) };
    waiting.clear();
    clearTimeout(patience);
    patience = setTimeout(() => root.setAttribute("aria-busy", "true"), PATIENCE);
    model.send({ values, number: sent.number }, undefined, buffers);
  }

  function answered(message) {
    if (!sent || message.done !== sent.number) return;
    sent = null;
    clearTimeout(patience);
    root.removeAttribute("aria-busy");
    root.dataset.answered = count; // told to tests
    send();
    sync();
  }

  function sync() {
    const fields = model.get("fields");
    fields.forEach((field, number) => {
      if (!built.has(field.key)) {
        const tell = (value, data) => (waiting.set(field.key, { value, data }), send());
        built.set(field.key, buildField(field, number, tell));
        grid.append(built.get(field.key).box);
      }
      const newer = waiting.has(field.key) || Boolean(sent?.keys.has(field.key));
      built.get(field.key).update(field, newer);
    });
    root.setAttribute("aria-label", model.get("label"));
  }

  function say() {
    const { text = "", wrong = false } = model.get("said");
    line.setAttribute("role", wrong ? "alert" : "status");
    line.textContent = text;
  }

  const kernel = model.widget_manager?.kernel;
  const gone = (_, status) => {
    if (!["restarting", "autorestarting", "dead"].includes(status)) return;
    [sent] = [null, waiting.clear(), clearTimeout(patience)];
    root.removeAttribute("aria-busy");
    line.setAttribute("role", "alert");
    line.textContent = "The kernel was restarted: run this cell again to use the controls.";
  };
  kernel?.statusChanged?.connect(gone);
  const release = keepKeys(root);
  model.on("msg:custom", answered);
  model.on("change:fields change:label", sync);
  model.on("change:said", say);
  sync();
  say();
  return () => {
    release();
    clearTimeout(patience);
    kernel?.statusChanged?.disconnect(gone);
    model.off("msg:custom", answered);
    model.off("change:fields change:label", sync);
    model.off("change:said", say);
  };
}

export default { render };
