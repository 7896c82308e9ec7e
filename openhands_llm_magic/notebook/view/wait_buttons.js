// Whether a click gets through to a kernel that runs a cell is not known before one does. So the
// model says that it is here, before anything is shown: the first time, the way past the running
// cell may not have been made yet.
const SAID_AFTER_MS = [0, 250, 1000, 3000];

function initialize({ model }) {
  const timers = SAID_AFTER_MS.map((ms) => setTimeout(() => model.send({ type: "here" }), ms));
  return () => timers.forEach((timer) => clearTimeout(timer));
}

function make(tag, className, attributes) {
  const made = Object.assign(document.createElement(tag), { className });
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function render({ model, el }) {
  const box = make("div", "llm-wait", { role: "group", "aria-label": "Waiting" });
  // A screen reader would read a countdown out each second.
  const text = make("div", "jp-RenderedHTMLCommon", { role: "timer", "aria-live": "off" });
  const now = button(() => model.get("waiting") && model.send({ type: "now" }));
  const stop = button(() => model.send({ type: "stop" }));
  stop.textContent = "Stop";
  box.append(text, now, stop);

  function write() {
    text.innerHTML = model.get("html");
    now.textContent = model.get("now_text");
    // Not `disabled`, which would take the focus away from it.
    now.setAttribute("aria-disabled", String(!model.get("waiting")));
    now.style.opacity = model.get("waiting") ? "" : "0.5";
  }

  write();
  for (const name of ["html", "now_text", "waiting"]) model.on(`change:${name}`, write);
  // The notebook would take Enter on a button, and letters, for its shortcuts.
  box.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  el.append(box);
}

function button(act) {
  const made = make("button", "jupyter-widgets jupyter-button", { type: "button" });
  made.addEventListener("click", act);
  return made;
}

export default { initialize, render };
