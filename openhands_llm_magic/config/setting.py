"""What a setting is: its type, its limits, and how a value of it is read and checked."""

from __future__ import annotations

import ast
import math
import numbers
import re
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from openhands_llm_magic.config.secret import Secret, masking
from openhands_llm_magic.config.width import narrow
from openhands_llm_magic.errors import SettingError, Text, quoted

Kind = Literal["str", "int", "float", "bool", "secret", "list", "dict"]
Value = str | int | float | bool | Secret | list[Any] | dict[str, Any] | None

OURS: Final = "openhands_llm_magic"
"""The table of config.toml that holds the settings OpenHands does not know."""

MCP: Final = "mcp"
"""The table of MCP servers, within that one; OpenHands 0.41 has one at the top of the file."""

OUR_PREFIX: Final = "LLM_MAGIC_"
"""The beginning of the environment variables that OpenHands does not know."""

_PREFIXES = {"llm": "LLM_", "core": "", OURS: OUR_PREFIX}

LONGEST_QUOTE = 60
"""Characters of a value that an error quotes."""

_FREE = frozenset({"custom_tokenizer", "ledger", "log_completions_folder", "openrouter_app_name"})
"""Settings that may have full-width characters: paths, and a title."""

_LONGEST_HARMLESS = 12
"""Characters; a longer text may be a key that was given to the wrong setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The declaration of one setting: its type, its limits, where it comes from and goes to.

    Exactly one of `sent_as`, `used_for` and `kept` says what the setting does here.

    Attributes:
        name: The setting's name in config.toml.
        title: The setting's name for people.
        topic: The setting's subject, a name in `settings.TOPICS`.
        kind: The type of its value; a "secret" is a `Secret`, and a "list" is a list of
            dictionaries of text.
        default: The value when nothing sets the setting; a setting whose default is None may be
            set to None.
        help: One sentence for a person, with units.
        sent_as: The keyword of `litellm.completion` that carries the value.
        sent_to: The models that the value is sent to, in words; "" means all models.
        used_for: What the package itself does with the value, in a few words.
        kept: Whether the value is only read and saved for OpenHands, and nothing here uses it.
        minimum: The smallest number that the setting takes.
        maximum: The largest number that the setting takes.
        example: A value in the usual form, which stands in a field that is empty.
        choices: The usual values, for a person to choose from.
        closed: Whether the setting takes only the values in `choices`.
        may_be_empty: Whether an empty text is a value of its own, which means "not set".
        short: A one-letter flag, like "-m".
        section: The table of config.toml that holds the setting.
        named_variable: The environment variable, where it does not follow from the name.
        newer: Whether OpenHands 0.41 does not know the setting, and would drop the whole section,
            while later versions know it.
        in_projects: Whether a project's config.toml that nobody has trusted may set it. It says
            nothing of OpenHands' own settings of one value, all of which such a file may set;
            where an address may lead is a rule of its own (`config.trust`).
        is_in_address: Whether an address is made with it, so that such a file may only set it to a
            plain name, which leads to no other host.
        keys_in_projects: Those keys of a dictionary that such a file may set.
    """

    name: str
    title: str
    topic: str
    kind: Kind
    default: Value = None
    help: str
    sent_as: str | None = None
    sent_to: str = ""
    used_for: str | None = None
    kept: bool = False
    minimum: float | None = None
    maximum: float | None = None
    example: str = ""
    choices: tuple[str, ...] = ()
    closed: bool = False
    may_be_empty: bool = False
    short: str | None = None
    section: Literal["llm", "core", "openhands_llm_magic"] = "llm"
    named_variable: str | None = None
    newer: bool = False
    in_projects: bool = False
    is_in_address: bool = False
    keys_in_projects: frozenset[str] = frozenset()

    @property
    def optional(self) -> bool:
        """Whether the setting may be None."""
        return self.default is None

    @property
    def ours(self) -> bool:
        """Whether no version of OpenHands knows the setting."""
        return self.section == OURS

    @property
    def is_narrow(self) -> bool:
        """Whether no full-width characters belong in it, as into a number, an address or a key."""
        return self.kind in ("int", "float", "str", "secret") and self.name not in _FREE

    @property
    def use(self) -> str:
        """What the package does with the setting, in a few words."""
        if self.sent_as:
            words = "sent to LiteLLM" + f" as {self.sent_as}" * (self.sent_as != self.name)
            return words + f", for {self.sent_to}" * bool(self.sent_to)
        if self.used_for:
            return f"used for {self.used_for}"
        return "kept for OpenHands, not used in the notebook"

    @property
    def variable(self) -> str:
        """The environment variable that sets the setting."""
        return self.named_variable or _PREFIXES[self.section] + self.name.upper()

    @property
    def flag(self) -> str:
        """The command-line flag that sets the setting."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes(self) -> Text:
        """The values that the setting takes, in words, for help and error texts."""
        return Text("{kind}, or none", kind=self.value_kind) if self.optional else self.value_kind

    @property
    def value_kind(self) -> Text:
        """The values that the setting takes beside none, in words."""
        if self.closed:
            *others, last = self.choices
            listed = Text.listed(map(quoted, others))
            return Text("{others} or {last}", others=listed, last=last)
        words = {
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "secret": "text",
            "str": "text" if self._fits("") else "text that is not empty",
            "list": "a Python list of dictionaries of text",
            "dict": "a Python dictionary",
        }
        kind = Text(words[self.kind])
        if self.minimum is not None and self.maximum is not None:
            low, high = f"{self.minimum:g}", f"{self.maximum:g}"
            kind = Text("{kind} from {low} to {high}", kind=kind, low=low, high=high)
        elif self.minimum is not None:
            kind = Text("{kind}, {least} or more", kind=kind, least=f"{self.minimum:g}")
        return kind

    def from_text(self, text: str) -> Value:
        """Return the value that a person typed, on a flag or as NAME=VALUE.

        An empty text and the word "none" unset an optional setting. The words true, yes, on and 1
        and their opposites are booleans.

        Raises:
            SettingError: The setting does not take this text.
        """
        text = text.strip()
        if self.is_narrow:
            text = narrow(text)  # an input method was on
        if self.optional and text.lower() in ("", "none"):
            return None
        value = self.from_toml(self._literal(text) if self.kind in ("list", "dict") else text)
        if not self._fits(value):
            self._refuse(text)
        return value

    def from_toml(self, value: object) -> Value:
        """Return a value of config.toml as OpenHands reads it, by the rules of pydantic.

        Strings like "9", "0.3" and "no" become numbers and booleans. The limits of the setting
        are not looked at; `check` does that.

        Raises:
            SettingError: OpenHands would drop the section that holds this value.
        """
        result: Value = None
        if self.kind in ("str", "secret"):
            result = value if isinstance(value, str) else None
        elif self.kind in ("list", "dict"):
            result = self._nested(value)
        elif isinstance(value, str | int | float):
            result = LAX[self.kind](value)
        if result is None:
            self._refuse(value)
        return Secret(str(result)) if self.kind == "secret" else result

    def from_env(self, text: str) -> Value:
        """Return the value of an environment variable that is not empty, as OpenHands reads it.

        A boolean is true for "true" and "1" and false for everything else. A list or a dictionary
        is a Python literal. The limits of the setting are not looked at; `check` does that.

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
                    return self.from_toml(self._literal(text))
        except ValueError:
            self._refuse(text)

    def validate(self, value: object) -> Value:
        """Return a Python object in the setting's own type, if it is within the limits.

        Raises:
            SettingError: The object is of another type, or out of bounds.
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
                result = _whole(number) if self.kind == "int" else _number(number)
        if result is None or not self._fits(result):
            self._refuse(value)
        return result

    def check(self, value: Value) -> Value:
        """Return the value itself, if it is within the limits, which are ours and not OpenHands'.

        Raises:
            SettingError: The value is out of bounds.
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

    def _literal(self, text: str) -> object:
        try:
            return python_literal(text)
        except ValueError:
            self._refuse(text)

    def _nested(self, value: object) -> list[Any] | dict[str, Any] | None:
        is_one = {"list": _is_list_of_text_dictionaries, "dict": _is_dictionary}
        return masking(value) if is_one[self.kind](value) else None

    def _refuse(self, value: object) -> NoReturn:
        # A list or a dictionary may hold a key.
        given = "" if self.kind in ("secret", "list", "dict") else described(value)
        told = "{name} takes {kind}, not {given}" if given else "{name} takes {kind}"
        raise SettingError(
            Text(told, name=self.name, kind=self.takes, given=given),
            setting=self.name,
            given=given,
            expected=self.takes,
        ) from None


def shorten(text: str, limit: int = LONGEST_QUOTE) -> str:
    """Return the text, cut to `limit` characters; a text that was cut ends with "…".

    Mask keys first: half a key is not known as one.
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def described(value: object) -> str:
    """Return a value as it is written, or a `Text` about one that is too long or may hold a key."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int | float):
        return shorten(repr(value))
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_HARMLESS else Text("this text")
    if isinstance(value, dict):
        return Text("a table")
    return Text("a {type}", type=type(value).__name__)


def python_tree(text: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """Return the syntax tree of a text, without the warnings that Python has about it.

    Python 3.12 has one about an unknown escape, and prints it whoever wrote the text.

    Raises:
        SyntaxError: The text is not Python.
        ValueError, MemoryError, RecursionError: Python cannot parse it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode=mode)


def python_literal(text: str) -> object:
    """Return the Python literal in a text, as OpenHands reads variables of lists and dictionaries.

    Raises:
        ValueError: The text is not a Python literal.
    """
    try:
        value: object = ast.literal_eval(python_tree(text.lstrip(" \t"), "eval"))
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def _is_dictionary(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _is_list_of_text_dictionaries(value: object) -> bool:
    return isinstance(value, list) and all(
        _is_dictionary(each) and all(isinstance(text, str) for text in each.values())
        for each in value
    )


# Booleans and numbers by the lax rules of pydantic, by which OpenHands reads its config files.

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
_WHOLE_NUMBER = re.compile(r"([+-]?\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_LARGEST_WHOLE_FLOAT = 2.0**63


def _boolean(value: str | float) -> bool | None:
    if isinstance(value, str):
        return _BOOLEANS.get(value.lower())
    return bool(value) if value in (0, 1) else None


def _whole(value: str | float) -> int | None:
    if isinstance(value, str):
        match = _WHOLE_NUMBER.fullmatch(value.strip())
        value = match[1] if match else math.nan
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _LARGEST_WHOLE_FLOAT):
        return None
    try:
        return int(value)
    except ValueError:  # thousands of digits
        return None


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


LAX: Final = {"bool": _boolean, "int": _whole, "float": _number}
"""What reads a value of each simple type; it returns None for a value of another type."""
