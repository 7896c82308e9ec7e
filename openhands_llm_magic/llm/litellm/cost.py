"""What a request took, what that costs, and what a request can cost at most.

What an answer cost is LiteLLM's own arithmetic over its price list, given what LiteLLM is not told
by itself: the service tier, the region, the model behind a deployment. The other figures are read
from the same list without importing LiteLLM.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openhands_llm_magic.config.litellm_files import version
from openhands_llm_magic.llm.events import Cost, Usage
from openhands_llm_magic.llm.litellm.models import abilities_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openhands_llm_magic.llm.prepare import Request

NO_OPTIONS: Mapping[str, Any] = {}

COST_HEADER = "x-litellm-response-cost"
"""Where a LiteLLM Proxy tells the cost, of an answer whose cost it knows before it sends it."""


def usage_from(counted: Any) -> Usage:
    """Read a count of the tokens: LiteLLM's, or one in OpenAI's form.

    LiteLLM brings the names of Anthropic, DeepSeek, Gemini and OpenRouter into one form, in which
    the tokens of a prompt are all of them: those read from a cache and those written to one, too.
    """
    return Usage(
        _count(counted, "prompt_tokens"),
        _count(counted, "completion_tokens"),
        cached_tokens=detail(counted, "prompt_tokens", "cached_tokens"),
        reasoning_tokens=detail(counted, "completion_tokens", "reasoning_tokens"),
        cache_write_tokens=detail(counted, "prompt_tokens", "cache_creation_tokens")
        or detail(counted, "prompt_tokens", "cache_write_tokens")
        or _count(counted, "cache_creation_input_tokens"),
    )


def with_cached(counted: Any) -> Any:
    """Return a provider's count with the cached tokens where LiteLLM looks for them.

    Moonshot tells them beside the others, and LiteLLM drops them.

    Args:
        counted: What OpenAI's client has read, or a count of LiteLLM's, which has no such tokens.
    """
    cached = _count(counted, "cached_tokens")
    if not cached or detail(counted, "prompt_tokens", "cached_tokens"):
        return counted
    told = counted.model_dump() | {"prompt_tokens_details": {"cached_tokens": cached}}
    return type(counted).model_validate(told)


def told_in(headers: Mapping[str, str]) -> float | None:
    """Return the cost that a LiteLLM Proxy tells in its headers, by lower-case name, or None."""
    with contextlib.suppress(ValueError):
        # 0 is what a LiteLLM Proxy sends where it does not know the price.
        return _usd(float(headers.get(COST_HEADER, ""))) or None
    return None


def told_beside(counted: Any) -> float | None:
    """Return the cost that a provider tells beside its count of the tokens, or None.

    LiteLLM writes a figure of its own there in the count that it passes on, so this is for the
    provider's chunk alone. Perplexity tells a sum and its parts. OpenRouter tells what it takes;
    where it asks the model with the person's own key (`is_byok`), the model's provider takes more.
    """
    cost = _part(counted, "cost")
    usd = _usd(_part(cost, "total_cost") if isinstance(cost, dict) else cost)
    if usd is None or _part(counted, "is_byok") is not True:
        return usd
    return usd + (_usd(_part(_part(counted, "cost_details"), "upstream_inference_cost")) or 0)


def tier_in(value: Any) -> str | None:
    """Return the service tier that a chunk or a count of tokens names, or None.

    Gemini names a way of traffic, such as ON_DEMAND_PRIORITY.
    """
    tier = _part(value, "service_tier") or _part(value, "trafficType")
    return tier.lower().removeprefix("on_demand_") if isinstance(tier, str) else None


def _usd(value: object) -> float | None:
    """Return a value that can be a number of dollars, or None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < math.inf else None  # type: ignore[arg-type, operator]


def detail(counted: Any, of: str, name: str) -> int:
    """Read one of the details of a count of tokens, such as the cached ones; 0 if it has none."""
    return _count(_part(counted, f"{of}_details"), name)


def _count(value: Any, name: str) -> int:
    """Read a number of tokens; what cannot be one, such as a text, counts as 0."""
    count = _part(value, name)
    return int(count) if isinstance(count, int | float) and 0 <= count < math.inf else 0


def _part(value: Any, name: str) -> Any:
    """Read a part of a count; some are dictionaries, others objects."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


OWN_NAMES = ("azure/", "litellm_proxy/")
"""Prefixes of names that a person gives to models; the answer tells which model it was."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider tells of what a request took.

    Attributes:
        counted: The tokens, as LiteLLM has them or as OpenAI's client has read them: those read
            from a cache, and those written to one, have prices of their own. None where nobody
            counted them.
        usd: Its own figure of what they cost, or None where it tells none.
        model: The model that answered, as the provider names it, or None.
        service_tier: The tier that the answer names, or None.
    """

    counted: Any = None
    usd: float | None = None
    model: str | None = None
    service_tier: str | None = None


def cost_of(
    litellm: Any,
    model: str,
    told: Told,
    *,
    price: tuple[float, float] | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> Cost:
    """Return what a request cost, and who says so.

    A price that was set by hand counts before what the provider tells, because a gateway with a
    wrong list of prices is a reason to set one.

    Args:
        litellm: The module.
        model: The model with its provider prefix.
        told: What the provider tells.
        price: US dollars for a token of the prompt and one of the answer, or None when no price was
            set by hand.
        options: Those of the request, which may name a service tier and a region.
    """
    if price and told.counted is not None:
        return Cost(_by_hand(price, told.counted, listed(model) or {}), "by hand")
    if told.usd is not None:
        return Cost(told.usd, "provider")
    for name in _names(model, told.model) if told.counted is not None else ():
        usd = _by_list(litellm, name, told, options)
        if usd is not None:
            return Cost(usd, "price list", version())
    return Cost()


def _names(model: str, answered: str | None) -> Iterator[str]:
    """Name a model as LiteLLM's list may have it."""
    proxied = model.removeprefix("litellm_proxy/")
    yield proxied if "/" in proxied else model
    for prefix in OWN_NAMES:
        if answered and model.startswith(prefix):
            yield prefix + answered


def _by_list(litellm: Any, model: str, told: Told, options: Mapping[str, Any]) -> float | None:
    """Return what tokens cost by LiteLLM's list, or None where that does not know the model."""
    try:
        counted = _without_cost(litellm, told.counted)
        named = {
            "service_tier": told.service_tier or options.get("service_tier"),
            "data_residency": _openai_region(options),
            "vertex_location": options.get("vertex_location"),
        }
        named = {name: value for name, value in named.items() if value}
        parts_usd = litellm.cost_per_token(model, usage_object=counted, **named)
    except Exception:  # noqa: BLE001 - an unknown model, or no such count, whatever is raised for it
        return None
    # LiteLLM gives 0 for a part whose price it does not have, as for a retired model.
    tokens = (_count(counted, "prompt_tokens"), _count(counted, "completion_tokens"))
    if any(took and not usd for took, usd in zip(tokens, parts_usd, strict=True)):
        return None
    usd = float(sum(parts_usd))
    return usd + _searches_usd(counted, model) if usd else None


def _searches_usd(counted: Any, model: str) -> float:
    """Return what the searches of the web cost that Anthropic counts; others do not count them."""
    searches = _count(_part(counted, "server_tool_use"), "web_search_requests")
    fees = (listed(model) or {}).get("search_context_cost_per_query") or {}
    return float(searches * fees.get("search_context_size_medium", 0))


def _without_cost(litellm: Any, counted: Any) -> Any:
    """Return a count as LiteLLM's own, without a cost, which it would take for xAI's figure."""
    if isinstance(counted, litellm.Usage):
        return counted.model_copy(update={"cost": None})
    told = counted if isinstance(counted, dict) else counted.model_dump(exclude_none=True)
    return litellm.Usage(**{name: value for name, value in told.items() if name != "cost"})


def _openai_region(options: Mapping[str, Any]) -> str | None:
    """Return the region of OpenAI's servers that a request goes to, as in eu.api.openai.com."""
    with contextlib.suppress(ValueError):
        region, dot, rest = (urlsplit(options.get("base_url") or "").hostname or "").partition(".")
        return region if dot and rest == "api.openai.com" else None
    return None


PROMPT, ANSWER = "input_cost_per_token", "output_cost_per_token"
CACHED, WRITTEN = "cache_read_input_token_cost", "cache_creation_input_token_cost"
WRITTEN_1H = f"{WRITTEN}_above_1hr"
IMAGE, REASONING = "input_cost_per_image_token", "output_cost_per_reasoning_token"

ABOVE = "_above_"
_LONG = re.compile(r"(\d+)(k?)_tokens(\w*)")
"""How the list names a price for long prompts, as in `input_cost_per_token_above_200k_tokens`."""

PLAIN_TIERS = (None, "default", "standard", "flex", "batch", "on_demand")
"""Service tiers that are not dearer than others; "auto" may be."""

DEARER_TIERS = ("", "_priority", "_ultrafast", "_balanced")
"""How the list's names end for all other tiers."""


def listed_usd(
    facts: Mapping[str, Any],
    kind: str,
    prompt_tokens: float = 0,
    tiers: Sequence[str] = ("",),
) -> float | None:
    """Return the dearest price of the list for a token of a kind, or None where it has none.

    A price of 0 is one that the list does not know.

    Args:
        facts: What the list says of a model.
        kind: The kind of token, as the list names it.
        prompt_tokens: Those of the whole prompt; many a model is dearer above a number of them.
        tiers: Endings of the list's names, for the service tiers that count.
    """
    found = [facts.get(kind + tier) for tier in tiers]
    for name, usd in facts.items():
        plain, _, above = name.partition(ABOVE)
        long = _LONG.fullmatch(above)
        if long and plain == kind and long[3] in tiers:
            from_tokens = int(long[1]) * (1000 if long[2] else 1)
            found.append(usd if prompt_tokens >= from_tokens else None)
    steps = facts.get("tiered_pricing") or ()
    found += [each.get(kind) for each in steps if prompt_tokens >= each.get("range", (0,))[0]]
    return max(filter(None, found), default=None)


def _ratio(facts: Mapping[str, Any], kind: str) -> float:
    """Return the list's price of a token of the prompt of some kind, as a part of a plain one's."""
    plain, special = listed_usd(facts, PROMPT), listed_usd(facts, kind)
    return special / plain if plain and special else 1.0


def _by_hand(price: tuple[float, float], counted: Any, facts: Mapping[str, Any]) -> float:
    """Return what tokens cost at a price that was set by hand.

    That is one for all tokens of a prompt; cached ones cost the same part of it as in the list.
    """
    usage = usage_from(counted)
    kept = _part(_part(counted, "prompt_tokens_details"), "cache_creation_token_details")
    written_1h = min(_count(kept, "ephemeral_1h_input_tokens"), usage.cache_write_tokens)
    plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    prompt = (
        max(plain, 0)
        + usage.cached_tokens * _ratio(facts, CACHED)
        + (usage.cache_write_tokens - written_1h) * _ratio(facts, WRITTEN)
        + written_1h * _ratio(facts, WRITTEN_1H)
    )
    return float(price[0] * prompt + price[1] * usage.completion_tokens)


OWN_TOKENS = 1_000
"""What a provider adds to a prompt of its own accord, at most: how it tells a model who speaks, and
which tools there are (Anthropic charges up to 804 tokens for that)."""

MOST_IMAGE_TOKENS = (("claude", 5_000), ("gpt-4o-mini", 50_000), ("", 25_000))
"""What a picture counts as at most, by a part of the model's name. Claude takes 4,784 tokens for
one, gpt-4o-mini 2,833 and 5,667 for each of eight tiles, Qwen 16,384."""


def usd_at_most(request: Request, model: str) -> float | None:
    """Return what a request costs at most in US dollars, as far as the price list knows.

    A token of text has a byte at least. The rest is what is dearest of what may come: each token of
    the prompt written to a cache, the answer as long as it may be. None where the price is unknown,
    or nothing limits the answer, the tokens of a file, or what else is charged.

    Args:
        request: What is sent.
        model: Its model as the settings name it.
    """
    facts, known, options = listed(model) or {}, abilities_of(model), request.options
    answer_tokens = request.most_answer_tokens or known.most_answer_tokens
    pictures, files, text = _parts_of(request)
    file_tokens = known.window_tokens if files else 0
    if answer_tokens is None or file_tokens is None or _is_charged_else(model, options):
        return None
    picture_tokens = next(most for part, most in MOST_IMAGE_TOKENS if part in model)
    prompt_tokens = len(text.encode(errors="replace")) + pictures * picture_tokens + file_tokens
    prompt_tokens += OWN_TOKENS
    kept = (WRITTEN, WRITTEN_1H) if '"1h"' in text else (WRITTEN,)
    if request.price_usd_per_token:
        prompt_usd, answer_usd = request.price_usd_per_token
        prompt_usd *= max(1.0, *(_ratio(facts, kind) for kind in kept))
        return prompt_usd * prompt_tokens + answer_usd * answer_tokens
    tiers = ("",) if options.get("service_tier") in PLAIN_TIERS else DEARER_TIERS
    if not (listed_usd(facts, PROMPT, prompt_tokens) and listed_usd(facts, ANSWER, prompt_tokens)):
        return None

    def dearest(*kinds: str) -> float:
        return max(listed_usd(facts, kind, prompt_tokens, tiers) or 0 for kind in kinds)

    regional = _openai_region(options) or options.get("vertex_location")
    uplifts = [usd for name, usd in facts.items() if "uplift_multiplier" in name and regional]
    usd = dearest(PROMPT, IMAGE, *kept) * prompt_tokens + dearest(ANSWER, REASONING) * answer_tokens
    return usd * max(uplifts, default=1.0)


def _parts_of(request: Request) -> tuple[int, int, str]:
    """Return how many pictures and other files a prompt has, and all else of it as one text."""
    forms = [
        form
        for message in request.messages
        if isinstance(message.get("content"), list)
        for form in message["content"]
    ]
    pictures = sum(form["type"] == "image_url" for form in forms)
    files = sum(form["type"] not in ("image_url", "text") for form in forms)
    texts = [
        message | {"content": [form for form in content if form["type"] == "text"]}
        if isinstance(content := message.get("content"), list)
        else message
        for message in request.messages
    ]
    text = json.dumps([texts, dict(request.options)], ensure_ascii=False, default=str)
    return pictures, files, text


SEARCHING = ("search", "sonar")
"""Parts of the names of models that search the web unasked, for a fee."""

CHARGED = frozenset({"web_search_options", "plugins", "speed", "inference_geo"})
"""Keywords that ask for more than tokens, at a price of its own: searches, speed, a country."""


def _is_charged_else(model: str, options: Mapping[str, Any]) -> bool:
    """Tell whether a request may cost more than its tokens, as for a tool of the provider's own."""
    tools = options.get("tools") or ()
    charged = (not isinstance(each, dict) or each.get("type") != "function" for each in tools)
    named = CHARGED.intersection(options) or CHARGED.intersection(options.get("extra_body") or ())
    return bool(named) or any(charged) or any(part in model for part in SEARCHING)
