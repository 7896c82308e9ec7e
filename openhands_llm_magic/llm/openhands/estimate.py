"""What a task would cost OpenHands, from its first request and published figures of its steps.

OpenHands sends the whole history with each step, so that the tokens of a task grow with the square
of its steps. The figures of a step are read from what has been published:

- OpenHands 0.25 with Claude, seven steps: prompts of 3,567 to 5,604 tokens, 126 tokens an answer
  (github.com/OpenHands/OpenHands/issues/6893); with a later version 12,572 tokens at step 21, and
  answers of 53 and 103 (pull request 6860 there).
- The SDK on SWE-bench with a model that reasons: 0.8, 2.6 and 11.5 million tokens of prompts in
  tasks of 122, 195 and 342 events, 367 tokens an answer in the longest
  (github.com/OpenHands/benchmarks/pull/741).

That is 200 to 800 tokens which a step adds to the history. Tests compare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.providers import DOCKER_HOST, is_loopback
from openhands_llm_magic.errors import Text
from openhands_llm_magic.llm.explain import origin_of
from openhands_llm_magic.llm.litellm.models import abilities_of
from openhands_llm_magic.llm.openhands.sent import VERSIONS, refusal
from openhands_llm_magic.llm.openhands.version import Draft
from openhands_llm_magic.llm.prepare import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.llm.openhands.version import Version

DEFAULT_STEPS = 50
"""The steps of a task of middle size; published ones took 7 to 170."""

MOST_STEPS = 10_000

MOST_SUMMARY_TOKENS = 1_000
"""Tokens of what the model writes when it sums up a history, or half of that: a guess."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a step takes.

    Attributes:
        added_tokens: Those that it adds to the history: what the model wrote, and what came of it.
        answer_tokens: Those of them that the model wrote.
    """

    added_tokens: int
    answer_tokens: int


SLOW, FAST = Pace(200, 100), Pace(800, 400)
"""How slowly and how fast a history grows in what was published."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a token, and where they are from.

    Attributes:
        prompt_usd: For one of a prompt.
        answer_usd: For one of an answer.
        cached_usd: For one of a prompt that the provider has in its cache, or None if unknown.
        written_usd: For one of a prompt that it writes there.
        is_by_hand: Whether a person has set it; else it is of LiteLLM's list.
    """

    prompt_usd: float
    answer_usd: float
    cached_usd: float | None = None
    written_usd: float = 0.0
    is_by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a task.

    Attributes:
        step: The step that it belongs to, counted from 1.
        prompt_tokens: Those of its prompt.
        repeated_tokens: Those with which the prompt before began as well.
        answer_tokens: Those of its answer.
        is_cut: Whether the history had to be cut for it, as the context was full.
    """

    step: int
    prompt_tokens: int
    repeated_tokens: int
    answer_tokens: int
    is_cut: bool = False

    def usd(self, price: Price, *, cached: bool) -> float:
        """Return what it costs, where the provider finds all in its cache or has none."""
        answer_usd = price.answer_usd * self.answer_tokens
        if not cached or price.cached_usd is None:
            return price.prompt_usd * self.prompt_tokens + answer_usd
        new_tokens = self.prompt_tokens - self.repeated_tokens
        prompt_usd = price.cached_usd * self.repeated_tokens + price.written_usd * new_tokens
        return prompt_usd + answer_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a task would cost a version of OpenHands; see `estimate`.

    Attributes:
        version: The version.
        steps: The steps of the task.
        refused: Why the version would send nothing at all, or nothing.
        is_local: Whether the server is on this machine, which takes no money.
        gives_tools: Whether the model is given its tools as tools.
        first_tokens: Those of its first request, without what the task is.
        price: What a token costs, or None where that is not known.
        plain_usd: The least and the most that the task costs without a cache, or None.
        cached_usd: The same where the provider finds in its cache all that was sent before; None
            where a price is not known, or this version asks for no cache.
        asks_for_cache: Whether the provider may keep what was sent.
        stops_at: The first and the last step at which `max_budget_per_task` can be used up, None
            for a step that this task does not come to; None without such a limit.
        window_tokens: Those that a prompt may have, or None where that is not known.
        is_cut_at: The step at which they may be too few for the history, or None.
    """

    version: Version
    steps: int
    refused: Text = NOTHING
    is_local: bool = False
    gives_tools: bool = True
    first_tokens: int = 0
    price: Price | None = None
    plain_usd: tuple[float, float] | None = None
    cached_usd: tuple[float, float] | None = None
    asks_for_cache: bool = True
    stops_at: tuple[int | None, int | None] | None = None
    window_tokens: int | None = None
    is_cut_at: int | None = None

    @property
    def fits(self) -> bool:
        """Whether its first request fits the context, as far as that is known."""
        return self.window_tokens is None or self.first_tokens <= self.window_tokens


def estimates(settings: Snapshot, steps: int = DEFAULT_STEPS) -> list[Estimate]:
    """Return the estimate of each version."""
    return [estimate(settings, steps, version) for version in VERSIONS.values()]


def estimate(settings: Snapshot, steps: int, version: Version) -> Estimate:
    """Return what a task of so many steps would cost a version of OpenHands.

    Args:
        settings: The model, its server, and prices that somebody has set.
        steps: The steps of the task, each of which is a request.
        version: The version.
    """
    made = Draft(version, settings, settings.model, [])
    gives_tools, known = version.gives_tools(made), abilities_of(settings.model)
    of_version = Estimate(
        version=version,
        steps=steps,
        refused=refusal(version, settings),
        gives_tools=gives_tools,
        first_tokens=version.tools_tokens[0 if gives_tools else 1],
        window_tokens=settings.max_input_tokens or known.window_tokens,
        asks_for_cache=version.marks_cache(made) or not known.caches_by_marks,
    )
    if of_version.refused or not of_version.fits:
        return of_version
    return _priced(of_version, settings, price_of(settings, made.facts))


def _priced(task: Estimate, settings: Snapshot, price: Price | None) -> Estimate:
    first_tokens, events = task.first_tokens, task.version.condenses_at_events
    slow, fast = (
        [*requests(first_tokens, pace, task.steps, events, task.window_tokens)]
        for pace in (SLOW, FAST)
    )
    found: dict[str, Any] = {
        "is_local": price is None and _is_local(settings),
        "is_cut_at": next((each.step for each in fast if each.is_cut), None),
    }
    if price is not None:
        caches = task.asks_for_cache and price.cached_usd is not None
        found |= {
            "price": price,
            "plain_usd": tuple(_sum(each, price, cached=False) for each in (slow, fast)),
            "cached_usd": tuple(_sum(each, price, cached=True) for each in (slow, fast))
            if caches
            else None,
        }
        if limit_usd := settings.max_budget_per_task:
            found["stops_at"] = (
                _step_over(limit_usd, fast, price, cached=False),
                _step_over(limit_usd, slow, price, cached=caches),
            )
    return replace(task, **found)


def requests(
    first_tokens: int,
    pace: Pace,
    steps: int,
    condenses_at_events: int,
    window_tokens: int | None = None,
) -> Iterator[Request]:
    """Yield the requests of a task: one for each step, and those that sum up a long history.

    A summary takes the place of the older half, after which the cache has the first request's text
    alone.

    Args:
        first_tokens: Those of the first request.
        pace: How the history grows.
        steps: The steps of the task.
        condenses_at_events: The events above which a history is summed up; a step makes two.
        window_tokens: Those that a prompt may have, where that is known.
    """
    held_steps, summary_tokens, before_tokens = 0, 0, 0
    for step in range(1, steps + 1):
        prompt_tokens = first_tokens + summary_tokens + held_steps * pace.added_tokens
        is_cut = window_tokens is not None and prompt_tokens > window_tokens
        if held_steps and (is_cut or 2 * held_steps > condenses_at_events):
            forgotten_steps = held_steps - held_steps // 2
            summed_tokens = summary_tokens + forgotten_steps * pace.added_tokens
            summary_tokens = min(MOST_SUMMARY_TOKENS, summed_tokens // 2)
            yield Request(step, summed_tokens, 0, summary_tokens)
            held_steps, before_tokens = held_steps // 2, first_tokens
            prompt_tokens = first_tokens + summary_tokens + held_steps * pace.added_tokens
        yield Request(step, prompt_tokens, before_tokens, pace.answer_tokens, is_cut)
        held_steps, before_tokens = held_steps + 1, prompt_tokens


def _sum(made: Sequence[Request], price: Price, *, cached: bool) -> float:
    return sum(each.usd(price, cached=cached) for each in made)


def _step_over(
    limit_usd: float, made: Sequence[Request], price: Price, *, cached: bool
) -> int | None:
    """Return the step after which more than a limit is spent, or None."""
    spent_usd = accumulate(each.usd(price, cached=cached) for each in made)
    over = (each.step for each, usd in zip(made, spent_usd, strict=True) if usd > limit_usd)
    return next(over, None)


def price_of(settings: Snapshot, facts: Mapping[str, Any]) -> Price | None:
    """Return what a token costs, or None where that is not known.

    A price that was set by hand counts first, and OpenHands takes it for cached tokens, too.

    Args:
        settings: They may hold prices.
        facts: What LiteLLM's list says of the model, under the names that OpenHands tries.
    """
    prompt_usd, answer_usd = settings.input_cost_per_token, settings.output_cost_per_token
    if prompt_usd is not None and answer_usd is not None:
        return Price(prompt_usd, answer_usd, is_by_hand=True)
    prompt_usd, answer_usd, cached_usd, written_usd = (
        facts.get(name) or None
        for name in (
            "input_cost_per_token",
            "output_cost_per_token",
            "cache_read_input_token_cost",
            "cache_creation_input_token_cost",
        )
    )
    if prompt_usd is None or answer_usd is None or _is_local(settings):
        return None
    return Price(prompt_usd, answer_usd, cached_usd, written_usd or prompt_usd)


def _is_local(settings: Snapshot) -> bool:
    host = host_of(settings.model, settings.base_url, settings.custom_llm_provider)
    return is_loopback(host) or host == DOCKER_HOST


def notes(found: Sequence[Estimate], settings: Snapshot) -> Iterator[Text]:
    """Yield what is to be said of estimates: what they assume, and what is not known.

    Args:
        found: Those of all versions.
        settings: What they were made for.
    """
    running = [each for each in found if not each.refused]
    yield from (Text("{reason}.", reason=each.refused) for each in found if each.refused)
    yield from (_no_room(each, settings) for each in running if not each.fits)
    running = [each for each in running if each.fits]
    if running:
        yield from _assumed(running, settings)
        yield _of_price(running[0], settings)
    for each in running:
        yield from _of_version(each, settings)


def _assumed(running: Sequence[Estimate], settings: Snapshot) -> Iterator[Text]:
    told = (
        "It is a guess for {steps} steps with {model}: each adds {slow} to {fast} tokens to the"
        " history, which is sent again with every later step, and {least} to {most} of them are"
        " the model's. Published tasks took 7 to 170 steps."
    )
    yield Text(
        told,
        steps=f"{running[0].steps:,}",
        model=settings.model,
        slow=SLOW.added_tokens,
        fast=FAST.added_tokens,
        least=SLOW.answer_tokens,
        most=FAST.answer_tokens,
    )
    yield Text(
        "The task's own text, files and MCP tools come on top, and so does long reasoning. The"
        " history is summed up where each version does so unless somebody sets otherwise."
    )


def _of_price(task: Estimate, settings: Snapshot) -> Text:
    price = task.price
    if task.is_local:
        return Text("The server is on this machine, which takes no money for it.")
    if price is None:
        told = (
            "The price of {model} is not known: set input_cost_per_token and output_cost_per_token."
        )
        return Text(told, model=settings.model)
    per_million = {"prompt": _million(price.prompt_usd), "answer": _million(price.answer_usd)}
    if price.is_by_hand:
        told = (
            "Prices for a million tokens: {prompt} in, {answer} out, set by hand"
            " (input_cost_per_token, {place}). OpenHands counts cached tokens at that price, too."
        )
        return Text(told, **per_million, place=settings.origin("input_cost_per_token").text)
    if price.cached_usd is None:
        told = (
            "Prices for a million tokens: {prompt} in, {answer} out, by LiteLLM's list, which has"
            " none for cached ones."
        )
        return Text(told, **per_million)
    told = (
        "Prices for a million tokens: {prompt} in, {answer} out, {cached} cached, {written} written"
        " to the cache, by LiteLLM's list. A cache is at its best here: what it has lost costs as"
        " without one."
    )
    cached, written = _million(price.cached_usd), _million(price.written_usd)
    return Text(told, **per_million, cached=cached, written=written)


def _million(token_usd: float) -> str:
    return f"${token_usd * 1e6:.4g}"


def _of_version(task: Estimate, settings: Snapshot) -> Iterator[Text]:
    title = task.version.title
    if not task.asks_for_cache and task.price is not None:
        yield Text("{version} asks for no cache with this model.", version=title)
    if task.is_cut_at is not None:
        told = (
            "From step {step} on the history of {version} may not fit the context of {tokens}"
            " tokens and is cut, so that it works with less of it."
        )
        yield Text(told, step=task.is_cut_at, version=title, tokens=f"{task.window_tokens:,}")
    if task.stops_at is not None:
        yield _of_budget(task, settings)


def _of_budget(task: Estimate, settings: Snapshot) -> Text:
    first, last = task.stops_at or (None, None)
    facts = {
        "version": task.version.title,
        "first": first,
        "last": last,
        "limit": Text(
            "max_budget_per_task ({place})", place=origin_of(settings, "max_budget_per_task")
        ),
    }
    if first is None:
        return Text("{limit} leaves {version} all of these steps.", **facts)
    if last is None:
        return Text("{limit} may stop {version}, at step {first} at the earliest.", **facts)
    if first == last:
        return Text("{limit} would stop {version} at step {first}.", **facts)
    return Text("{limit} would stop {version} between steps {first} and {last}.", **facts)


def _no_room(task: Estimate, settings: Snapshot) -> Text:
    told = (
        "{version} cannot work with {model}: its first request alone is about {first} tokens, and"
        " the context has {tokens}."
    )
    return Text(
        told,
        version=task.version.title,
        model=settings.model,
        first=f"{task.first_tokens:,}",
        tokens=f"{task.window_tokens:,}",
    )
