"""A keyring for tests, which keeps what it is given until the test is over."""

from __future__ import annotations

import warnings

from keyring.backend import KeyringBackend


class InMemory(KeyringBackend):
    """A keyring that works."""

    priority = 1
    passwords: dict[tuple[str, str], str]

    def get_password(self, service: str, username: str) -> str | None:
        warnings.warn("a chatty backend", stacklevel=1)
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.passwords[service, username]
