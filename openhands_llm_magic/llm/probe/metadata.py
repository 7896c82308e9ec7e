"""What a server tells of a model without a token: its context, loaded or not, tools.

No two kinds of server say it alike. What each was read from:

- Ollama (`api/types.go`): `/api/ps` names the models that are loaded, with their `context_length`;
  `/api/show` has `capabilities`, the template, `num_ctx` among the parameters, and in `model_info`
  the context that the model was trained with. Its `/v1` tells none of that, and ignores `num_ctx`.
- LM Studio (its documentation of both versions): `/api/v0/models` has `state`,
  `loaded_context_length`, `max_context_length` and "tool_use" among `capabilities`;
  `/api/v1/models`, from 0.4.0 on, the same as `loaded_instances` and `trained_for_tool_use`.
- llama.cpp (`tools/server/README.md`): `/props` has the context of one slot, which is a part of
  what `-c` gives, and what the template can do; `/v1/models` has the context of the training.
- vLLM and SGLang: `max_model_len` in `/v1/models`; what is served there is loaded.
- LiteLLM Proxy: `supports_function_calling` and `max_input_tokens` in `/v1/model/info`, from its
  list or its config file. Both may be missing or wrong, so that nothing follows from a "no".

LiteLLM Proxy and llama.cpp were measured with the real servers: with `-c 32768 --parallel 4`, the
latter tells 8,192. The others were read in their sources and documentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from openhands_llm_magic.config.providers import provider_of, server_of
from openhands_llm_magic.errors import RequestError, UsageError
from openhands_llm_magic.llm import served
from openhands_llm_magic.llm.litellm.models import abilities_of, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot

    Kind = Callable[["Ask", Sequence[str]], "Metadata | None"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a model as it is served; None where that is not told.

    Attributes:
        server: The kind of the server, as its makers call it, or "".
        window_tokens: Tokens that a prompt and its answer may have now.
        most_window_tokens: Tokens that they could have.
        is_loaded: Whether the model is in the server's memory now.
        knows_tools: Whether its template, or who describes it, says that it calls functions.
    """

    server: str = ""
    window_tokens: int | None = None
    most_window_tokens: int | None = None
    is_loaded: bool | None = None
    knows_tools: bool | None = None


UNKNOWN = Metadata()


class Ask(Protocol):
    """Asks a server, as `served.Asking.told` does."""

    def __call__(self, path: str, question: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at a path of the server, or None where there is none."""


def metadata_of(settings: Snapshot) -> Metadata:
    """Ask the server of a model for what it tells of it, or else LiteLLM's list.

    Raises:
        RequestError: The server could not be reached, refused the key, or told nothing.
        UsageError: Its address is not known, or it has no list for a key.
    """
    by_list = UNKNOWN
    if not settings.base_url and (facts := listed(settings.model)):
        window = abilities_of(settings.model).window_tokens
        knows_tools = True if facts.get("supports_function_calling") else None
        by_list = Metadata("", window, knows_tools=knows_tools)
    try:
        told = _told(settings)
    except (UsageError, RequestError):
        if by_list == UNKNOWN:
            raise
        return by_list
    return by_list if told == UNKNOWN else told


def _told(settings: Snapshot) -> Metadata:
    place = served.place_of(settings)
    name = settings.model.removeprefix(place.prefix)
    names = (name, f"{name}:latest")  # the latter is Ollama's
    kinds = kinds_at(settings, place)

    def read(asking: served.Asking) -> Metadata:
        for kind in kinds:
            if told := kind(asking.told, names):
                return told
        models = {each.name.removeprefix(place.prefix): each for each in asking.models()}
        found = next((models[each] for each in names if each in models), None)
        return Metadata(window_tokens=found.window_tokens if found else None)

    return served.asked(place, read)


def kinds_at(settings: Snapshot, place: served.Place) -> Sequence[Kind]:
    """Return what may be asked of a server: a provider's own has its list and nothing else."""
    provider = provider_of(settings.model, settings.base_url, settings.custom_llm_provider)
    server = server_of(place.address)
    if provider is None or server is None or not provider.runs(server):
        known = KINDS.get(provider.name) if provider else None
        return (known,) if known else (*dict.fromkeys(KINDS.values()),)
    return (KINDS[provider.name],) if provider.name in KINDS else ()


REMOTE = (":cloud", "-cloud")
"""How the names of models end that Ollama asks its own service for: they have all their context."""


def _ollama(ask: Ask, names: Sequence[str]) -> Metadata | None:
    running = _items(ask("/api/ps"), "models")
    shown = ask("/api/show", {"model": names[0]}) if running is not None else None
    if running is None or not isinstance(shown, dict):
        return None
    here = _named(running, "name", names)
    trained = [
        value for key, value in _part(shown, "model_info").items() if key.endswith("context_length")
    ]
    set_by_hand = re.search(r"^num_ctx\s+(\d+)", str(shown.get("parameters")), re.MULTILINE)
    can, template = shown.get("capabilities"), shown.get("template")
    knows_tools = "tools" in can if isinstance(can, list) else ".Tools" in str(template or "")
    if shown.get("remote_host") or names[0].endswith(REMOTE):  # it is never loaded here
        window = _count(next(iter(trained), None))
        return Metadata("Ollama", window, knows_tools=knows_tools)
    return Metadata(
        "Ollama",
        _count(here.get("context_length") if here else set_by_hand and int(set_by_hand[1])),
        _count(next(iter(trained), None)),
        is_loaded=here is not None,
        knows_tools=knows_tools,
    )


def _lm_studio(ask: Ask, names: Sequence[str]) -> Metadata | None:
    """Read either of its lists; what a model has that is not loaded, the next request decides."""
    model = _named(_items(ask("/api/v0/models"), "data"), "id", names)
    if model and "state" in model:
        is_loaded = model["state"] == "loaded"
        window = model.get("loaded_context_length") if is_loaded else None
        can = model.get("capabilities")
        knows_tools = "tool_use" in can if isinstance(can, list) else None
    elif model := _named(_items(ask("/api/v1/models"), "models"), "key", names):
        loaded = _items(model, "loaded_instances") or []
        configs = [_part(each, "config") for each in loaded if isinstance(each, dict)]
        is_loaded, window = bool(loaded), configs[0].get("context_length") if configs else None
        known = _part(model, "capabilities").get("trained_for_tool_use")
        knows_tools = known if isinstance(known, bool) else None
    else:
        return None
    most = _count(model.get("max_context_length"))
    return Metadata("LM Studio", _count(window), most, is_loaded, knows_tools)


def _llama_cpp(ask: Ask, names: Sequence[str]) -> Metadata | None:
    # A server of several models wants the name, and would load it.
    props = ask(f"/props?model={quote(names[0], safe='')}&autoload=false")
    if not isinstance(props, dict) or "default_generation_settings" not in props:
        return None
    can, template = _part(props, "chat_template_caps"), str(props.get("chat_template") or "")
    knows_tools = "tools" in template if template else None
    if "supports_tools" in can:
        knows_tools = all(can.get(each, True) for each in ("supports_tools", "supports_tool_calls"))
    models = _items(ask("/v1/models"), "data") or []
    model = _named(models, "id", names) or next(iter(models), None)
    most = _part(model, "meta").get("n_ctx_train") if isinstance(model, dict) else None
    window = _part(props, "default_generation_settings").get("n_ctx")
    is_loaded = not props.get("is_sleeping", False)
    return Metadata("llama.cpp", _count(window), _count(most), is_loaded, knows_tools)


def _litellm_proxy(ask: Ask, names: Sequence[str]) -> Metadata | None:
    model = _named(_items(ask("/v1/model/info"), "data"), "model_name", names)
    if model is None:
        return None
    facts = _part(model, "model_info")
    known = facts.get("supports_function_calling")
    knows_tools = known if isinstance(known, bool) else None
    window = _count(facts.get("max_input_tokens"))
    return Metadata("LiteLLM Proxy", window, knows_tools=knows_tools)


OWNERS = {"vllm": "vLLM", "sglang": "SGLang"}
"""Who owns the models in the lists of these servers, and what the servers are called."""


def _vllm(ask: Ask, names: Sequence[str]) -> Metadata | None:
    model = _named(_items(ask("/v1/models"), "data"), "id", names)
    if model is None or model.get("owned_by") not in OWNERS:
        return None
    return Metadata(OWNERS[model["owned_by"]], _count(model.get("max_model_len")), is_loaded=True)


KINDS: Mapping[str, Kind] = {
    "vllm": _vllm,
    "lm_studio": _lm_studio,
    "ollama": _ollama,
    "litellm_proxy": _litellm_proxy,
    "openhands": _litellm_proxy,
    "llama_cpp": _llama_cpp,
}
"""Kinds of servers, by the catalogue's names, and who reads what they tell. Each is asked where the
provider is none of them: most people reach their own server as `openai/`."""


def _items(body: Any, name: str) -> list[Any] | None:
    """Return the list of a name in an answer, or None."""
    items = body.get(name) if isinstance(body, dict) else None
    return items if isinstance(items, list) else None


def _named(items: list[Any] | None, key: str, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the item that has one of the names, or None."""
    found = (each for each in items or () if isinstance(each, dict) and each.get(key) in names)
    return next(found, None)


def _part(item: Any, name: str) -> dict[str, Any]:
    part = item.get(name) if isinstance(item, dict) else None
    return part if isinstance(part, dict) else {}


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else None
