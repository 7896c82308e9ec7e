"""Every error this package raises.

::

    LLMMagicError
    ├── UsageError              a magic was called in a way it does not understand
    ├── FormatError             an answer came, and is not in the format that was asked for
    ├── SettingError            a setting has a value it cannot take, or does not exist
    │   ├── ConfigFileError     a config file cannot be read
    │   ├── UntrustedSettingError  a project's config file sets what it must not decide
    │   └── KeychainError       the operating system's keyring cannot keep, read or forget a key
    ├── McpError                an MCP server does not start, answer or list its tools
    ├── NotPickledError         what holds a key was to be pickled
    ├── LedgerError             the ledger of what was spent cannot be read or written
    └── RequestError            a prompt got no complete answer; `reply` holds what came
        ├── Stopped             the person interrupted it
        ├── LibraryError        LiteLLM cannot be imported
        ├── MissingKeyError     no API key for the provider
        ├── UntrustedAddressError  a key would go to a server that only a project's file names
        ├── OverBudgetError     it could cost more than a limit leaves; nothing was sent
        ├── AuthenticationError the provider refused the key (401, 403)
        ├── ModelNotFoundError  the provider, or LiteLLM, does not know the model (404)
        ├── AddressError        the server has nothing at this path (404, 405)
        ├── RedirectError       the server leads on to another one, which is sent nothing
        ├── ProxyError          a proxy or a firewall on the way refused it (407, a web page)
        ├── CertificateError    the server's certificate is not trusted
        ├── QuotaError          the account has no credit left (402, 429 insufficient_quota)
        ├── ContextLengthError  the prompt is longer than the model takes
        ├── RequestTooLargeError  it is larger than the account may send at once (413, 429)
        ├── BadRequestError     the provider refused the request (400, 409, 422)
        ├── UnsendableError     no HTTP request can be made with this key or address
        ├── ContentFilterError  the provider's content filter withheld the answer
        ├── OutputLimitError    the answer's tokens ran out before its text began
        ├── NoTextError         the model finished its answer without any text
        ├── OversizedError      there was more of the answer than is read of one
        ├── ToolCallError       the model asked twice for functions as it cannot
        ├── ToolRoundsError     it asked for functions once more than it may
        ├── ToolsRefusedError   the server takes no functions
        ├── FinishReasonError   it ended for a reason that is not known, and may not be whole
        ├── StoreError          the answer came, and cannot be kept as a file
        ├── NotStoredError      its answer is not stored, and nothing is to be sent
        ├── ThrottledError       its turn would have come after the deadline
        └── TransientError      worth another attempt, see `llm.run`
            ├── RateLimitError  too many requests (429)
            │   └── DailyLimitError   the limit of a day, a week or a month is used up
            ├── ServerError     the server failed (500, 502, 503, 504, 520 to 530)
            ├── NoAnswerInTimeError   408, or our own `timeout`
            ├── ConnectionFailedError the server could not be reached
            └── BrokenAnswerError the answer ended early or was empty

An error's text is one line for a person: what happened, which setting to change and where its
value came from, what to do. It is in English, as a script is told it; where it is a `Text`, a place
such as a notebook says it in words of its own. IPython and Jupyter show that line instead of a
traceback, and the cell still fails, so that "Run All" stops.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

Say = Callable[..., str]
"""Says a template, with the facts as keywords, in the words of another place or language."""


def english(template: str, /, **facts: object) -> str:
    """Say a template in the words that stand in the code; it is the `Say` of scripts."""
    return template.format_map(facts) if facts else template


LISTED = "{first}, {next}"
"""How two texts stand in a list."""


class Text(str):
    """Words for a person that can be said in other words: a template, and the facts in it.

    It is the English words. A fact that is a `Text` itself is said in other words, too; any other
    fact stays as it is.

    Args:
        template: English words, with the names of the facts in braces where there are facts.
        facts: The facts by their names.
    """

    __slots__ = ("facts", "template")

    template: str
    facts: Mapping[str, object]

    def __new__(cls, template: str, /, **facts: object) -> Self:
        """Put the facts into the template."""
        text = super().__new__(cls, english(template, **facts))
        text.template, text.facts = template, facts
        return text

    @classmethod
    def joined(cls, texts: Iterable[object], between: str = "; ") -> Self:
        """Return several texts as one, each of which can be said in other words."""
        facts = {f"each_{number}": text for number, text in enumerate(texts)}
        return cls(between.join(f"{{{name}}}" for name in facts), **facts)

    @staticmethod
    def listed(texts: Iterable[Text]) -> Text:
        """Return texts with commas in between, as a person's language writes them."""
        listed = Text("")
        for each in texts:
            listed = Text(LISTED, first=listed, next=each) if listed else each
        return listed

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:  # for copies
        return (self.template,), dict(self.facts)

    def worded(self, say: Say) -> str:
        """Return the text in other words."""
        return say(self.template, **self._facts(lambda each: each.worded(say), str))

    def masked(self, mask: Callable[[str], str]) -> Text:
        """Return the text with what `mask` hides hidden, in its facts as well."""
        facts = self._facts(lambda each: each.masked(mask), lambda each: mask(str(each)))
        text = Text(self.template, **facts)
        hidden = mask(text)  # of a text without facts; or a secret lies across two of them
        return text if hidden == text else Text(hidden)

    def _facts(self, of_text: Callable[[Text], str], of_other: Callable[[object], str]) -> Any:
        return {
            name: of_text(each) if isinstance(each, Text) else of_other(each)
            for name, each in self.facts.items()
        }


def quoted(words: str) -> Text:
    """Return words of somebody else, such as a server, which are the same in every language."""
    return Text("{words}", words=words)


def reason_of(error: Exception) -> Text:
    """Return what a failure says: in words of ours, or else the operating system's or Python's."""
    for ours in error.args:
        if isinstance(ours, Text):
            return ours
    return Text(getattr(error, "strerror", None) or str(error) or type(error).__name__)


_ENDS_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def on_one_line(text: str) -> str:
    """Return a text with a blank for whatever would end its line or steer a terminal.

    What a person typed, or has in a file or a variable, is quoted in what is said about it.
    """
    return _ENDS_LINE.sub(" ", text)


class LLMMagicError(Exception):
    """Base of every error of this package; its text is one line for a person."""

    def __str__(self) -> str:
        return on_one_line(super().__str__())

    @property
    def text(self) -> Text:
        """The line, in a form that can be said in other words."""
        words = self.args[0] if self.args else ""
        return words.masked(on_one_line) if isinstance(words, Text) else Text(str(self))

    def say_in(self, say: Say) -> None:
        """Put the error's line into other words."""
        self.args = (self.text.worded(say),)

    def _render_traceback_(self) -> list[str]:
        """Return the one line that IPython shows in place of a traceback."""
        line = f"{type(self).__name__}: {self}"
        # IPython fails to print what the terminal's encoding has not got.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        return [line.encode(encoding, "replace").decode(encoding)]


class UsageError(LLMMagicError):
    """A magic was called in a way it does not understand."""


class FormatError(LLMMagicError):
    """An answer came, and is not in the format that was asked for.

    Attributes:
        problem: What is wrong with it, in a few words that a model can be told.
        reply: The `Reply` with the answer.
    """

    def __init__(self, message: str, *, problem: str = "") -> None:
        super().__init__(message)
        self.problem = problem
        self.reply: Any = None  # a `Reply`, which the ground does not import


class SettingError(LLMMagicError):
    """A setting has a value it cannot take, or does not exist.

    The facts are "" where they are not known, or where the error is about several settings.

    Attributes:
        setting: The setting's name.
        given: The value that was given, in words that hold no key.
        expected: The values that the setting takes, in words.
        origin: The place that the value comes from, in words.
    """

    def __init__(
        self,
        message: str,
        *,
        setting: str = "",
        given: str = "",
        expected: str = "",
        origin: str = "",
    ) -> None:
        super().__init__(message)
        self.setting = setting
        self.given = given
        self.expected = expected
        self.origin = origin


class ConfigFileError(SettingError):
    """A config file cannot be read."""


class UntrustedSettingError(SettingError):
    """A project's config file that nobody has trusted sets what it must not decide."""


class KeychainError(SettingError):
    """The operating system's keyring cannot keep, read or forget a key."""


class McpError(LLMMagicError):
    """An MCP server does not start, answer or list its tools."""


class LedgerError(LLMMagicError):
    """The ledger of what was spent cannot be read or written."""


class NotPickledError(LLMMagicError, TypeError):
    """What holds a key was to be pickled, as other processes and caches on disk have it."""


class RequestError(LLMMagicError):
    """A prompt got no complete answer.

    Attributes:
        status: The HTTP status of the server's refusal, or None when there was none.
        retry_after_s: Seconds that the server asked to wait, or None when it named no wait.
        finish_reason: Why the model stopped, when it finished an answer without text, else None.
        cost_usd: What that answer cost, or None when the price is unknown.
        named: The settings that the server names in its refusal.
        given_by: Who refused, where a gateway in between says so, or "".
        url: The address that was asked, where the server has nothing there, or "".
        reply: The `Reply` with what came before the failure, once the request is over.
        was_sent: Whether the server may have got it, and take money for it.
    """

    was_sent: bool = True

    label: ClassVar[str] = "the request failed"
    """The fault in a few words, for countdowns and notes."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        finish_reason: str | None = None,
        cost_usd: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.finish_reason = finish_reason
        self.cost_usd = cost_usd
        self.named: tuple[str, ...] = ()
        self.given_by = ""
        self.url = ""
        self.reply: Any = None  # a `Reply`, which the ground does not import

    def alone(self) -> Self:
        """Let go of the frames and exceptions behind it, which hold the key, and return it."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    def unsent(self) -> Self:
        """Note that no server has got it, and return it."""
        self.was_sent = False
        return self

    def reworded(self, message: str, kind: type[RequestError] | None = None) -> RequestError:
        """Return the same failure in other words, of another class if one is named."""
        other = (kind or type(self))(message)
        vars(other).update(vars(self))
        return other


class Stopped(RequestError):  # noqa: N818 - "StoppedError" would read as a failure; a person asked for it
    """The person interrupted the request."""

    label = "stopped"


class LibraryError(RequestError):
    """LiteLLM cannot be imported, or another module has its name."""

    label = "LiteLLM cannot be loaded"
    was_sent = False


class MissingKeyError(RequestError):
    """There is no API key for the provider."""

    label = "no key"
    was_sent = False


class UntrustedAddressError(RequestError):
    """A key would go to a server that only a project's config file names; nothing was sent.

    Attributes:
        is_known: Whether the key is known to be there, and is not one that LiteLLM may find.
    """

    label = "server not trusted"
    is_known: bool = True


class OverBudgetError(RequestError):
    """The request could cost more than a limit leaves, so it was not sent."""

    label = "over budget"


class AuthenticationError(RequestError):
    """The provider refused the key (401, 403)."""

    label = "key refused"


class ModelNotFoundError(RequestError):
    """The provider, or LiteLLM, does not know the model (404)."""

    label = "unknown model"


class AddressError(RequestError):
    """The server has nothing at this path (404, 405)."""

    label = "wrong address"


class RedirectError(RequestError):
    """The server leads on to another one (301, 302, 303, 307, 308), which is sent nothing."""

    label = "led elsewhere"


class ProxyError(RequestError):
    """A proxy or a firewall on the way refused the request (407, or a page for people)."""

    label = "refused on the way"


class CertificateError(RequestError):
    """The server's certificate is not trusted, so nothing was sent to it."""

    label = "certificate not trusted"
    was_sent = False


class QuotaError(RequestError):
    """The account has no credit left (402, or 429 with insufficient_quota)."""

    label = "out of quota"


class ContextLengthError(RequestError):
    """The prompt is longer than the model takes."""

    label = "prompt too long"


class RequestTooLargeError(RequestError):
    """The request is larger than the account may send at once (413, 429); it can never pass."""

    label = "request too large"


class BadRequestError(RequestError):
    """The provider refused the request (400, 409, 422)."""

    label = "request refused"


class UnsendableError(RequestError):
    """No HTTP request can be made with this key or address."""

    label = "cannot be sent"
    was_sent = False


class ContentFilterError(RequestError):
    """The provider's content filter withheld the answer, or refused the prompt."""

    label = "withheld by a filter"


class OutputLimitError(RequestError):
    """The answer's tokens ran out before its text began."""

    label = "out of output tokens"


class NoTextError(RequestError):
    """The model finished its answer without any text."""

    label = "an answer without text"


class OversizedError(RequestError):
    """There was more of the answer than is read of one; `reply` holds what came before."""

    label = "more than is read"


class ToolCallError(RequestError):
    """The model asked for functions as it cannot, was told so, and did it again."""

    label = "a call that cannot be made"


class ToolRoundsError(RequestError):
    """The model asked for functions once more than it may; `reply` holds what it has learned."""

    label = "too many rounds of calls"


class ToolsRefusedError(RequestError):
    """The server, or the model, takes no functions (400, 404)."""

    label = "functions refused"


class FinishReasonError(RequestError):
    """The answer ended for a reason that is not known, and may not be whole."""

    label = "an unknown finish reason"


class StoreError(RequestError):
    """The answer came, and cannot be kept as a file; `reply` holds it."""

    label = "not kept"


class NotStoredError(RequestError):
    """There is no stored answer, and nothing is to be sent (`LLM_MAGIC_CACHE=replay`)."""

    label = "not stored"


class ThrottledError(RequestError):
    """It was held back to keep within a limit, and its turn would have come after the deadline."""

    label = "held back"


class TransientError(RequestError):
    """A failure worth another attempt; `llm.run` decides when."""

    label = "a passing fault"


class RateLimitError(TransientError):
    """Too many requests (429)."""

    label = "a rate limit"


class DailyLimitError(RateLimitError):
    """The limit of some hours, a day, a week or a month is used up.

    It is asked again only where the server says that it opens soon (`retry_after_s`).

    Attributes:
        period: How long the limit's period is: "5 hours", "day", "week" or "month".
    """

    label = "a limit that is used up"
    period: str = "day"


class ServerError(TransientError):
    """The server failed (500, 502, 503, 504, 520 to 530, and others of `llm.refusals`)."""

    label = "a server error"


class NoAnswerInTimeError(TransientError):
    """No answer came in time (408, or the setting `timeout`)."""

    label = "a timeout"


class ConnectionFailedError(TransientError):
    """The server could not be reached."""

    label = "a lost connection"


class BrokenAnswerError(TransientError):
    """The answer ended early, or there was nothing in it."""

    label = "a broken answer"
