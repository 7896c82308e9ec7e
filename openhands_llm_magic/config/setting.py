"""What a setting is: its type, its limits, and how a value of it is read and checked."""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.errors import SettingError

Kind = Literal["str", "int", "float", "bool", "secret"]
Value = str | int | float | bool | Secret | None

# The words and the forms of numbers are pydantic's, which reads OpenHands' config files.
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
_WHOLE_NUMBER = re.compile(r"([+-]?\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_LARGEST_WHOLE_FLOAT = 2.0**63
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its type, its limits, and where it comes from and goes to.

    Attributes:
        name: As in config.toml.
        kind: The type of its value; a "secret" is a `Secret`.
        default: Its value when nothing sets it; a setting whose default is None may be None.
        help: One sentence for a person, with units.
        minimum: The smallest number it takes.
        maximum: The largest number it takes.
        sent_as: The keyword of `litellm.completion` that carries it, or None when the magic
            itself uses it.
        short: A one-letter flag, like "-m".
        ours: OpenHands does not know it.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    minimum: float | None = None
    maximum: float | None = None
    sent_as: str | None = None
    short: str | None = None
    ours: bool = False

    @property
    def optional(self) -> bool:
        """Whether it may be None."""
        return self.default is None

    @property
    def section(self) -> str:
        """The table of config.toml that holds it."""
        return "openhands_llm_magic" if self.ours else "llm"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ("LLM_MAGIC_" if self.ours else "LLM_") + self.name.upper()

    @property
    def flag(self) -> str:
        """The option of `%%llm` that sets it."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes(self) -> str:
        """What values it takes, for help and error texts."""
        words = {
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "secret": "text",
            "str": "text" if self.optional else "text that is not empty",
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
        if self.optional and text.lower() in ("", "none"):
            return None
        value = self.from_toml(text)
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
        elif isinstance(value, str | int | float):
            result = {"bool": _lax_bool, "int": _lax_int, "float": _lax_float}[self.kind](value)
        if result is None:
            self._refuse(value)
        return Secret(str(result)) if self.kind == "secret" else result

    def from_env(self, text: str) -> Value:
        """Read an environment variable that is not empty by OpenHands' rules; see `check`.

        A boolean is true for "true" and "1" and false for everything else.

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
            # Real covers NumPy's numbers; a boolean is a number only to Python.
            case "int" | "float" if isinstance(value, numbers.Real) and not isinstance(value, bool):
                number = value if isinstance(value, int) else float(value)
                result = _lax_int(number) if self.kind == "int" else _lax_float(number)
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
            case None | "":
                return self.optional
            case int() | float():
                low = -math.inf if self.minimum is None else self.minimum
                high = math.inf if self.maximum is None else self.maximum
                return low <= value <= high and abs(value) < math.inf
            case _:
                return True

    def _refuse(self, value: object) -> NoReturn:
        quoted = ""
        if self.kind != "secret":
            quoted = " ".join(repr(value).split())
            quoted = f", not {shorten(quoted)}"
        raise SettingError(f"{self.name} takes {self.takes}{quoted}") from None


def shorten(text: str) -> str:
    """Cut a quoted value to a length that fits into one line."""
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."


def _lax_bool(value: str | float) -> bool | None:
    if isinstance(value, str):
        return _WORDS.get(value.lower())
    return bool(value) if value in (0, 1) else None


def _lax_int(value: str | float) -> int | None:
    if isinstance(value, str):
        match = _WHOLE_NUMBER.fullmatch(value.strip())
        value = match[1] if match else math.nan
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _LARGEST_WHOLE_FLOAT):
        return None
    try:
        return int(value)
    except ValueError:  # thousands of digits
        return None


def _lax_float(value: str | float) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
