"""Rules about the settings in force: do they lead to the model that is meant?"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from openhands_llm_magic.config import withdrawn
from openhands_llm_magic.config.lint.address import ADDRESSES, addresses
from openhands_llm_magic.config.lint.case import Case, model_meant
from openhands_llm_magic.config.lint.finding import (
    FAILS,
    FAILS_IN_0_41,
    NONE_WORDS,
    TAKEN_AS_IT_STANDS,
    Finding,
    cannot_be,
    has_full_width,
    quoted,
    to_copy,
    write,
    write_one_of,
)
from openhands_llm_magic.config.lint.provider import RULES as PROVIDER_RULES
from openhands_llm_magic.config.lint.provider import in_process
from openhands_llm_magic.config.lint.value import (
    COUNTED,
    QUOTES,
    TOML_EXPANDS_NOTHING,
    WITHOUT_IT,
    Placeholder,
    Wrapping,
    placeholder_in,
    stands_in,
    unwrapped,
    wrapping_of,
)
from openhands_llm_magic.config.litellm_files import facts_of, listed_as
from openhands_llm_magic.config.providers import (
    PROVIDERS,
    THIS_MACHINE,
    provider_at,
    provider_of,
    server_of,
)
from openhands_llm_magic.config.schedule import openhands_wait_s, our_wait_s
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS, closest
from openhands_llm_magic.config.width import narrow, wide_mark
from openhands_llm_magic.errors import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from openhands_llm_magic.config.document import Origin
    from openhands_llm_magic.config.lint.finding import Subject
    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.config.setting import Setting

RETRIES = ("num_retries", "retry_min_wait", "retry_max_wait", "retry_multiplier")

MOST_PROVIDERS = 3
"""The number of providers of a model without a prefix from which a person can still choose."""

MOST_WAITS = 6
"""The number of waits that a note lists."""

SOON_DAYS = 90
"""The days before the end of a model in which a note speaks of it."""

EFFORTS = frozenset(
    {"none", "minimal", "low", "medium", "high", "xhigh", "max", "disable", "default"}
)
"""The values of reasoning_effort that some model takes: `ReasoningEffort` of OpenAI's client has
the first seven, LiteLLM gives Gemini "disable", too, and Groq has models with "default"."""

DAY = re.compile(r"\d{4}-\d\d-\d\d(?=-preview$|$)", re.ASCII)
"""The day in a version of Azure's API."""

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

GPT = re.compile(r"(?:^|/)gpt-(?:5(?:-(?:mini|nano|pro|codex))?(?:-\d{4}.*)?$|6)")
"""Those of OpenAI's models that take no other temperature than 1, and are newer than the LiteLLM of
OpenHands 0.41, which leaves the temperature out for the older ones (OpenHands issue 10247)."""

KIMI = {"temperature": 1, "top_p": 0.95}
"""The only values that Moonshot's own servers take for a Kimi model that reasons; others take more.

gemini-cli pull request 18977 and nofx pull request 1415; MaiBot issue 1538 of another server.
"""


def wrapped_texts(case: Case) -> Iterator[Finding]:
    """Find texts with quotes, blanks or line ends around them, which count as a part of them.

    Docker's --env-file and the lists of compose files leave quotes as they are.
    """
    for setting, text, _ in _texts(case):
        around = wrapping_of(text)
        # A key may end in any character.
        in_quotes = {*text.strip()[:1], *text.strip()[-1:]} <= {*QUOTES}
        is_end_of_key = around is Wrapping.QUOTES and setting.kind == "secret" and not in_quotes
        if around and not is_end_of_key:
            message = Text(COUNTED[around], name=setting.name)
            fix = Text(WITHOUT_IT[around])
            yield case.finding(setting.name, message, fix, Text("OpenHands would take them, too"))


def full_width(case: Case) -> Iterator[Finding]:
    """Find texts that were typed with an input method on; the other rules see what is meant."""
    for setting, text, _ in _texts(case):
        mark = wide_mark(unwrapped(text)) if setting.is_narrow else ""
        if mark and setting.name not in ADDRESSES:  # of which another rule speaks
            fix = write(quoted(narrow(unwrapped(text))))
            if setting.kind == "secret":
                fix = Text("Write it again, with the input method off")
            message = has_full_width(setting.name, mark)
            yield case.finding(setting.name, message, fix, TAKEN_AS_IT_STANDS)


def scheme_in_key(case: Case) -> Iterator[Finding]:
    """Find a key with the word before it that stands in the header of a request."""
    key = case.settings.api_key
    word, _, rest = unwrapped(key.get_secret_value()).partition(" ") if key else ("", "", "")
    if word.lower() in ("bearer", "authorization:") and rest:
        yield case.finding(
            "api_key",
            Text("api_key begins with {word}, which is put before it when it is sent", word=word),
            Text("Write the key alone"),
            Text("OpenHands would send it twice, too, and the provider refuse the key"),
        )


def placeholders(case: Case) -> Iterator[Finding]:
    """Find names of variables, and texts to be filled in, where a value was meant."""
    for setting, text, origin in _texts(case):
        kind = placeholder_in(text, is_secret=setting.kind == "secret")
        if kind is None or (kind is Placeholder.TO_FILL_IN and _takes_any_key(case, setting)):
            continue
        is_variable = origin.kind == "environment"
        fix = Text("Set the value itself") if is_variable else Text("Write the value itself")
        if kind is Placeholder.REFERENCE and origin.kind in ("environment", "openhands"):
            fix = Text("Nothing is put in for it there: set the value itself")
        elif kind is Placeholder.REFERENCE and case.settings.group is None:
            told = "TOML expands nothing: remove the line, and set the variable {variable}"
            fix = Text(told, variable=setting.variable)
        elif kind is Placeholder.REFERENCE:
            fix = TOML_EXPANDS_NOTHING
        message = stands_in(setting.name, kind)
        yield case.finding(setting.name, message, fix, TAKEN_AS_IT_STANDS)


def no_provider(case: Case) -> Iterator[Finding]:
    """Find a model for which LiteLLM knows no provider."""
    model = case.model
    if not model or case.provider:
        return
    meant, listed = model_meant(case), _listed(model)
    is_guess = meant == f"openrouter/{model}" and not case.host
    if is_guess and listed and provider_of(listed[0]):
        meant = ""
    fix = write(to_copy(meant))
    if not meant and 0 < len(listed) <= MOST_PROVIDERS:
        names = ", ".join(map(quoted, listed))
        fix = Text("Write the provider before it; LiteLLM lists {names}", names=names)
    elif not meant or is_guess:
        example = quoted(meant or "openai/gpt-4o")
        fix = Text("Write the provider before it, as in {example}", example=example)
    elif meant == f"openai/{model}":
        told = "Write {model}, for a server compatible with OpenAI"
        fix = Text(told, model=to_copy(meant))
    message = Text("the model {model} names no provider", model=quoted(model))
    yield case.finding("model", message, fix, FAILS)


def _listed(model: str) -> list[str]:
    """Name a model as LiteLLM's list does, by the catalogue's providers if any of them has it."""
    known = {each.prefix: each for each in PROVIDERS.values()}
    listed = {f"{name.partition('/')[0]}/": name for name in listed_as(model)}
    return [listed[prefix] for prefix in known if prefix in listed] or [*listed.values()]


def newer_prefix(case: Case) -> Iterator[Finding]:
    """Find the prefix of OpenHands' own provider, which its version 0.41 does not know."""
    own = PROVIDERS["openhands"]
    name = case.model.removeprefix(own.prefix)
    if name and name != case.model and not case.text("custom_llm_provider"):
        told = "OpenHands 0.41 does not know the prefix {prefix} yet, and LiteLLM never does"
        fix = Text(
            "Write {model} and base_url = {address} for 0.41",
            model=to_copy("litellm_proxy/" + name),
            address=to_copy(own.base_url_form),
        )
        yield case.finding("model", Text(told, prefix=own.prefix), fix, FAILS_IN_0_41)


def no_name(case: Case) -> Iterator[Finding]:
    """Find a provider's prefix with no model after it."""
    model = case.model
    provider = provider_of(model)
    if provider and model == provider.prefix:
        message = Text("the model {model} has no name after its provider", model=quoted(model))
        fix = Text("Write it whole, as in {example}", example=quoted(provider.example))
        yield case.finding("model", message, fix, FAILS)


def ended(case: Case) -> Iterator[Finding]:
    """Find a model that its maker has ended, or ends soon; other servers may have it longer."""
    provider, address = provider_of(case.model), case.text("base_url")
    end, day = withdrawn.ends_on(case.model), withdrawn.today()
    if provider is None or end is None or provider.names_are_own:
        return
    server = server_of(address)
    if case.text("custom_llm_provider") or (address and not (server and provider.runs(server))):
        return
    facts = {"model": quoted(case.model), "date": end.isoformat()}
    example = quoted(provider.example)
    if end < day:
        told = "the model {model} was withdrawn on {date}, as LiteLLM's list says"
        fix = Text("Take another, as {example}", example=example)
        yield case.finding("model", Text(told, **facts), fix, Text("OpenHands would be refused"))
    elif (end - day).days <= SOON_DAYS:
        told = "the maker of the model {model} ends it on {date}, as LiteLLM's list says"
        fix = Text("Take another before that day, as {example}", example=example)
        yield case.finding("model", Text(told, **facts), fix, level="note")


def gemini_on_vertex(case: Case) -> Iterator[Finding]:
    """Find a Gemini model without its prefix."""
    model = case.model
    if case.leads_to_vertex and not case.text("base_url"):  # of which another rule speaks
        told = "the model {model} leads to Vertex AI, not to Google AI Studio"
        fix = "Write {model}, or with vertex_ai/ if that is meant"
        yield case.finding(
            "model",
            Text(told, model=quoted(model)),
            Text(fix, model=to_copy("gemini/" + model)),
            Text("OpenHands would ask Vertex AI, too"),
        )


def no_base_url(case: Case) -> Iterator[Finding]:
    """Find a provider whose server is the person's own, without the server's address."""
    provider = provider_of(case.model)
    if provider is None or "base_url" not in provider.asks_for or case.settings.base_url:
        return
    stem = provider.prefix.removesuffix("/").upper()
    names = (f"{stem}_API_BASE", f"{stem}_BASE_URL")  # where LiteLLM looks for one
    if not any(case.subject.env.get(name) for name in names):
        message = Text("{provider} asks for a base_url", provider=Text(provider.called))
        fix = Text("Set it, as in {example}", example=quoted(provider.base_url_form))
        yield case.finding("model", message, fix, FAILS)


def azure_version(case: Case) -> Iterator[Finding]:
    """Find a model at Azure without the version of its API."""
    origin = case.settings.origin("model")
    if case.provider != "azure":
        return
    fix = Text("Write api_version beside it")
    if origin.kind == "environment":
        fix = Text("Set {variable}", variable=SETTINGS["api_version"].variable)
    if not case.settings.api_version and not case.subject.env.get("AZURE_API_VERSION"):
        openhands = Text("OpenHands adds one only for a model azure/... in a config file")
        yield case.finding("model", Text("Azure asks for an api_version"), fix, openhands)
    elif case.settings.origin("api_version").kind == "default" and case.settings.api_version:
        told = "api_version is not set, and {version} is taken"
        message = Text(told, version=case.settings.api_version)
        openhands = Text("OpenHands takes it, too, for a model in a config file")
        yield case.finding("model", message, fix, openhands, "note")


def no_such_day(case: Case) -> Iterator[Finding]:
    """Find a version of the API that is named by a day that there is none of: "2024-13-01"."""
    version = case.text("api_version")
    day = DAY.match(version)
    if day is None:
        return
    try:
        date.fromisoformat(day[0])
    except ValueError:
        message = Text("api_version names {day}, and there is no such day", day=day[0])
        fix = Text("Write a version that Azure has, as in {example}", example="2024-10-21")
        yield case.finding("api_version", message, fix, FAILS)


def practice_model(case: Case) -> Iterator[Finding]:
    """Find a practice model, which OpenHands does not know."""
    if case.model.startswith(PROVIDERS["practice"].prefix):
        message = Text("practice models are answered by a practice server on this machine")
        fix = Text("Write a provider's model for OpenHands")
        yield case.finding("model", message, fix, FAILS, "note")


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
        openhands = "OpenHands counts attempts, not retries: it would make {retries}"
        yield Finding(
            origin,
            Text("num_retries = {count} means {retries} here", count=count, retries=ours),
            Text("Set it one higher if OpenHands shall try as often"),
            Text(openhands, retries=theirs),
            "note",
            "num_retries",
        )


def reasoning_effort(case: Case) -> Iterator[Finding]:
    """Find an effort that no model knows."""
    effort = case.text("reasoning_effort")
    if effort and effort not in EFFORTS:
        near = closest(effort.lower().replace("_", ""), sorted(EFFORTS))
        yield case.finding(
            "reasoning_effort",
            cannot_be("reasoning_effort", effort),
            write(repr(near)) if near else write_one_of(sorted(EFFORTS)),
            Text("OpenHands would send it to models that reason, which refuse it"),
        )


def sampling_refused(settings: Snapshot) -> Text | None:
    """Say that a model refuses the temperature and top_p of OpenHands 0.41, or return None."""
    model = unwrapped(settings.model)
    if _refuses_sampling(model):
        told = (
            "OpenHands 0.41 sends temperature and top_p with each request, and {model} refuses them"
            " together, or at all"
        )
        return Text(told, model=quoted(model))
    if _is_kimi_that_reasons(settings) and any(
        getattr(settings, name) != value for name, value in KIMI.items()
    ):
        told = (
            "OpenHands 0.41 sends temperature = {temperature} and top_p = {top_p}, and {model}"
            " takes 1 and 0.95 alone"
        )
        facts = {name: f"{getattr(settings, name):g}" for name in KIMI}
        return Text(told, model=quoted(model), **facts)
    return None


def sampling(case: Case) -> Iterator[Finding]:
    """Find a model that refuses what OpenHands 0.41 sends it."""
    if refused := sampling_refused(case.settings):
        fix = Text(
            "Take a later OpenHands, or an older model, as {example}",
            example="'openai/gpt-4o'",
        )
        if _is_kimi_that_reasons(case.settings):
            fix = Text("Write {values} and {last}", values="temperature = 1", last="top_p = 0.95")
        yield case.finding("model", refused, fix, FAILS_IN_0_41)


def too_small_window_tokens(settings: Snapshot, env: Mapping[str, str]) -> int | None:
    """Return the context window for which OpenHands' SDK refuses a model, or None if it does not.

    Args:
        settings: The settings.
        env: The environment, which may tell the SDK to take a model whatever its window.
    """
    tokens = settings.max_input_tokens or facts_of(settings.model).get("max_input_tokens")
    takes_any = env.get(ANY_WINDOW, "").lower() in ("true", "1", "yes")
    is_too_small = isinstance(tokens, int) and tokens < SMALLEST_WINDOW_TOKENS
    return tokens if is_too_small and not takes_any else None


def small_window(case: Case) -> Iterator[Finding]:
    """Find a model whose context is too small for the SDK that OpenHands is made of today."""
    set_by_hand = case.settings.max_input_tokens
    tokens = too_small_window_tokens(case.settings, case.subject.env)
    if tokens is None:
        return
    told = (
        "max_input_tokens is {tokens}, and OpenHands' SDK asks for {least} at least"
        if set_by_hand
        else "LiteLLM lists {tokens} tokens of context for {model}, and OpenHands' SDK asks for"
        " {least} at least"
    )
    fix = (
        "Take a model with a larger context, or set the variable {variable}"
        if set_by_hand
        else "Take a model with a larger context, or set max_input_tokens if it has more, or set"
        " the variable {variable}"
    )
    yield case.finding(
        "max_input_tokens" if set_by_hand else "model",
        Text(told, tokens=tokens, model=quoted(case.model), least=SMALLEST_WINDOW_TOKENS),
        Text(fix, variable=f"{ANY_WINDOW}=true"),
        Text("OpenHands' SDK and command line, later than 0.41, would refuse it"),
    )


ROUTE_RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    wrapped_texts,
    full_width,
    scheme_in_key,
    placeholders,
    no_provider,
    no_name,
    ended,
    gemini_on_vertex,
    addresses,
    no_base_url,
    *PROVIDER_RULES,
    azure_version,
    no_such_day,
)
"""Those that say why a request does not get to the model, whoever makes it."""

RULES: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    *ROUTE_RULES,
    newer_prefix,
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


def route_findings(subject: Subject, settings: Snapshot) -> Iterator[Finding]:
    """Yield why a request does not get to the model of the settings."""
    case = Case(subject, settings)
    for rule in (*ROUTE_RULES, in_process):  # the check lets vLLM in this process be meant
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


def _refuses_sampling(model: str) -> bool:
    """Return whether a model refuses the temperature 0.0 and top_p 1.0 of OpenHands 0.41."""
    name = model.lower()
    if GPT.search(name):
        return True
    found = CLAUDE.search(name)
    if not found or found["name"]:
        return found is not None
    return (int(found["major"]), int(found["minor"] or 0)) >= FIRST_WITH_ONE_SAMPLER


def _is_kimi_that_reasons(settings: Snapshot) -> bool:
    """Return whether a Kimi model is asked at Moonshot that reasons, by LiteLLM's list."""
    moonshot = PROVIDERS["moonshot"]
    name = unwrapped(settings.model).rpartition("/")[2]
    is_there = settings.model.startswith(moonshot.prefix) and not settings.base_url
    is_there = is_there or provider_at(unwrapped(settings.base_url or "")) == moonshot
    return is_there and bool(facts_of(moonshot.prefix + name).get("supports_reasoning"))


def _counted(count: int, wait_s: Callable[[int], float]) -> Text:
    if count == 0:
        return Text("no retry")
    shown = ", ".join(f"{wait_s(retry):g}" for retry in range(1, min(count, MOST_WAITS) + 1))
    if count == 1:
        return Text("1 retry after {waits_s} s", waits_s=shown)
    told = "{count} retries after {waits_s} s"
    if count > MOST_WAITS:
        told = "{count} retries after {waits_s}, ... s"
    return Text(told, count=count, waits_s=shown)
