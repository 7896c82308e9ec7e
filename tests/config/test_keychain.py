"""Keys in the keyring of the operating system, here one in memory, one that fails, and so on."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.errors import KeyringLocked

from openhands_llm_magic.config import keychain
from openhands_llm_magic.config.resolve import load_settings
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import KeychainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-canary-0123456789abcdef"
USES: list[Callable[[], object]] = [
    lambda: keychain.keep("openai", Secret(KEY)),
    lambda: keychain.kept("openai"),
    lambda: keychain.forget("openai"),
]

each_use = pytest.mark.parametrize("use", USES, ids=["keep", "kept", "forget"])


class Locked(KeyringBackend):
    """A keyring that the person does not unlock, and that says too much."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002 - its interface
        raise KeyringLocked("Failed to unlock\nthe collection!")

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002 - same
        raise OSError(f"no room for {password}")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


def set_keyring(kind: Any) -> None:
    keyring.set_keyring(kind())


def test_a_key_is_kept_until_it_is_forgotten(passwords: dict[tuple[str, str], str]) -> None:
    assert keychain.kept("openai") is None

    keychain.keep("openai", Secret("an earlier one"))
    keychain.keep("openai", Secret(KEY))
    keychain.keep("mistral", Secret("another"))

    assert keychain.kept("openai") == Secret(KEY)
    assert passwords["openhands-llm-magic", "openai"] == KEY
    assert keychain.forget("openai") is True
    assert keychain.forget("openai") is False
    assert keychain.kept("openai") is None
    assert keychain.kept("mistral") == Secret("another")


@each_use
def test_without_a_keyring_one_line_says_what_to_do(use: Callable[[], object]) -> None:
    set_keyring(fail.Keyring)

    with pytest.raises(KeychainError, match=r"^there is no keyring .* Set LLM_API_KEY in .*\.$"):
        use()


@each_use
def test_without_the_package_one_line_says_how_to_install_it(
    use: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keychain.is_installed()
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert not keychain.is_installed()
    with pytest.raises(KeychainError, match=r"pip install 'openhands-llm-magic\[keyring\]'"):
        use()


@each_use
def test_a_failure_is_one_line_that_holds_no_key(use: Callable[[], object]) -> None:
    set_keyring(Locked)

    with pytest.raises(KeychainError) as caught:
        use()

    assert str(caught.value) in {
        f"the keyring failed ({why}). Unlock it, or set LLM_API_KEY in the environment."
        for why in (
            "KeyringLocked: Failed to unlock the collection!",
            "OSError: no room for **********",
        )
    }
    assert caught.value.__context__ is None
    ours = caught.value.with_traceback(caught.tb.tb_next)  # without this test's own frame
    shown = traceback.TracebackException.from_exception(ours, capture_locals=True)
    assert KEY not in "".join(shown.format())


def test_a_disabled_keyring_does_not_pretend_to_keep() -> None:
    set_keyring(null.Keyring)

    with pytest.raises(KeychainError, match="the keyring is disabled"):
        keychain.keep("openai", Secret(KEY))
    assert keychain.kept("openai") is None
    assert keychain.forget("openai") is False


IN_SILENCE = """
import logging, sys
from openhands_llm_magic.config import keychain
assert keychain.is_installed()
assert "keyring" not in sys.modules, "imported before a key is asked for"
try:
    keychain.kept("openai")
except keychain.KeychainError:
    logging.getLogger("keyring.backend").error("Error initializing plugin")
"""


def test_it_is_imported_on_use_and_prints_nothing() -> None:
    """Python prints what a library logs when there is no handler, as in a plain interpreter."""
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", IN_SILENCE],
        env=os.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"model": "mistral/x"}, "mistral"),
        ({"model": "mistral/x", "base_url": "https://api.mistral.ai/v1"}, "mistral"),
        ({"model": "mistral/x", "base_url": "https://a.example/v1"}, "mistral a.example"),
        (
            {"model": "openai/x", "base_url": "https://a.example:8/v1"},
            "openai_compatible a.example:8",
        ),
        ({"model": "azure/x", "base_url": "https://u:p@a.example"}, "azure a.example"),
        ({"model": "mistral/x", "base_url": "http://api.mistral.ai/v1"}, "mistral api.mistral.ai"),
        ({"model": "azure/x", "base_url": "http://[::1"}, "azure an address that cannot be read"),
        ({"model": "cerebras/x"}, "cerebras"),
    ],
)
def test_each_server_has_a_key_of_its_own(values: dict[str, str], name: str) -> None:
    """One kept for a server is never taken for another."""
    assert keychain.name_for(load_settings(env={}).with_overrides(values)) == name
