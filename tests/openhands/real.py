"""OpenHands as it is: what its `LLM` class sends for settings that this package hands over."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server import ModelServer

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.export import export
from openhands_llm_magic.config.save import save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from model_server import Step

    from openhands_llm_magic.config.resolve import Snapshot

RUNNER = Path(__file__).with_name("runner.py")

NO_OTHER_SERVER = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}
"""What keeps OpenHands on this machine: it would ask openrouter.ai about a model."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one prompt led to.

    Attributes:
        requests: What the server was sent, in order.
        error: How the prompt failed, or None.
    """

    requests: Sequence[Any]
    error: str | None

    @property
    def waits_s(self) -> list[float]:
        """The seconds between requests."""
        return [later.at_s - earlier.at_s for earlier, later in pairwise(self.requests)]


@dataclass(slots=True)
class OpenHands:
    """One version of OpenHands, in a process of its own, which asks a server of this process.

    Attributes:
        python: The Python of the environment that it is installed in.
        folder: Where the settings are written for it.
        server: What it asks.
        version: What is installed, in words.
    """

    python: Path
    folder: Path
    server: ModelServer = field(default_factory=ModelServer)
    version: str = ""
    _process: subprocess.Popen[str] = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.server.__enter__()
        # LiteLLM of any version takes the newest list of models when it is imported; what is in the
        # package of an old one has little to do with what its users send.
        prices = self.folder / "prices.json"
        prices.write_text(json.dumps(litellm_files.prices()), "utf-8")
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **NO_OTHER_SERVER}
        environment |= {
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PRICES": str(prices),
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                [self.python, RUNNER],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.version = self._answer()["version"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.server.__exit__(kind, error, trace)

    def ask(
        self,
        settings: Snapshot,
        messages: Sequence[Mapping[str, Any]],
        form: str,
        env: Mapping[str, str],
        *steps: Step,
    ) -> Outcome:
        """Hand settings over and ask with them.

        Args:
            settings: The settings.
            messages: What to ask: each a role and a text.
            form: How to hand the settings over: "toml", "profile" or "env".
            env: Environment variables beside those of the settings.
            *steps: What the server does; without any, it answers.
        """
        if steps:
            self.server.script(*steps)
        before = self.server.count
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        order: dict[str, Any] = {"env": dict(env), "form": form, "key": key}
        order["messages"] = [(each["role"], each["content"]) for each in messages]
        order["path"] = str(self.folder / f"handed-over.{'json' if form == 'profile' else 'toml'}")
        path = Path(order["path"])
        path.unlink(missing_ok=True)
        match form:
            case "toml":
                save(settings, path, with_key=True)
            case "profile":
                path.write_text(export(settings, "profile"), "utf-8")
        error = self._do(order)["error"]
        return Outcome(self.server.received[before:], error)

    def load(self, path: Path, messages: Sequence[Mapping[str, Any]], *steps: Step) -> Outcome:
        """Ask with a profile as it is in its file, its key as well.

        Args:
            path: The profile.
            messages: What to ask.
            *steps: What the server does, if the profile leads to it.
        """
        if steps:
            self.server.script(*steps)
        before = self.server.count
        asked = [(each["role"], each["content"]) for each in messages]
        order = {"form": "profile", "env": {}, "key": "", "path": str(path), "messages": asked}
        error = self._do(order)["error"]
        return Outcome(self.server.received[before:], error)

    def keep(
        self, path: Path, fields: Mapping[str, Any], connection: Mapping[str, Any] | None = None
    ) -> None:
        """Have the SDK write a profile, and a provider connection beside it."""
        order = {"form": "keep", "env": {}, "path": str(path), "fields": dict(fields)}
        answer = self._do({**order, "connection": dict(connection) if connection else None})
        assert answer["error"] is None, answer["error"]

    def tools(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the tools that its agent offers, and the words at which a server is to stop."""
        answer = self._do({"form": "tools", "env": {}, "path": str(self.folder)})
        assert answer["error"] is None, answer["error"]
        return answer["told"]["tools"], answer["told"]["stop"]

    def read(self, texts: Sequence[str], tools: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return the calls that it reads in each text, or an error in words."""
        answer = self._do({"form": "read", "env": {}, "texts": [*texts], "tools": [*tools]})
        assert answer["error"] is None, answer["error"]
        told: list[Any] = answer["told"]
        return told

    def describe(self, models: Sequence[str] = ()) -> dict[str, Any]:
        """Return what the SDK says of its profiles, and of models."""
        answer = self._do({"form": "describe", "env": {}, "models": [*models]})
        assert answer["error"] is None, answer["error"]
        told: dict[str, Any] = answer["told"]
        return told

    def _do(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Have the process carry out an order, and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    @property
    def _log(self) -> Path:
        """What it prints beside its answers."""
        return self.folder / "log"

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-3000:]
        answer: dict[str, Any] = json.loads(line)
        return answer
