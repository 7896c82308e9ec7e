"""What `%load_ext openhands_llm_magic` brings, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server import ModelServer


@pytest.fixture
def fresh_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of its own, without the extension."""
    home = tmp_path / "home"
    home.mkdir()
    with Kernel({"PATH": os.environ["PATH"], "HOME": str(home)}, str(tmp_path)) as kernel:
        yield kernel


@pytest.mark.slow
def test_litellm_is_imported_behind_the_users_back(fresh_kernel: Kernel) -> None:
    """`%load_ext` comes back before LiteLLM is imported; a cell that imports waits for it."""
    fresh_kernel.run("def there(): return 'litellm.main' in __import__('sys').modules")
    loaded = fresh_kernel.run("%load_ext openhands_llm_magic\nthere()")
    assert loaded.outputs[0]["text/plain"] == "False"
    first = fresh_kernel.run("from litellm.exceptions import RateLimitError; there()")
    assert first.error is None
    assert first.outputs[0]["text/plain"] == "True"


@pytest.mark.slow
def test_a_first_prompt_finds_all_imported(fresh_kernel: Kernel, model_server: ModelServer) -> None:
    """After a while all that it needs is there, so it takes hardly longer than later ones."""
    fresh_kernel.run("%load_ext openhands_llm_magic")
    fresh_kernel.run(
        "import sys, threading\n"
        "for each in threading.enumerate(): each.name == 'import litellm' and each.join()\n"
        "before = set(sys.modules)"
    )
    fresh_kernel.run("import os; os.environ['OPENAI_API_KEY'] = 'sk-test-key'")
    options = f"-m openai/x --base-url {model_server.openai_base}"
    assert fresh_kernel.run(f"%%llm {options}\nIs it?").error is None
    new = fresh_kernel.run("sorted(set(sys.modules) - before)").outputs[0]["text/plain"]
    assert new == "[]"


@pytest.mark.slow
def test_a_prompt_with_the_word_import_is_not_held_back(fresh_kernel: Kernel) -> None:
    """Its cell begins at once, and says what it waits for; one of Python waits for the import."""
    fresh_kernel.run("def there(): return 'litellm.main' in __import__('sys').modules")
    fresh_kernel.run("from IPython import get_ipython\n%load_ext openhands_llm_magic\n")
    fresh_kernel.run("magics = get_ipython().magics_manager.magics['cell']")
    fresh_kernel.run("magics['llm'] = lambda line, cell: print(there(), cell)")
    assert "False" in fresh_kernel.run("%%llm\nWhat is important?").stdout
    assert "True" in fresh_kernel.run("import os; print(there())").stdout


@pytest.mark.slow
def test_files_of_the_notebooks_folder_are_not_imported(
    fresh_kernel: Kernel, tmp_path: Path
) -> None:
    """They run neither in the background nor with the first prompt; the person may import them."""
    for name in ("litellm", "brotli", "tiktoken_ext", "httpx", "openai", "theirs"):
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\n")
    fresh_kernel.run("%load_ext openhands_llm_magic")
    assert fresh_kernel.run("%%llm -m practice/echo\nIs it?").error is None
    assert [each.name for each in tmp_path.glob("ran-*")] == []
    assert fresh_kernel.run("import theirs, brotli").error is None
    assert {each.name for each in tmp_path.glob("ran-*")} >= {"ran-theirs"}


@pytest.mark.slow
def test_a_file_of_ones_own_in_its_place_is_one_line(fresh_kernel: Kernel, tmp_path: Path) -> None:
    """The person has imported a `litellm.py` of their own: the prompt names that file."""
    (tmp_path / "litellm.py").write_text("mine = 1")
    fresh_kernel.run("import litellm")
    fresh_kernel.run("%load_ext openhands_llm_magic")
    error = fresh_kernel.run("%%llm -m practice/echo\nIs it?").error
    assert error is not None
    assert error.startswith("LibraryError: the module `litellm` that is loaded is not LiteLLM (")
    assert str(tmp_path / "litellm.py") in error
    assert "\n" not in error


@pytest.mark.slow
def test_litellm_makes_no_noise(fresh_kernel: Kernel) -> None:
    """Neither its import nor a failed request prints a warning or a banner."""
    fresh_kernel.run("%load_ext openhands_llm_magic")
    ran = fresh_kernel.run("%%llm -m openai/x --base-url http://127.0.0.1:9/v1 --num-retries 0\nHi")
    later = fresh_kernel.run("1")
    assert ran.error is not None
    assert ran.stdout == later.stdout == ""
    switch = "import litellm, os; litellm.suppress_debug_info, 'LITELLM_LOCAL' in str(os.environ)"
    assert fresh_kernel.run(switch).outputs[0]["text/plain"] == "(False, False)"


def test_settings_of_ipython_config_apply(tmp_path: Path) -> None:
    """The example configuration loads the extension at start and sets a setting."""
    example = Path(__file__).parents[2] / "jupyter-config" / "ipython_config.py"
    profile = tmp_path / "home" / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(example.read_text())
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    with Kernel(env, str(tmp_path)) as kernel:
        shown = kernel.run("%llm_config --show num_retries", "console").stdout
    assert shown.splitlines()[1].split() == ["num_retries", "6", "ipython_config"]


def test_config_magic_sets_and_shows(kernel: Kernel) -> None:
    """`%config LLMSettings.num_retries = 7` counts at once and shows as the session's."""
    kernel.run("%config LLMSettings.num_retries = 7")
    assert kernel.run("%config LLMSettings.num_retries").outputs[0]["text/plain"] == "7"
    shown = kernel.run("%llm_config --show num_retries", "console").stdout
    assert shown.splitlines()[1].split() == ["num_retries", "7", "this", "session"]


@pytest.mark.slow
def test_a_reload_keeps_what_the_session_set(
    fresh_kernel: Kernel, model_server: ModelServer, tmp_path: Path
) -> None:
    """The next prompt goes to the same server with the same key, and goes on from what was said."""
    (tmp_path / "other.toml").write_text("[llm]\n[llm.quick]\ntemperature = 0.25\n")
    fresh_kernel.run("%load_ext openhands_llm_magic")
    fresh_kernel.run("k = 'sk-of-this-session'\n%llm_config --file other.toml")
    fresh_kernel.run("%llm_config --use quick\n%llm_config --alias fast openai/test")
    fresh_kernel.run(f"%llm_config model=fast base_url={model_server.openai_base} api_key=$k")
    assert fresh_kernel.run("%llm --chat trip One").error is None
    for reload in ("%reload_ext openhands_llm_magic", "%unload_ext openhands_llm_magic"):
        fresh_kernel.run(reload)
        fresh_kernel.run("%load_ext openhands_llm_magic")
        assert fresh_kernel.run("%llm -c Two").error is None
        request = model_server.received[-1]
        assert request.headers["authorization"] == "Bearer sk-of-this-session"
        assert request.body["temperature"] == 0.25
        assert request.body["messages"][0]["content"] == "One"
    assert fresh_kernel.run("%llm_chat").stdout == "trip  3 turns  Two\n"
    fresh_kernel.run("%llm_config --reset")
    assert "api_key" in str(fresh_kernel.run("%llm_config --show api_key").outputs)
    assert "this session" not in str(fresh_kernel.run("%llm_config --show").outputs)


def test_unloading_takes_the_magics_away(fresh_kernel: Kernel) -> None:
    """After `%unload_ext` the magics are unknown, and loading works again."""
    fresh_kernel.run("%load_ext openhands_llm_magic")
    fresh_kernel.run("%unload_ext openhands_llm_magic")
    assert "not found" in fresh_kernel.run("%llm_config").stdout
    fresh_kernel.run("%load_ext openhands_llm_magic")
    assert "num_retries" in str(fresh_kernel.run("%llm_config --show").outputs)


REGISTERED = """
shell = get_ipython()
print(
    {event: len(each) for event, each in shell.events.callbacks.items()},
    len(shell.input_transformer_manager.token_transformers),
    len(shell.input_transformer_manager.line_transforms),
    sum("LLM" in type(each).__name__ for each in shell.configurables),
    any("Reply" in str(each) for each in [
        *shell.display_formatter.ipython_display_formatter.deferred_printers,
        *shell.display_formatter.ipython_display_formatter.type_printers,
    ]),
)
"""


@pytest.mark.slow
def test_unloading_leaves_nothing(fresh_kernel: Kernel) -> None:
    """After `%unload_ext` the session is as before; `%reload_ext` twice adds nothing."""
    before = fresh_kernel.run(REGISTERED).stdout
    loaded = fresh_kernel.run("%load_ext openhands_llm_magic\n" + REGISTERED).stdout
    assert fresh_kernel.run("%llm -m practice/echo Is it?").error is None
    assert loaded != before
    reload = "%reload_ext openhands_llm_magic\n" * 2
    again = fresh_kernel.run(reload + REGISTERED).stdout
    assert again == loaded
    assert fresh_kernel.run("%unload_ext openhands_llm_magic\n" + REGISTERED).stdout == before
