"""Rules about the settings in force: do they lead to the model that is meant?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openhands_llm_magic.config import litellm_files
from openhands_llm_magic.config.lint.address import addresses
from openhands_llm_magic.config.lint.case import Case, model_meant
from openhands_llm_magic.config.lint.finding import (
    FAILS,
    NONE_WORDS,
    Finding,
    cannot_be,
    closest,
    quoted,
)
from openhands_llm_magic.config.lint.value import QUOTES, Placeholder, placeholder_in, wrapping_of
from openhands_llm_magic.config.providers import PROVIDERS, THIS_MACHINE, provider_of, server_of
from openhands_llm_magic.config.schedule import openhands_wait_s, our_wait_s
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openhands_llm_magic.config.document import Origin
    from openhands_llm_magic.config.lint.finding import Subject
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

RETRIES = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")

MOST_WAITS = 6
"""The number of waits that a note lists."""

EFFORTS = frozenset(
    {"none", "minimal", "low", "medium", "high", "xhigh", "max", "disable", "default"}
)
"""The values of reasoning_effort that some model takes: `ReasoningEffort` of OpenAI's client has
the first seven, LiteLLM gives Gemini "disable", too, and Groq has models with "default"."""

SMALLEST_WINDOW_TOKENS = 16_384
"""The context window below which OpenHands' SDK refuses a model (`MIN_CONTEXT_WINDOW_TOKENS`)."""

ANY_WINDOW = "ALLOW_SHORT_CONTEXT_WINDOWS"
"""The variable with which OpenHands' SDK takes any context window."""

CLAUDE = re.compile(
    r"claude-(?:[a-z]+-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d)"
    r"|claude-(?P<name>mythos|fable)"
)
"""The version in the name of a Claude model, as in claude-opus-4-6, claude-3.5-haiku and
claude-opus-4-20250514; the names without one belong to models that take no temperature at all."""

FIRST_WITH_ONE_SAMPLER = (4, 1)
"""The first version of Claude that refuses temperature and top_p together; from 4.7 and in 5 both.

Anthropic's documentation and reports of it: OpenHands issues 11838 (Opus 4.5) and 12846 (Opus 4.6),
pull request 12909 of OpenHands (Opus 4.1), langfuse issue 9882 (Sonnet 4.5), AionUi issue 912
(Sonnet 4.6), pr-agent issue 2456 ("`temperature` is deprecated for this model": Opus 4.7 and 4.8).
"""

GPT_5 = re.compile(r"(?:^|/)gpt-5(?:-(?:mini|nano|pro|codex))?(?:-\d{4}.*)?$")
"""Those of OpenAI's models that take no other temperature than 1, and are newer than the LiteLLM of
OpenHands 0.41, which leaves the temperature out for the older ones (OpenHands issue 10247)."""


def wrapped_texts(case: Case) -> Iterator[Finding]:
    """Find texts with quotes, blanks or line ends around them, which count as a part of them.

    Docker's --env-file and the lists of compose files leave quotes as they are.
    """
    for setting, text, origin in _texts(case):
        around = wrapping_of(text)
        # A key may end in any character.
        in_quotes = {*text.strip()[:1], *text.strip()[-1:]} <= {*QUOTES}
        if around and not (around == "quotes" and setting.kind == "secret" and not in_quotes):
            yield Finding(
                origin,
                f"the {around} {'after' if around == 'comment' else 'around'} {setting.name}"
                f" {'counts' if around == 'comment' else 'count'} as part of it",
                f"{_write(origin)} it without {'the ' * (around == 'comment')}{around}",
                "OpenHands would take them, too",
                "warning",
            )


def placeholders(case: Case) -> Iterator[Finding]:
    """Find names of variables, and texts to be filled in, where a value was meant."""
    for setting, text, origin in _texts(case):
        kind = placeholder_in(text, is_secret=setting.kind == "secret")
        if kind is None or (kind is Placeholder.TO_FILL_IN and _takes_any_key(case, setting)):
            continue
        fix = f"{_write(origin)} the value itself"
        if kind is Placeholder.REFERENCE and origin.kind == "environment":
            fix = "Nothing is put in for it there: set the value itself"
        elif kind is Placeholder.REFERENCE and case.settings.group is None:
            fix = f"TOML expands nothing: remove the line, and set the variable {setting.variable}"
        elif kind is Placeholder.REFERENCE:
            fix = "TOML expands nothing: write the value itself"
        message = f"{setting.name} is {kind.value}, in place of a value"
        openhands = "OpenHands would take it as it stands, too"
        yield Finding(origin, message, fix, openhands, "warning")


def no_provider(case: Case) -> Iterator[Finding]:
    """Find a model for which LiteLLM knows no provider."""
    model = case.model
    if not model or case.provider:
        return
    meant = model_meant(case)
    fix = f"Write {quoted(meant)}"
    if not meant:
        fix = "Write the provider before it, as in 'openai/gpt-4o'"
    elif meant == f"openai/{model}":
        fix += ", for a server compatible with OpenAI"
    elif meant == f"openrouter/{model}" and not case.host:
        fix = f"Write the provider before it, as in {quoted(meant)}"
    yield Finding(
        case.settings.origin("model"),
        f"the model {quoted(model)} names no provider",
        fix,
        FAILS,
        "warning",
    )


def newer_prefix(case: Case) -> Iterator[Finding]:
    """Find the prefix of OpenHands' own provider, which its version 0.41 does not know."""
    own = PROVIDERS["openhands"]
    name = case.model.removeprefix(own.prefix)
    if name and name != case.model and not case.text("custom_llm_provider"):
        address = own.base_url_form
        yield Finding(
            case.settings.origin("model"),
            f"OpenHands 0.41 does not know the prefix {own.prefix} yet, and LiteLLM never does",
            f"Write {quoted('litellm_proxy/' + name)} and base_url = {quoted(address)} for 0.41",
            "OpenHands 0.41 would fail at the first prompt",
            "warning",
        )


def no_name(case: Case) -> Iterator[Finding]:
    """Find a provider's prefix with no model after it."""
    model = case.model
    provider = provider_of(model)
    if provider and model == provider.prefix:
        yield Finding(
            case.settings.origin("model"),
            f"the model {quoted(model)} has no name after its provider",
            f"Write it whole, as in {quoted(provider.example)}",
            FAILS,
            "warning",
        )


def gemini_on_vertex(case: Case) -> Iterator[Finding]:
    """Find a Gemini model without its prefix."""
    model = case.model
    if case.leads_to_vertex and not case.text("base_url"):  # of which another rule speaks
        yield Finding(
            case.settings.origin("model"),
            f"the model {quoted(model)} leads to Vertex AI, not to Google AI Studio",
            f"Write {quoted('gemini/' + model)}, or with vertex_ai/ if that is meant",
            "OpenHands would ask Vertex AI, too",
            "warning",
        )


def no_base_url(case: Case) -> Iterator[Finding]:
    """Find a provider whose server is the person's own, without the server's address."""
    provider = provider_of(case.model)
    if provider is None or "base_url" not in provider.asks_for or case.settings.base_url:
        return
    stem = provider.prefix.removesuffix("/").upper()
    names = (f"{stem}_API_BASE", f"{stem}_BASE_URL")  # where LiteLLM looks for one
    if not any(case.subject.env.get(name) for name in names):
        yield Finding(
            case.settings.origin("model"),
            f"{provider.title} asks for a base_url",
            f"Set it, as in {quoted(provider.base_url_form)}",
            FAILS,
            "warning",
        )


def azure_version(case: Case) -> Iterator[Finding]:
    """Find a model at Azure without the version of its API."""
    origin = case.settings.origin("model")
    if case.provider != "azure":
        return
    by_variable = origin.kind == "environment"
    fix = "Set LLM_API_VERSION" if by_variable else "Write api_version beside it"
    if not case.settings.api_version and not case.subject.env.get("AZURE_API_VERSION"):
        openhands = "OpenHands adds one only for a model azure/... in a config file"
        yield Finding(origin, "Azure asks for an api_version", fix, openhands, "warning")
    elif case.settings.origin("api_version").kind == "default" and case.settings.api_version:
        message = f"api_version is not set, and {case.settings.api_version} is taken"
        openhands = "OpenHands takes it, too, for a model in a config file"
        yield Finding(origin, message, fix, openhands, "note")


def practice_model(case: Case) -> Iterator[Finding]:
    """Find a practice model, which OpenHands does not know."""
    if case.model.startswith(PROVIDERS["practice"].prefix):
        yield Finding(
            case.settings.origin("model"),
            "practice models are answered by a practice server on this machine",
            "Write a provider's model for OpenHands",
            FAILS,
            "note",
        )


def retries(case: Case) -> Iterator[Finding]:
    """Note how retries differ: OpenHands counts attempts, and waits by another formula."""
    origins = [case.settings.origin(name) for name in RETRIES]
    if "llm" in case.subject.document.data:
        origins.append(case.subject.document.origin("llm"))
    origin = next((each for each in origins if each.kind != "default"), None)
    count = case.settings.num_retries
    if count and origin:
        ours = _counted(count, lambda retry: our_wait_s(case.settings, retry))
        theirs = _counted(count - 1, lambda retry: openhands_wait_s(case.settings, retry))
        yield Finding(
            origin,
            f"num_retries = {count} means {ours} here",
            "Set it one higher if OpenHands shall try as often",
            f"OpenHands counts attempts, not retries: it would make {theirs}",
            "note",
        )


def reasoning_effort(case: Case) -> Iterator[Finding]:
    """Find an effort that no model knows."""
    effort = case.text("reasoning_effort")
    if effort and effort not in EFFORTS:
        near = closest(effort.lower().replace("_", ""), sorted(EFFORTS))
        yield Finding(
            case.settings.origin("reasoning_effort"),
            cannot_be(SETTINGS["reasoning_effort"], effort),
            f"Write {near!r}" if near else f"Write one of: {', '.join(sorted(EFFORTS))}",
            "OpenHands would send it to models that reason, which refuse it",
            "warning",
        )


def sampling(case: Case) -> Iterator[Finding]:
    """Find a model that refuses what OpenHands 0.41 sends it, whatever is set."""
    if _refuses_sampling(case.model):
        yield Finding(
            case.settings.origin("model"),
            "OpenHands 0.41 sends temperature and top_p with each request, and"
            f" {quoted(case.model)} refuses them together, or at all",
            "Take a later OpenHands, or an older model, as 'anthropic/claude-sonnet-4-20250514'",
            "OpenHands 0.41 would fail at the first prompt",
            "warning",
        )


def takes_any_window(env: Mapping[str, str]) -> bool:
    """Return whether OpenHands' SDK is told to take a model whatever its context window."""
    return env.get(ANY_WINDOW, "").lower() in ("true", "1", "yes")


def small_window(case: Case) -> Iterator[Finding]:
    """Find a model whose context is too small for the SDK that OpenHands is made of today."""
    set_by_hand = case.settings.max_input_tokens
    tokens = set_by_hand or litellm_files.window_tokens(case.model)
    if tokens is None or tokens >= SMALLEST_WINDOW_TOKENS or takes_any_window(case.subject.env):
        return
    name = "max_input_tokens" if set_by_hand else "model"
    size = (
        f"max_input_tokens is {tokens}"
        if set_by_hand
        else f"LiteLLM lists {tokens} tokens of context for {quoted(case.model)}"
    )
    by_hand = "" if set_by_hand else ", or set max_input_tokens if it has more"
    yield Finding(
        case.settings.origin(name),
        f"{size}, and OpenHands' SDK asks for {SMALLEST_WINDOW_TOKENS} at least",
        f"Take a model with a larger context{by_hand}, or set the variable {ANY_WINDOW}=true",
        "OpenHands' SDK and command line, later than 0.41, would refuse it",
        "warning",
    )


RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    wrapped_texts,
    placeholders,
    no_provider,
    newer_prefix,
    no_name,
    gemini_on_vertex,
    addresses,
    no_base_url,
    azure_version,
    practice_model,
    reasoning_effort,
    sampling,
    small_window,
    retries,
)


def findings(subject: Subject, settings: Snapshot) -> Iterator[Finding]:
    """Yield what the rules find in the settings of `[llm]` or of one group."""
    case = Case(subject, settings)
    for rule in RULES:
        yield from rule(case)


def _texts(case: Case) -> Iterator[tuple[Setting, str, Origin]]:
    """Yield each setting of text that somebody wrote, with the text and its place."""
    for setting in SETTINGS.values():
        value = getattr(case.settings, setting.name) if setting.kind in ("str", "secret") else None
        origin = case.settings.origin(setting.name)
        text = value.get_secret_value() if isinstance(value, Secret) else value
        if text and origin.kind != "default" and text not in NONE_WORDS:
            yield setting, text, origin


def _takes_any_key(case: Case, setting: Setting) -> bool:
    """Return whether a setting is the key of a server on this machine, which may be any text."""
    server = server_of(case.text("base_url"))
    return setting.kind == "secret" and server is not None and server.host in THIS_MACHINE


def _write(origin: Origin) -> str:
    return "Set" if origin.kind == "environment" else "Write"


def _refuses_sampling(model: str) -> bool:
    """Return whether a model refuses the temperature 0.0 and top_p 1.0 of OpenHands 0.41."""
    name = model.lower()
    if GPT_5.search(name):
        return True
    found = CLAUDE.search(name)
    if not found or found["name"]:
        return found is not None
    return (int(found["major"]), int(found["minor"] or 0)) >= FIRST_WITH_ONE_SAMPLER


def _counted(count: int, wait_s: Callable[[int], float]) -> str:
    if count == 0:
        return "no retry"
    shown = ", ".join(f"{wait_s(retry):g}" for retry in range(1, min(count, MOST_WAITS) + 1))
    more = ", ..." if count > MOST_WAITS else ""
    return f"{count} {'retry' if count == 1 else 'retries'} after {shown}{more} s"
