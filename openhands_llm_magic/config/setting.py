"""What a setting is: its type, its limits, and how a value of it is read and checked."""

from __future__ import annotations

import math
import numbers
import unicodedata
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from openhands_llm_magic.config import lax, nested
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import SettingError

Kind = Literal["str", "int", "float", "bool", "secret", "list", "dict"]
Value = str | int | float | bool | Secret | list[Any] | dict[str, Any] | None

OURS: Final = "openhands_llm_magic"
"""The table of config.toml for the settings that OpenHands does not know."""

OUR_PREFIX: Final = "LLM_MAGIC_"
"""What the variables begin with that OpenHands does not know."""

_PREFIXES = {"llm": "LLM_", "core": "", OURS: OUR_PREFIX}

_LONGEST_QUOTE = 60
_LONGEST_HARMLESS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its type, its limits, and where it comes from and goes to.

    What it does here is said by exactly one of `sent_as`, `used_for` and `kept`.

    Attributes:
        name: As in config.toml.
        title: Its name for people.
        topic: What it is about, a name in `settings.TOPICS`.
        kind: The type of its value; a "secret" is a `Secret`, a "list" one of dictionaries of text.
        default: Its value when nothing sets it; a setting whose default is None may be None.
        help: One sentence for a person, with units.
        sent_as: The keyword of `litellm.completion` that carries it.
        sent_to: The models that it is sent to, in words, where it is not sent to all.
        used_for: What the magic itself uses it for, in a few words.
        kept: It is read and saved for OpenHands and nothing here uses it.
        minimum: The smallest number it takes.
        maximum: The largest number it takes.
        choices: Usual values, for a person to choose from.
        closed: It takes no others.
        may_be_empty: An empty text, which then stands for none, is a value of it.
        short: A one-letter flag, like "-m".
        section: The table of config.toml that holds it.
        named_variable: Its environment variable, where `variable` is not made from its name.
        newer: OpenHands 0.41 does not know it, and would drop the section; later versions do.
    """

    name: str
    title: str
    topic: str
    kind: Kind
    default: Value
    help: str
    sent_as: str | None = None
    sent_to: str = ""
    used_for: str | None = None
    kept: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    closed: bool = False
    may_be_empty: bool = False
    short: str | None = None
    section: Literal["llm", "core", "openhands_llm_magic"] = "llm"
    named_variable: str | None = None
    newer: bool = False

    @property
    def optional(self) -> bool:
        """Whether it may be None."""
        return self.default is None

    @property
    def ours(self) -> bool:
        """Whether OpenHands does not know it, in any version."""
        return self.section == OURS

    @property
    def use(self) -> str:
        """What it does here, in a few words."""
        if self.sent_as:
            words = "sent to LiteLLM" + f" as {self.sent_as}" * (self.sent_as != self.name)
            return words + f", for {self.sent_to}" * bool(self.sent_to)
        if self.used_for:
            return f"used for {self.used_for}"
        return "kept for OpenHands, not used in the notebook"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return self.named_variable or _PREFIXES[self.section] + self.name.upper()

    @property
    def flag(self) -> str:
        """The option of `%%llm` that sets it."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes(self) -> str:
        """What values it takes, for help and error texts."""
        if self.closed:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        words = {
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "secret": "text",
            "str": "text" if self._fits("") else "text that is not empty",
            "list": "a Python list of dictionaries of text",
            "dict": "a Python dictionary",
        }[self.kind]
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f", {self.minimum:g} or more"
        return words + (", or none" if self.optional else "")

    def from_text(self, text: str) -> Value:
        """Read what a person typed: a flag, or `%llm_config KEY=VALUE`.

        "none" and nothing at all unset an optional setting; true, yes, on, 1 and their opposites
        are booleans.

        Raises:
            SettingError: The text is not such a value.
        """
        text = text.strip()
        if self.kind in ("int", "float"):
            text = unicodedata.normalize("NFKC", text)  # full-width digits of input methods
        if self.optional and text.lower() in ("", "none"):
            return None
        value = self.from_toml(self._parsed(text) if self.kind in ("list", "dict") else text)
        if not self._fits(value):
            self._refuse(text)
        return value

    def from_toml(self, value: object) -> Value:
        """Read a value of config.toml by OpenHands' rules, those of pydantic; see `check`.

        Strings like "9", "0.3" and "no" become numbers and booleans.

        Raises:
            SettingError: OpenHands would drop the section that holds this value.
        """
        result: Value = None
        if self.kind in ("str", "secret"):
            result = value if isinstance(value, str) else None
        elif self.kind in ("list", "dict"):
            result = self._nested(value)
        elif isinstance(value, str | int | float):
            result = {"bool": lax.boolean, "int": lax.whole, "float": lax.number}[self.kind](value)
        if result is None:
            self._refuse(value)
        return Secret(str(result)) if self.kind == "secret" else result

    def from_env(self, text: str) -> Value:
        """Read an environment variable that is not empty by OpenHands' rules; see `check`.

        A boolean is true for "true" and "1" and false for everything else; a list or a dictionary
        is a Python literal.

        Raises:
            SettingError: OpenHands would ignore the variable.
        """
        try:
            match self.kind:
                case "bool":
                    return text.lower() in ("true", "1")
                case "int":
                    return int(text)
                case "float":
                    return float(text)
                case "secret":
                    return Secret(text)
                case "str":
                    return text
                case "list" | "dict":
                    return self.from_toml(self._parsed(text))
        except ValueError:
            self._refuse(text)

    def validate(self, value: object) -> Value:
        """Check a Python object, and give it in the setting's own type.

        Raises:
            SettingError: It is of another type, or out of bounds.
        """
        if value is None and self.optional:
            return None
        result: Value = None
        match self.kind:
            case "secret" if isinstance(value, str | Secret):
                result = value if isinstance(value, Secret) else Secret(value)
            case "str" if isinstance(value, str):
                result = value
            case "bool" if isinstance(value, bool):
                result = value
            case "list" | "dict":
                result = self._nested(value)
            # Real covers NumPy's numbers; a boolean is a number only to Python.
            case "int" | "float" if isinstance(value, numbers.Real) and not isinstance(value, bool):
                number = value if isinstance(value, int) else float(value)
                result = lax.whole(number) if self.kind == "int" else lax.number(number)
        if result is None or not self._fits(result):
            self._refuse(value)
        return result

    def check(self, value: Value) -> Value:
        """Give the value back if it is within bounds. The bounds are ours, not OpenHands'.

        Raises:
            SettingError: It is not.
        """
        if not self._fits(value):
            self._refuse(value)
        return value

    def _fits(self, value: Value) -> bool:
        match value:
            case None:
                return self.optional
            case "":
                return self.optional or self.may_be_empty
            case str() if self.closed:
                return value in self.choices
            case int() | float():
                low = -math.inf if self.minimum is None else self.minimum
                high = math.inf if self.maximum is None else self.maximum
                return low <= value <= high and abs(value) < math.inf
            case _:
                return True

    def _parsed(self, text: str) -> object:
        try:
            return nested.parsed(text)
        except ValueError:
            self._refuse(text)

    def _nested(self, value: object) -> list[Any] | dict[str, Any] | None:
        is_one = {"list": nested.is_list_of_text_dictionaries, "dict": nested.is_dictionary}
        return nested.copied(value) if is_one[self.kind](value) else None

    def _refuse(self, value: object) -> NoReturn:
        quoted = ""
        if self.kind not in ("secret", "list", "dict"):  # there may be a key in the last two
            quoted = f", not {described(value)}"
        raise SettingError(f"{self.name} takes {self.takes}{quoted}") from None


def shorten(text: str) -> str:
    """Cut a quoted value to a length that fits into one line."""
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."


def described(value: object) -> str:
    """Say what a value is; a longer text is not quoted, it may be a key in the wrong place."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int | float):
        return shorten(repr(value))
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_HARMLESS else "this text"
    return "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
