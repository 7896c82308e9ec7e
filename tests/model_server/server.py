"""The server of `model_server`: it starts, hands out the script's steps, and stops."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from itertools import chain, repeat
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from model_server.handler import Handler
from model_server.steps import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from model_server.handler import Received
    from model_server.steps import Step

LITELLM_MODELS = {
    "openai": "gpt-4o",
    "azure": "my-deployment",
    "litellm_proxy": "a-model",
    "hosted_vllm": "a-model",
    "lm_studio": "a-model",
    "groq": "qwen-qwq-32b",
    "openrouter": "maker/a-model",
    "anthropic": "claude-sonnet-4-20250514",
    "gemini": "gemini-2.5-flash",
    "deepseek": "deepseek-chat",
    "mistral": "mistral-small-latest",
    "ollama_chat": "qwen3",
}
"""A model for each of LiteLLM's ways to this server, by LiteLLM's name of the provider."""


class ModelServer:
    """The server; it listens from `with` on, on a free port of 127.0.0.1.

    Attributes:
        received: Every request to a model, in order.
        asides: Every other request, such as Ollama's `/api/show`; these take no step.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.asides: list[Received] = []
        self.stopping = False
        self._lock = threading.Lock()
        self.script(Answer())

    def script(self, *steps: Step | Callable[[Received], Step]) -> None:
        """Return each request to a model the next step; the last one repeats.

        A function chooses the step when its turn comes.
        """
        self._steps: Iterator[Step | Callable[[Received], Step]] = chain(steps, repeat(steps[-1]))

    def next_step(self, received: Received) -> Step:
        """Log a request and take its step off the script."""
        with self._lock:
            self.received.append(received)
            step = next(self._steps)
        return step(received) if callable(step) else step

    @property
    def count(self) -> int:
        """How many requests to a model there were."""
        return len(self.received)

    @property
    def base_url(self) -> str:
        """The root, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def openai_base(self) -> str:
        """The root of the OpenAI dialect, with `/v1`."""
        return f"{self.base_url}/v1"

    def base_for(self, provider: str) -> str:
        """Return the `api_base` that leads LiteLLM's `provider` to this server."""
        if provider in {"anthropic", "azure", "bedrock", "ollama", "ollama_chat"}:
            return self.base_url
        if provider == "mistral":
            return f"{self.base_url}/mistral/v1"
        return f"{self.base_url}/v1beta" if provider == "gemini" else self.openai_base

    def __enter__(self) -> Self:
        """Start."""
        self._http = HTTPServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, name="model-server"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop, and raise what went wrong in the server's own threads."""
        self.stopping = True
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()
        if error is None and self._http.errors:
            raise self._http.errors[0]


class HTTPServer(ThreadingTCPServer):
    """Not http.server's own class: that one asks the network for the host's name."""

    request_queue_size = 128

    def __init__(self, owner: ModelServer) -> None:
        self.owner = owner
        self.errors: list[BaseException] = []
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection and give it a thread."""
        self._open.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        """Close the connection and forget it."""
        self._open.discard(request)
        super().close_request(request)

    def hang_up(self) -> None:
        """Wake every thread that reads from a client that keeps its connection."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class passes them
        """Keep what went wrong for the test's own thread; a client may leave at any time."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.errors.append(error)
