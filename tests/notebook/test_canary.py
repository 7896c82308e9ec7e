"""A key in no place: each way to set it, each outcome, each sink, with the number of places.

What adds a way, an outcome or a sink later adds it to its list here, and to `docs/security.md`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kernel import Kernel
from model_server import Answer, Cut, Hang, ModelServer, Refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kernel import Ran
    from model_server import Step

CANARY = "sk-canary-0123456789abcdef"

WAYS: dict[str, tuple[str, str]] = {
    "LLM_API_KEY": ("os.environ['LLM_API_KEY'] = key()", "del os.environ['LLM_API_KEY']"),
    "provider's variable": (
        "os.environ['OPENAI_API_KEY'] = key()",
        "del os.environ['OPENAI_API_KEY']",
    ),
    "config.toml": ("toml.write_text(f'[llm]\\napi_key = \"{key()}\"')", "toml.unlink()"),
    "group": (
        (
            'toml.write_text(f\'[llm]\\n[llm.g]\\nmodel = "openai/test"\\n'
            'base_url = "{base}"\\napi_key = "{key()}"\')\n%llm_config --use g'
        ),
        "toml.unlink()\n%llm_config --use llm",
    ),
    "traitlet": ("settings.api_key = key()", "%llm_config --reset api_key"),
    "magic line": ("k = key()\n%llm_config api_key=$k\ndel k", "%llm_config --reset api_key"),
    "keyring": (
        (
            "InMemory.passwords = {(SERVICE, name_for(settings.snapshot())): key()}\n"
            "keyring.set_keyring(InMemory())\n%llm_config --keyring"
        ),
        "%llm_config --reset api_key",
    ),
    "panel": (
        (
            "%llm_config\n"
            "panel = get_ipython().magics_manager.registry['LLMMagics']._panel\n"
            "typed = {'type': 'secret', 'value': key()}\n"
            "panel.field('api_key').control._receive(None, typed, [])\n"
            "[each] = [each for each in _shown(panel.box) if ' Apply ' in f' {name_of(each)} ']\n"
            "each.click()"
        ),
        "panel.close()\n%llm_config --reset api_key",
    ),
}
"""How a key is set, and how it is taken away again: cells in which it does not stand."""

BODY = "Hi, what is the colour of the canary's cage?"
ECHO = f"Your key is {CANARY}."
PROMPT = f"%%llm --num-retries 0\n{BODY}"

OUTCOMES: dict[str, tuple[str, Step | None]] = {
    "answer": (PROMPT, Answer(ECHO, reasoning=CANARY, headers={"x-echo": CANARY})),
    "pieces": (PROMPT, Answer(chunks=tuple(ECHO))),
    "cut": (PROMPT, Cut(after_chunks=3, of=Answer(ECHO + " And so on and on."))),
    "stopped": (PROMPT, Hang(after_chunks=2, of=Answer(chunks=(ECHO, ECHO)))),
    "refused": (PROMPT, Refuse(401, message=f"Incorrect API key provided: {CANARY}")),
    "bad request": (PROMPT, Refuse(400, message=f"Bearer {CANARY}", code=CANARY)),
    "forbidden": (PROMPT, Refuse(403, message=CANARY)),
    "limit": (PROMPT, Refuse(429, {"retry-after": "0"}, message=f"{CANARY} is too fast")),
    "server error": (PROMPT, Refuse(500, body=f"at {CANARY}".encode())),
    "retried": (
        f"%%llm --retry-min-wait 0 --retry-max-wait 0 --num-retries 1\n{BODY}",
        Refuse(503, message=CANARY),
    ),
    "explained": ("%llm_error", Answer(ECHO)),
    "conversation": (f"%%llm --chat trip\n{BODY}", Answer(ECHO)),
    "stored": (f"%%llm --cache on\n{BODY}", Answer(ECHO)),
    "as data": (f"%%llm -f json\n{BODY}", Answer(f'{{"key": "{CANARY}"}}')),
    "test": ("%llm_config --test", Answer(ECHO)),
    "test refused": ("%llm_config --test", Refuse(401, message=CANARY)),
    "vectors": ("%llm_embed hello", Refuse(401, message=CANARY)),
    "many vectors": ("%llm_embed texts", Refuse(400, message=CANARY)),
    "dry run": (f"%%llm --dry-run\n{BODY}", None),
    "settings": ("%llm_config --show\n%llm_config\n%config LLMSettings", None),
    "check": ("%llm_config --check", None),
    "saved": ("%llm_config --save saved.toml", None),
    "handed over": ("%llm_config --export profile\n%llm_config --export shell", None),
    "verbose": (f"litellm.set_verbose = True\n%llm --num-retries 0 {BODY}", Answer(ECHO)),
    "verbose, refused": (f"%llm --num-retries 0 {BODY}", Refuse(401, message=CANARY)),
    "logged": (
        (
            "litellm.set_verbose = False\n"
            "[logging.getLogger(each).setLevel(10) for each in ('httpx', 'httpcore', 'openai')]\n"
            f"%llm --num-retries 0 {BODY}"
        ),
        Answer(ECHO, headers={"x-echo": CANARY}),
    ),
}
"""What is done with the key, and what the server does with it then; nothing where none is asked."""

LOOKS = (
    "_", "print(_)", "_.error", "_.messages", "_.raw", "vars(_)", "%tb", "In", "Out", "%history",
    "%whos", "__import__('pickle').dumps(_)", "settings", "get_ipython().config",
)  # fmt: skip
"""Cells that look at what was left behind."""

FAST = ("answer", "refused", "dry run", "logged")


def test_the_page_names_all_of_it() -> None:
    """`docs/security.md` is what people read of this."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
    words = " ".join(page.split())
    assert [each for each in (*WAYS, *OUTCOMES, *LOOKS) if each not in words] == []


def arguments_of(kernel: Kernel) -> list[bytes]:
    """The command line of the kernel, as everybody on the machine can read it."""
    provisioner: Any = kernel._manager.provisioner
    line = Path(f"/proc/{provisioner.pid}/cmdline")
    return [line.read_bytes()] if line.exists() else []


def files_in(*folders: Path) -> list[bytes]:
    """All files but those that the key was put into."""
    return [
        file.read_bytes()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and file.name not in ("config.toml", "key.txt")
    ]


def messages_of(ran: Ran) -> list[bytes]:
    """Everything that the kernel published for a cell: outputs, metadata, streams, tracebacks."""
    return [repr(each).encode() for each in (*ran.messages, ran.reply)]


TESTS = Path(__file__).parents[1]

SETUP = """\
import keyring, logging, os, pathlib, sys
sys.path.append({tests!r})
from keyring_in_memory import InMemory
from panel_driver import _shown
from openhands_llm_magic.config.keychain import SERVICE, name_for
key = lambda: pathlib.Path({given!r}).read_text()
toml, base, texts = pathlib.Path("config.toml"), {base!r}, ["one", "two"]
os.environ |= {{"LLM_MODEL": "openai/test", "LLM_BASE_URL": base}}
logging.basicConfig()
name_of = lambda widget: getattr(widget, "description", "")
%load_ext openhands_llm_magic
%xmode Verbose
import litellm
settings = next(
    each for each in get_ipython().configurables if type(each).__name__ == "LLMSettings")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def asked(
    home: Path, server: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """A kernel whose cells can read the key, and where it does not stand in a cell."""
    given = tmp_path_factory.mktemp("given") / "key.txt"
    given.write_text(CANARY)
    ledger = home / "ledger" / "ledger.sqlite3"
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LLM_MAGIC_LEDGER": str(ledger)}
    with Kernel(env, str(home)) as kernel:
        ran = kernel.run(SETUP.format(tests=str(TESTS), given=str(given), base=server.openai_base))
        assert ran.error is None, ran.error
        yield kernel


def places(
    kernel: Kernel, server: ModelServer, home: Path, outcomes: dict[str, tuple[str, Step | None]]
) -> Iterator[tuple[str, bytes]]:
    """Yield every place in which a key could be, after each outcome, with its name."""
    for name, (cell, step) in outcomes.items():
        if step is not None:
            server.script(step)

        def stop(message: dict[str, Any], step: Step | None = step) -> None:
            if isinstance(step, Hang) and "Your key is" in str(message["content"]):
                kernel.interrupt()

        for place in messages_of(kernel.run(cell, on_message=stop)):
            yield name, place
    for look in LOOKS:
        for place in messages_of(kernel.run(look)):
            yield look, place
    for file in files_in(home):
        yield "file", file
    for line in arguments_of(kernel):
        yield "arguments", line


def look_for(
    canary_in: Callable[[dict[str, tuple[str, Step | None]]], Iterator[tuple[str, bytes]]],
    outcomes: dict[str, tuple[str, Step | None]],
    capfd: pytest.CaptureFixture[str],
    way: str,
) -> None:
    looked_at = [*canary_in(outcomes)]
    printed = "".join(capfd.readouterr())
    looked_at.append(("the kernel's own stdout and stderr", printed.encode()))
    found = sorted({name for name, place in looked_at if CANARY.encode() in place})
    sys.stdout.write(f"{way}: canary found in {len(found)} of {len(looked_at)} places\n")
    assert found == []
    assert len(looked_at) > 5 * len(outcomes)  # as few as there are where the panel is open already


def run(  # noqa: PLR0913, PLR0917 - fixtures
    kernel: Kernel,
    server: ModelServer,
    home: Path,
    capfd: pytest.CaptureFixture[str],
    way: str,
    outcomes: dict[str, tuple[str, Step | None]],
) -> None:
    set_it, take_it_away = WAYS[way]
    assert kernel.run(set_it).error is None
    server.received.clear()
    try:
        look_for(lambda them: places(kernel, server, home, them), outcomes, capfd, way)
    finally:
        kernel.run(take_it_away)
    assert any(CANARY in str(each.headers) for each in server.received)  # it was in use
    in_ledger = b"".join(files_in(home / "ledger"))  # the write-ahead log, too
    assert b"openai/test" in in_ledger
    assert [each for each in (CANARY, BODY, "Your key is") if each.encode() in in_ledger] == []


@pytest.mark.parametrize("way", WAYS)
def test_a_canary_is_found_in_no_place(
    asked: Kernel, server: ModelServer, home: Path, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    """Some outcomes of each way to set it."""
    run(asked, server, home, capfd, way, {name: OUTCOMES[name] for name in FAST})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
def test_a_canary_is_found_in_no_place_after_anything(
    asked: Kernel, server: ModelServer, home: Path, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    """All outcomes of each way to set it."""
    run(asked, server, home, capfd, way, OUTCOMES)
