// One listener for each window, however many views it has: `initialize`, not `render`.

function initialize({ model }) {
  model.on("msg:custom", async ({ type, copy, text }) => {
    if (type !== "copy") return;
    const ok = await write(text);
    model.send({ type: "copied", copy, ok });
  });
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeBySelection(text); // an http address, or permission not given
  }
}

function writeBySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.style.cssText = "position: fixed; inset: 0 auto auto 0; opacity: 0";
  document.body.append(area);
  try {
    area.select();
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus({ preventScroll: true });
  }
}

function render({ el }) {
  keepKeys(el, 100);
}

// The view becomes part of the panel some frames after this.
function keepKeys(el, frames) {
  const panel = el.closest(".llm-panel");
  if (panel) panel.addEventListener("keydown", keepPlainKeys);
  else if (frames) requestAnimationFrame(() => keepKeys(el, frames - 1));
}

function keepPlainKeys(event) {
  if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
}

export default { initialize, render };
