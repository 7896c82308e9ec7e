// What is typed here goes to the kernel as a message and is never state of the widget's model.

function make(tag, className, properties) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

function render({ model, el }) {
  const id = `llm-secret-${Math.random().toString(36).slice(2)}`;
  const field = make("div", "jupyter-widgets jupyter-widget-inline-hbox jupyter-widget-text llm-secret");
  const label = make("label", "jupyter-widget-label llm-secret-label", { id: `${id}-label`, htmlFor: id });
  const input = make("input", "llm-secret-input", {
    id,
    type: "password",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: false,
  });
  input.setAttribute("data-1p-ignore", "");
  input.setAttribute("data-lpignore", "true");
  const show = button("show", () => reveal(input.type === "password"));
  const set = button("set", submit);
  field.append(label, input, show, set);

  function button(name, act) {
    const made = make("button", `jupyter-widgets jupyter-button llm-secret-${name}`, {
      id: `${id}-${name}`,
      type: "button",
      style: "flex: none",
    });
    made.setAttribute("aria-labelledby", `${id}-${name} ${id}-label`);
    made.addEventListener("click", act);
    // A press leaves the focus in the input, also where buttons take none (Safari).
    made.addEventListener("mousedown", (event) => event.preventDefault());
    return made;
  }

  function write() {
    label.textContent = model.get("label");
    input.placeholder = model.get("placeholder");
    show.textContent = model.get(input.type === "password" ? "show_text" : "hide_text");
    set.textContent = model.get("set_text");
  }

  function reveal(shown) {
    input.type = shown ? "text" : "password";
    write();
  }

  function clear() {
    input.value = "";
    reveal(false);
  }

  function submit() {
    const value = input.value.trim();
    clear();
    if (value) model.send({ type: "secret", value });
  }

  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // this Enter ends a word of an input method
    if (event.key === "Enter") submit();
    if (event.key === "Escape") clear();
  });
  field.addEventListener("focusout", (event) => {
    // When only the window loses the focus, as to fetch the key from another, it stays active here.
    if ([event.relatedTarget, document.activeElement].some((to) => field.contains(to))) return;
    // An output that is cleared loses the focus, too, just before it is removed: half a key.
    queueMicrotask(() => field.isConnected && submit());
  });
  // The notebook would take keys for its shortcuts, and show its own menu, which cannot paste.
  field.dataset.lmSuppressShortcuts = "true";
  for (const type of ["keydown", "keypress"]) {
    field.addEventListener(type, (event) => event.stopPropagation());
  }
  input.addEventListener("contextmenu", (event) => event.stopPropagation());

  write();
  for (const name of ["label", "show_text", "hide_text", "set_text", "placeholder"]) {
    model.on(`change:${name}`, write);
  }
  el.append(field);
  return clear;
}

export default { render };
