"""What a version of OpenHands is: a table of rules; and the rules that both versions share.

What OpenHands adds itself, its instructions and its tools, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openhands_llm_magic.config.litellm_files import facts_of
from openhands_llm_magic.config.openhands_file import NOTHING
from openhands_llm_magic.config.secret import Secret, throughout
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.llm.conversations import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openhands_llm_magic.config.resolve import Snapshot
    from openhands_llm_magic.errors import Text
    from openhands_llm_magic.llm.conversations import Message
    from openhands_llm_magic.llm.litellm.preview import How


@dataclass(slots=True)
class Draft:
    """A request of OpenHands in the making, which rules change.

    Attributes:
        version: The version of OpenHands.
        settings: What the person has set.
        model: The model, as LiteLLM is given it.
        messages: What is asked, in OpenAI's form.
        options: The other keyword arguments of LiteLLM's function.
        how: How it is asked.
    """

    version: Version
    settings: Snapshot
    model: str
    messages: list[Message]
    options: dict[str, Any] = field(default_factory=dict)
    how: How = "chat"

    def __getitem__(self, name: str) -> Any:
        """Return the value that this version takes for a setting; a secret as plain text."""
        value = getattr(self.settings, name)
        if name in self.version.defaults and not is_set(self.settings, name):
            value = self.version.defaults[name]
        return value.get_secret_value() if isinstance(value, Secret) else value

    @property
    def facts(self) -> Mapping[str, Any]:
        """What LiteLLM's list says of the model, under each name that OpenHands tries."""
        return facts_of(self.model)

    def has(self, *parts: str) -> bool:
        """Return whether the model's name has one of these parts in it."""
        return any(part in self.model.lower() for part in parts)

    def set(self, **options: Any) -> None:
        """Add those options that have a value."""
        self.options |= {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of OpenHands.

    Attributes:
        name: Its name after `--as`.
        title: Its name for people.
        defaults: What it takes for settings that nobody set, where that may differ from here.
        passes: The settings, and the arguments in completion_kwargs, that have a part in its
            requests.
        rules: What it makes of them, in the order in which it does; their docstrings are the
            documentation.
        refuses: Says why it would send nothing at all for some settings, or nothing.
        remark: Says what else is to be known of a request, in a sentence, or nothing.
        tools_tokens: About the tokens that its own instructions and tools take, when the model is
            given them as tools and when they are written into the prompt.
        gives_tools: Tells whether a model is given the tools as tools.
        marks_cache: Tells whether it marks what the provider is to keep in its cache, which only
            Claude's models ask for.
        condenses_at_events: The events of the history (a call of a tool is one, what came of it
            another) from which on it has the model sum up the older ones, unless somebody has set
            another number.
    """

    name: str
    title: str
    defaults: Mapping[str, Any]
    passes: frozenset[str]
    rules: tuple[Callable[[Draft], None], ...]
    tools_tokens: tuple[int, int]
    gives_tools: Callable[[Draft], bool]
    marks_cache: Callable[[Draft], bool]
    condenses_at_events: int
    refuses: Callable[[Snapshot], Text]
    remark: Callable[[Draft], Text] = lambda _made: NOTHING

    def draft(self, settings: Snapshot, messages: Sequence[Message] = ()) -> Draft:
        """Make the request that it would send for settings and messages."""
        made = Draft(self, settings, settings.model, [*throughout(messages, whole)])
        for rule in self.rules:
            rule(made)
        return made

    def ignored(self, settings: Snapshot) -> list[str]:
        """Name the settings that somebody set, that count here, and that it does not pass on."""
        further = settings.completion_kwargs or {}
        ignored = [f"completion_kwargs.{each}" for each in further if each not in self.passes]
        return [
            name
            for name, setting in SETTINGS.items()
            if setting.sent_as and name not in self.passes
            if is_set(settings, name) and getattr(settings, name) not in (None, "", {})
        ] + (["completion_kwargs"] if len(ignored) == len(further) > 0 else ignored)


def is_set(settings: Snapshot, name: str) -> bool:
    """Return whether a setting's value is not its default's."""
    return settings.origin(name).kind != "default" or (
        getattr(settings, name) != SETTINGS[name].default
    )


PASSED_BY_BOTH = frozenset({
    "api_key", "api_version", "base_url", "drop_params", "max_output_tokens", "model",
    "reasoning_effort", "seed", "temperature", "timeout", "top_k", "top_p",
})  # fmt: skip


def place(made: Draft) -> None:
    """Key, address, api_version, timeout, seed and drop_params are passed on as they are set."""
    made.set(
        api_key=made["api_key"] or None,
        base_url=made["base_url"] or None,
        api_version=made["api_version"] or None,
        timeout=made["timeout"],
        seed=made["seed"],
        drop_params=made["drop_params"],
    )
    if made.model.startswith("azure") and not made["api_version"]:
        made.options["api_version"] = "2024-12-01-preview"


def azure_limit(made: Draft) -> None:
    """Models that begin with azure get the limit as max_tokens."""
    if made.model.startswith("azure") and "max_completion_tokens" in made.options:
        made.options["max_tokens"] = made.options.pop("max_completion_tokens")


def in_parts(messages: list[Message]) -> list[Message]:
    """Return messages whose texts are lists of one part."""
    return [{**each, "content": parts_of(each["content"])} for each in messages]


def parts_of(content: Any) -> list[dict[str, Any]]:
    """Return a message's content as a list of parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def as_texts(messages: list[Message]) -> list[Message]:
    """Return messages that are plain texts; what is no text is lost."""
    return [
        {**each, "content": "\n".join(part.get("text", "") for part in parts_of(each["content"]))}
        for each in messages
    ]


def cached_parts(messages: list[Message]) -> list[Message]:
    """Return messages in parts, with the first and the last marked for the provider's cache."""
    made = in_parts(messages)
    last = next((each for each in reversed(made) if each["role"] == "user"), None)
    for each in made:
        if each is last or (each is made[0] and each["role"] == "system"):
            each["content"][-1] = {**each["content"][-1], "cache_control": {"type": "ephemeral"}}
    return made


def site_of(made: Draft) -> dict[str, str]:
    """Return the headers that name the application which asks."""
    named = {"HTTP-Referer": made["openrouter_site_url"], "X-Title": made["openrouter_app_name"]}
    return {name: value for name, value in named.items() if value}
