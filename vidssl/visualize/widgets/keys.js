// Shared by the widgets: JupyterLab looks at a key on the document, before the element in focus, and
// takes arrows, space and letters for its own commands unless an element says that it keeps them.

const OTHERS = new Set(["Escape", "Tab", "Shift"]);

function isPlain(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey && !OTHERS.has(event.key);
}

function keepKeys(root) {
  const decide = (event) => {
    const runs = event.key === "Enter" && event.shiftKey;
    const mine = root.contains(event.target) && isPlain(event) && !runs;
    root.toggleAttribute("data-lm-suppress-shortcuts", mine);
  };
  const stop = (event) => {
    if (root.hasAttribute("data-lm-suppress-shortcuts")) event.stopPropagation();
  };
  window.addEventListener("keydown", decide, true);
  root.addEventListener("keydown", stop);
  return () => window.removeEventListener("keydown", decide, true);
}

function element(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

