"""Keys kept in the operating system's keyring, with the optional package `keyring`.

The keyring of macOS, Windows or the Linux desktop may ask the person to unlock it, so a call can
take as long as a person does.
"""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from openhands_llm_magic.config.providers import provider_of, server_of
from openhands_llm_magic.config.secret import Secret, masked
from openhands_llm_magic.errors import KeychainError, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyring.backend import KeyringBackend

    from openhands_llm_magic.config.resolve import Snapshot

SERVICE = "openhands-llm-magic"
"""The name under which the keyring files our keys."""

_USUAL_PORTS = (80, 443, None)

INSTALL = "pip install 'openhands-llm-magic[keyring]'"

T = TypeVar("T")

# It logs backends that do not load, and Python prints the log of a logger without a handler.
logging.getLogger("keyring").addHandler(logging.NullHandler())


def is_installed() -> bool:
    """Return whether the package `keyring` is installed; it is not imported."""
    return find_spec("keyring") is not None


def keep(name: str, secret: Secret) -> None:
    """Keep a key in the keyring, in place of an earlier one of the same name; see `name_for`.

    Raises:
        KeychainError: The keyring could not keep the key.
    """

    def set_password(keyring: KeyringBackend) -> bool:
        keyring.set_password(SERVICE, name, secret.get_secret_value())
        return keyring.get_password(SERVICE, name) == secret.get_secret_value()

    # A disabled keyring takes everything and keeps nothing.
    if not _ask(set_password, secret):
        raise KeychainError(
            "the keyring is disabled: it did not keep the key. Enable a backend in its"
            " keyringrc.cfg or PYTHON_KEYRING_BACKEND, or set LLM_API_KEY in the environment."
        )


def kept(name: str) -> Secret | None:
    """Return the API key that the keyring holds under a name, or None where it holds none there.

    Raises:
        KeychainError: The keyring could not be read.
    """
    return _ask(lambda keyring: Secret(keyring.get_password(SERVICE, name) or "")) or None


def name_for(settings: Snapshot) -> str:
    """Return the name under which the key for these settings is kept.

    It is the provider's name, and at an address that is not the provider's own, the server's host
    as well: so a key that is kept for one server is never sent to another.
    """
    named, url = settings.custom_llm_provider, settings.base_url or ""
    provider = provider_of(settings.model, url, named)
    name = provider.name if provider else named or str(settings.model).partition("/")[0]
    own = provider is not None and "base_url" not in provider.asks_for and provider.is_at(url)
    if own or not url:
        return name
    server = server_of(url)
    if server is None:
        return f"{name} an address that cannot be read"
    return f"{name} {server.host}" + f":{server.port}" * (server.port not in _USUAL_PORTS)


def key_for(settings: Snapshot) -> Secret:
    """Return the key that is kept for the server that these settings lead to.

    Raises:
        KeychainError: No key is kept for it, or the keyring could not be read.
    """
    name = name_for(settings)
    key = kept(name)
    if key is None:
        raise KeychainError(
            Text(
                "the keyring has no key for {name}. The settings panel can keep one there.",
                name=name,
            )
        )
    return key


def forget(name: str) -> bool:
    """Delete the key that is kept under a name, and return whether there was one.

    Raises:
        KeychainError: The keyring could not delete the key.
    """

    def delete_password(keyring: KeyringBackend) -> bool:
        if keyring.get_password(SERVICE, name) is None:
            return False
        keyring.delete_password(SERVICE, name)
        return True

    return _ask(delete_password)


def _ask(question: Callable[[KeyringBackend], T], secret: Secret | None = None) -> T:
    """Return the answer to a question to the keyring, whose own warnings are not shown.

    Raises:
        KeychainError: The keyring failed; the error is without its frames, which may hold the key.
    """
    if not is_installed():
        told = "the package keyring is not installed. Install it with `{command}`."
        raise KeychainError(Text(told, command=INSTALL))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from keyring import get_keyring  # noqa: PLC0415 - optional, and takes long to import

            return question(get_keyring())
    except Exception as error:  # noqa: BLE001 - backends raise errors of D-Bus, Windows and more
        problem = _problem(error, secret)
    # Outside of `except`, so that the error is not its context either.
    raise KeychainError(problem)


def _problem(error: Exception, secret: Secret | None) -> Text:
    """Return words for what happened and what to do."""
    kind = type(error).__name__  # its class cannot be imported where importing keyring failed
    if kind == "NoKeyringError":
        return Text(
            "there is no keyring on this computer that Python can use. Set LLM_API_KEY in the"
            " environment, or install one of the backends that keyring's documentation names."
        )
    words = masked(" ".join(str(error).split()), [secret.get_secret_value()] if secret else [])
    said = f"{kind}: {words[:200].rstrip('.')}" if words else kind
    told = "the keyring failed ({said}). Unlock it, or set LLM_API_KEY in the environment."
    return Text(told, said=said)
