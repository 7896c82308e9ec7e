// The buttons stand below the outputs of the cell that waits, and in none of them: an output is
// saved with the notebook, and its widget would be missing when that is opened again.

// The element that marks the cell may not be there yet. And whether a click gets through to a kernel
// that runs a cell is not known before one does: the way past that cell may not have been made yet.
const TRIED_AFTER_MS = [0, 250, 500, 1000, 2000, 3000, 4000];

function initialize({ model }) {
  const buttons = make(model);
  const timers = TRIED_AFTER_MS.map((ms) =>
    setTimeout(() => place(model, buttons) && model.send({ type: "here" }), ms),
  );
  return () => {
    timers.forEach(clearTimeout);
    buttons.remove();
  };
}

function place(model, buttons) {
  const marker = document.querySelector(`.${model.get("marker")}`);
  const outputs = marker?.closest(".jp-OutputArea");
  if (outputs && !buttons.isConnected) {
    const left = marker.getBoundingClientRect().left - outputs.getBoundingClientRect().left;
    buttons.dataset.left = `${left}px`;
    outputs.append(buttons);
  }
  return buttons.isConnected;
}

function make(model) {
  const box = document.createElement("div");
  box.className = "llm-wait";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Waiting");
  const now = button(() => model.send({ type: "now" }));
  const stop = button(() => model.send({ type: "stop" }));
  stop.textContent = model.get("stop_text");
  box.append(now, stop);

  function write() {
    const waits = model.get("now_text") !== "";
    box.hidden = !model.get("is_shown");
    now.style.display = waits ? "" : "none"; // the class of the button overrules `hidden`
    now.textContent = model.get("now_text");
    // While text comes, "Stop" stands beside it, where it takes no room and hides nothing.
    box.style.cssText = waits
      ? `margin-left: ${box.dataset.left}`
      : `position: absolute; left: 8px; bottom: 2px; width: calc(${box.dataset.left} - 16px)`;
    stop.style.cssText = waits
      ? ""
      : "min-width: 0; width: 100%; height: 20px; line-height: 20px; padding: 0; margin: 0";
  }

  write();
  for (const name of ["is_shown", "now_text"]) model.on(`change:${name}`, write);
  // The notebook would take Enter on a button, and letters, for its shortcuts.
  box.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  return box;
}

function button(act) {
  const made = document.createElement("button");
  made.className = "jupyter-widgets jupyter-button";
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

export default { initialize, render() {} };
