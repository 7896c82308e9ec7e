"""Ways to ask many prompts of a model that limits its rate; `limits.py` runs each in a process.

Each policy answers one prompt with as many requests as it likes, or gives up with an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

WORKERS = 8
KEY = "sk-of-the-benchmarks"
PROMPT = "Say hello."
MESSAGES: list[Any] = [{"role": "user", "content": PROMPT}]

Ask = Callable[[], object]
GaveUp = tuple[type[Exception], ...]


def ours(base_url: str, requests_per_minute: float | None = None) -> tuple[Ask, GaveUp]:
    """This package with its own settings, and the limit if it is known."""
    from openhands_llm_magic.config.resolve import load_settings  # noqa: PLC0415 - of this way alone
    from openhands_llm_magic.errors import RateLimitError  # noqa: PLC0415 - of this way alone
    from openhands_llm_magic.llm.ask import ask  # noqa: PLC0415 - of this way alone

    settings = load_settings().with_overrides(
        {
            "model": "openai/limited",
            "api_key": KEY,
            "base_url": base_url,
            "requests_per_minute": requests_per_minute,
        }
    )
    return partial(ask, PROMPT, settings), (RateLimitError,)


def openhands(base_url: str) -> tuple[Ask, GaveUp]:
    """What OpenHands 0.41 does: tenacity around LiteLLM, which it leaves two retries of its own."""
    import litellm  # noqa: PLC0415 - of this way alone
    import tenacity  # noqa: PLC0415 - of this way alone

    litellm.suppress_debug_info = True  # as OpenHands does
    retry = tenacity.retry(
        stop=tenacity.stop_after_attempt(4),
        wait=tenacity.wait_exponential(multiplier=2, min=5, max=30),
        retry=tenacity.retry_if_exception_type(litellm.RateLimitError),
        reraise=True,
    )
    ask = partial(
        litellm.completion, "openai/limited", base_url=base_url, api_key=KEY, timeout=None
    )
    return retry(_read_from(ask)), (litellm.RateLimitError,)


def openai_client(base_url: str, max_retries: int | None = None) -> tuple[Ask, GaveUp]:
    """The openai client, one for all threads."""
    import openai  # noqa: PLC0415 - of this way alone

    retries = openai.DEFAULT_MAX_RETRIES if max_retries is None else max_retries
    client: Any = openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=retries)
    ask = partial(client.chat.completions.create, model="limited")
    return _read_from(ask), (openai.RateLimitError,)


def litellm_router(base_url: str) -> tuple[Ask, GaveUp]:
    """LiteLLM's Router, with enough retries to get through."""
    import litellm  # noqa: PLC0415 - of this way alone

    litellm.suppress_debug_info = True
    deployment = {"model": "openai/limited", "api_base": base_url, "api_key": KEY}
    router = litellm.Router(
        [{"model_name": "limited", "litellm_params": deployment}], num_retries=20
    )
    return _read_from(partial(router.completion, "limited")), (litellm.RateLimitError,)


def _read_from(ask: Callable[..., Iterable[object]]) -> Ask:
    """Ask for a stream, and read it to its end."""

    def read() -> None:
        for _ in ask(messages=MESSAGES, stream=True):
            pass

    return read


OURS = "this package"
OURS_TOLD = "this package, `requests_per_minute` set"
POLICIES: dict[str, Callable[[str, float], tuple[Ask, GaveUp]]] = {
    OURS_TOLD: ours,
    OURS: lambda base_url, _: ours(base_url),
    "OpenHands' policy: tenacity on LiteLLM": lambda base_url, _: openhands(base_url),
    "the openai client": lambda base_url, _: openai_client(base_url),
    "the openai client, `max_retries=20`": lambda base_url, _: openai_client(base_url, 20),
    "LiteLLM's Router, `num_retries=20`": lambda base_url, _: litellm_router(base_url),
}
"""By its name in the table; each is told the limit, and only the first one uses it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of all prompts, as the one who asked sees it.

    Attributes:
        took_s: Seconds until the last prompt had its answer, or none.
        gave_up: Prompts without an answer.
    """

    took_s: float
    gave_up: int


def clean(home: str) -> None:
    """Make this process one without the settings, keys and folder of whoever runs it."""
    path = os.environ["PATH"]
    os.environ.clear()
    # LiteLLM would download a list of prices first.
    os.environ.update(PATH=path, HOME=home, LITELLM_LOCAL_MODEL_COST_MAP="True")
    os.chdir(home)


def ask_all(policy: str, base_url: str, per_minute: float, prompts: int) -> Ended:
    """Ask so many prompts from `WORKERS` threads."""
    ask, gives_up = POLICIES[policy](base_url, per_minute)

    def answered(_: int) -> bool:
        with suppress(*gives_up):
            ask()
            return True
        return False

    began_s = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        gave_up = prompts - sum(pool.map(answered, range(prompts)))
    return Ended(time.monotonic() - began_s, gave_up)
