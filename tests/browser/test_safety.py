"""Nothing that a model sends acts on the trusted notebook that shows it."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

from browser.lab import DRAWN
from browser.watch import Watch
from markdown_attacks import (
    ATTACKS,
    ATTRIBUTES,
    FENCE_ATTACKS,
    HTML_ATTACKS,
    LINK_ATTACKS,
    MATH_ATTACKS,
    TAGS,
)
from model_server import Answer

if TYPE_CHECKING:
    from browser.conftest import OpenNotebook
    from browser.lab import Notebook
    from model_server import ModelServer, Received

ALL = "all of them"

ASKED = {
    "markdown": [*ATTACKS],
    "html": [*HTML_ATTACKS, *MATH_ATTACKS],
    "math": [*MATH_ATTACKS],
    "json": [ALL],
    "text": [ALL],
}
"""By format, the attacks that the model is asked for."""

SHOWN_TAGS = TAGS | {"small", "details", "summary"}
SHOWN_ATTRIBUTES = ATTRIBUTES | {
    ("a", "rel"): "noopener( noreferrer)?",
    ("pre", "style"): "margin:0",  # where a text goes on in the next part
    ("span", "class"): rf"{ATTRIBUTES['span', 'class']}|numbering-entry",
}
"""What is there when JupyterLab has seen links and headings, and we have added our notes."""

TELL_HALVES = r"""() => new MutationObserver(changes => {
    for (const {addedNodes} of changes)
        for (const {textContent} of addedNodes)
            for (const [, name] of textContent.matchAll(/Half of ([^.]+)\./g)) halfIsShown(name);
}).observe(document.querySelector(".jp-Notebook"), {childList: true, subtree: true})"""

ELEMENTS = """() => [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")].map(cell =>
    [...cell.querySelectorAll(".jp-OutputArea-output *")].map(element => {
        const {position, backgroundImage} = getComputedStyle(element);
        return {
            tag: element.localName,
            attributes: [...element.attributes].map(({name, value}) => [name, value]),
            in_formula: element.closest("mjx-container") !== null,
            laid_over: position === "fixed" || backgroundImage !== "none",
        };
    }))"""

PATIENCE_S = 5


class Attacker:
    """A model that sends the attack that a prompt names, as `FORMAT: NAME`.

    A Markdown answer stops in its middle until the page has shown the first half. An HTML answer
    has the attack in its reasoning, too.
    """

    def __init__(self, server: ModelServer, opened: Notebook) -> None:
        self._half_shown = {name: threading.Event() for name in ATTACKS}
        opened.page.expose_function("halfIsShown", lambda name: self._half_shown[name].set())
        opened.page.evaluate(TELL_HALVES)
        server.script(self._answer)

    def _answer(self, received: Received) -> Answer:
        match received.body["messages"][-1]["content"].split(": "):
            case ["markdown", name]:
                middle = len(ATTACKS[name]) // 2
                halves = f"Half of {name}.\n\n{ATTACKS[name][:middle]}", ATTACKS[name][middle:]
                return Answer(chunks=halves, between_chunks=lambda sent: self._wait(sent, name))
            case ["html", name]:
                return Answer(chunks=(ATTACKS[name],), reasoning=ATTACKS[name])
            case ["json", _]:
                return Answer(json.dumps([*ATTACKS.values()]))
            case ["text", _]:
                return Answer("\n\n".join(ATTACKS.values()))
            case [_, name]:
                return Answer(chunks=(ATTACKS[name],))
        raise AssertionError(received.body)

    def _wait(self, sent: int, name: str) -> None:
        if sent == 1:
            self._half_shown[name].wait(PATIENCE_S)

    @property
    def halves_not_shown(self) -> list[str]:
        """The attacks whose first half the page has not shown."""
        return [name for name, shown in self._half_shown.items() if not shown.is_set()]


def forbidden(opened: Notebook) -> list[str]:
    """List what in the outputs could act: elements, attributes, and what is laid over the page."""
    found = []
    for number, cell in enumerate(opened.page.evaluate(ELEMENTS)):
        for element in cell:
            tag, attributes = element["tag"], element["attributes"]
            if element["in_formula"]:
                bad = [pair for pair in attributes if pair[0] in ("href", "src", "id", "name")]
            else:
                bad = [pair for pair in attributes if not is_allowed(tag, *pair)]
                bad += [] if tag in SHOWN_TAGS else [tag]
            if bad or element["laid_over"]:
                found.append(f"cell {number}: {tag} {bad}")
    return found


def is_allowed(tag: str, name: str, value: str) -> bool:
    return re.fullmatch(SHOWN_ATTRIBUTES.get((tag, name), "(?!)"), value) is not None


def test_no_attack_does_anything(notebook: OpenNotebook, model_server: ModelServer) -> None:
    """Not while it arrives, not when it is there, in any format, and not when opened again."""
    load = f"""%load_ext openhands_llm_magic
%env LLM_MAGIC_FOOTER=off
key = "sk-of-the-test"
%llm_config model=openai/test base_url={model_server.openai_base} api_key=$key"""
    prompts = [f"%%llm -f {form}\n{form}: {name}" for form in ASKED for name in ASKED[form]]
    opened = notebook(load, *prompts)
    attacker = Attacker(model_server, opened)
    watch = Watch(opened)
    opened.run_all()
    opened.wait_for_idle()
    opened.page.evaluate(DRAWN)

    assert attacker.halves_not_shown == []
    assert (watch.acts, watch.hits, forbidden(opened)) == ([], 0, [])

    opened.save()
    shown = [cell.outputs for cell in opened.saved.cells[1:]]
    assert all(shown)
    kinds = {frozenset(output.data) for outputs in shown for output in outputs}
    assert kinds == {frozenset({"text/html", "text/plain"})}

    opened.reload()
    opened.page.evaluate(DRAWN)
    assert opened.trusted
    (itself,) = watch.acts
    assert itself.startswith(f"document {opened.page.url}")
    assert (watch.hits, forbidden(opened), opened.errors) == (0, [], [])


def test_attacks_are_seen_when_markdown_is_shown_raw(notebook: OpenNotebook) -> None:
    """So the other test would see them. Formulas are left out: one of them ends the page."""
    attacks = HTML_ATTACKS | LINK_ATTACKS | FENCE_ATTACKS
    show = "display({'text/markdown': %r}, raw=True)"
    opened = notebook(*(show % attack for attack in attacks.values()))
    watch = Watch(opened)
    opened.run_all()
    opened.wait_for_idle()

    assert watch.hits > 10
    assert len(set(watch.acts)) > 10
    assert len(forbidden(opened)) > 50
