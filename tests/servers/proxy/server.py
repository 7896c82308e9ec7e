"""A real LiteLLM Proxy, with no one's settings or keys.

Of its models some answer by themselves, three requests a minute; behind the others is the practice
server.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.llm.litellm.loading import IMPORT_ENVIRONMENT
from openhands_llm_magic.llm.practice.models import MODELS as PRACTICE_MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openhands_llm_magic.llm.practice.server import PracticeServer

KEY = "sk-of-the-proxy-0123456789abcdef"
"""The key it asks for; it refuses well-known ones such as sk-1234."""

MODELS = ("asked-first", "asked-in-turn", "asked-at-once", "asked-slowly", "asked-in-a-cell")
"""Its models, one for each test and one to begin with: each has a limit of its own."""

REQUESTS_PER_MINUTE = 3
"""What it allows each model in each minute of the system's clock."""

NAMED_WAIT_S = 60.0
"""The wait that it names when it refuses, however much of the minute is left."""

ANSWER = "An answer."

CONTEXT_TOKENS = 65_536
"""What it says of the context of an agent, which the agent behind it does not tell."""

PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
"""What it says that an agent costs."""

AGENTS = (*(each for each in PRACTICE_MODELS if each.startswith("agent")), "tools-refused")
"""The practice models that act as an agent does, and one that takes no functions."""

BEHIND = (*AGENTS, "tools")
"""All that it asks the practice server for."""


def _config(practice: PracticeServer) -> dict[str, Any]:
    """Return what it is started with: models that answer by themselves, and those behind it."""
    limited = [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "mock_response": ANSWER,
                "rpm": REQUESTS_PER_MINUTE,
                "max_parallel_requests": 100,  # else it refuses by the number in flight, too
            },
        }
        for model in MODELS
    ]
    agents = [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": practice.base_url,
                "api_key": practice.key,
                **PRICES,
            },
            "model_info": {"max_input_tokens": CONTEXT_TOKENS},
        }
        for model in BEHIND
    ]
    return {
        "model_list": limited + agents,
        "router_settings": {
            "num_retries": 0,
            "optional_pre_call_checks": ["enforce_model_rate_limits"],
        },
        "general_settings": {"master_key": KEY},
    }


PATIENCE_S = 300
"""How long its start may take, in seconds."""


@dataclass(frozen=True)
class Handled:
    """One request in the proxy's log.

    Attributes:
        at_s: When it was answered or refused, in seconds of the system's clock.
        status: The status of the response.
    """

    at_s: float
    status: int


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        url: Its address, without a slash at the end.
        access_log: The file that it logs its requests to.
        skip: How many requests to models came before those that are of interest.
    """

    url: str
    access_log: Path
    skip: int = 0

    def settings(self, model: str) -> dict[str, Any]:
        """Return the settings that reach one of its models."""
        return {"model": f"litellm_proxy/{model}", "base_url": self.url, "api_key": KEY}

    def handled(self) -> list[Handled]:
        """List the requests to models that its log has, in the order of the responses."""
        lines = [line.split() for line in self.access_log.read_text("utf-8").splitlines()]
        # A line is as in: 1795409202.035 POST /chat/completions HTTP/1.1 200 OK
        posts = [
            Handled(float(at_s), int(status))
            for at_s, method, _, _, status, *_ in lines
            if method == "POST"
        ]
        return posts[self.skip :]


def _log_config(access_log: Path) -> dict[str, Any]:
    """Return the proxy's server a log with times, in Python's logging schema."""
    line = "%(created).3f %(request_line)s %(status_code)s"
    access = {"class": "logging.FileHandler", "filename": str(access_log)}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"access": {"()": "uvicorn.logging.AccessFormatter", "fmt": line}},
        "handlers": {"access": access | {"formatter": "access"}},
        "loggers": {"uvicorn.access": {"handlers": ["access"], "level": "INFO"}},
    }


@contextlib.contextmanager
def litellm_proxy(home: Path, practice: PracticeServer) -> Iterator[Proxy]:
    """Run a LiteLLM Proxy that needs no network.

    Args:
        home: An empty folder, where all that it reads and writes is.
        practice: The server of the models behind it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    proxy = Proxy(f"http://127.0.0.1:{port}", home / "access.log")
    options = {"host": "127.0.0.1", "port": str(port)}
    for name, content in {
        "config": _config(practice),
        "log_config": _log_config(proxy.access_log),
    }.items():
        file = home / f"{name}.json"
        file.write_text(json.dumps(content), "utf-8")
        options[name] = str(file)
    command = [str(Path(sys.executable).with_name("litellm"))]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **IMPORT_ENVIRONMENT}
    output = home / "output.log"
    with output.open("w") as log:
        server = subprocess.Popen(  # noqa: S603 - our own
            command, env=environment, cwd=home, stdout=log, stderr=log
        )
        try:
            _wait_for_server(proxy.url, server, output)
            yield proxy
        finally:
            server.terminate()
            server.wait()


def _wait_for_server(url: str, server: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/health/liveliness").close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no LiteLLM Proxy: {output.read_text('utf-8')}") from None
            time.sleep(0.2)
        else:
            return
