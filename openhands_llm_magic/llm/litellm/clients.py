"""What LiteLLM and its HTTP clients do on a thread that makes a request of ours.

They log and warn of nothing, unless somebody has asked for it, go to this machine directly, and
take what `bounds.py` lets them. What they log, warn of or print all the same has no key in it. That
holds for this thread alone: the person's own requests, on other threads or afterwards, are logged
and sent as before. Proxies and certificates are those that the environment names now.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import sys
import threading
import traceback
import warnings
from collections import Counter, deque
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from openhands_llm_magic.config.providers import is_loopback
from openhands_llm_magic.config.secret import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LITELLM = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
"""LiteLLM's loggers; each prints to stderr, which is the cell."""

CLIENTS = (
    *("anthropic", "asyncio", "boto3", "botocore", "google", "httpcore", "httpcore2", "httpx"),
    *("httpx2", "openai", "urllib3"),
)
"""The loggers of what it sends requests with, which print where the log of all is asked for."""

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CERTIFICATE", "SSL_VERIFY")
"""The variables that httpx or LiteLLM reads, when a client is made, for whom to trust."""

KEPT_CLIENTS = ("in_memory_llm_clients_cache", "module_level_client", "module_level_aclient")
"""Where LiteLLM keeps its clients; what is taken out of its module there is made anew."""

LOG_VARIABLE = "LITELLM_LOG"
"""Who sets it wants to see what LiteLLM logs."""


HTTPX = ("httpx", "httpx2")
"""What requests are sent with: LiteLLM's own by the first; those of OpenAI's client, from version 3
on, by the second, which has all that is used here of the first."""

STREAMS = ("stdout", "stderr")

CALLBACKS = ("callbacks", "input_callback", "success_callback", "failure_callback")
"""LiteLLM's lists of what it calls with each request: functions, or the names of services."""


class _KeptClients:
    """Lets LiteLLM make its clients anew where a proxy or a certificate has been set meanwhile.

    A client reads those variables once, and LiteLLM keeps it for an hour: somebody who does what an
    error says, and sets one, would meet the same error again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made_for = self._variables()
        self._former: list[Any] = []  # one that is collected would break off the streams of others

    def renew(self) -> None:
        """Take LiteLLM's clients away from it if the variables have changed since the last time."""
        now = self._variables()
        with self._lock:
            if now != self._made_for and "litellm" in sys.modules:
                litellm = vars(sys.modules["litellm"])
                self._former += [litellm.pop(name, None) for name in KEPT_CLIENTS]
            self._made_for = now

    def _variables(self) -> tuple[object, ...]:
        return getproxies(), *map(os.environ.get, CERTIFICATES)


_kept_clients = _KeptClients()


class _Ours:
    """Knows the threads that make requests of ours: `with ours():` around each.

    A user's `litellm.set_verbose = True`, a callback that prints what it gets, or a logger whose
    level is set by name show headers and bodies, which hold keys, as does what servers echo.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: Counter[int] = Counter()
        self._masks: list[Callable[[str], str]] = []
        self._filtered: list[logging.Logger] = []
        self._show_warning = warnings.showwarning
        self._theirs = self._make_record = logging.getLogRecordFactory()
        # `print` on another thread goes on with the stream that it began with, and Python does not
        # hold that for it (cpython issue 130163): one that goes meanwhile would end the process.
        self._masking: deque[_Masking] = deque(maxlen=100)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        thread = threading.get_ident()
        with self._lock:
            if not self._threads:
                self._begin()
            self._threads[thread] += 1
        for name in HTTPX:
            if name in sys.modules:
                _reach_loopback_directly(name)
                _take_within_bounds(name)
        _kept_clients.renew()
        try:
            yield
        finally:
            with self._lock:
                self._threads -= Counter([thread])
                if not self._threads:
                    self._end()

    @contextlib.contextmanager
    def hiding(self, mask: Callable[[str], str]) -> Iterator[None]:
        """Show nothing of what `mask` masks meanwhile, whichever of our threads would."""
        self._masks.append(mask)
        try:
            yield
        finally:
            self._masks.remove(mask)

    def runs_here(self) -> bool:
        """Return whether this thread makes a request of ours."""
        return threading.get_ident() in self._threads

    def masked(self, text: str) -> str:
        """Return a text without the keys of the requests that are being made."""
        for mask in [*self._masks]:
            text = mask(text)
        return masked(text)

    def _begin(self) -> None:
        self._filtered = _loggers()
        for logger in self._filtered:
            logger.addFilter(self._is_wanted)
        # It is there already where `catch_warnings` of another thread has put it back.
        if warnings.showwarning != self._warn:
            self._show_warning = warnings.showwarning
        vars(warnings)["showwarning"] = self._warn
        # A new function each time, as somebody may have wrapped the one before.
        theirs = self._theirs = logging.getLogRecordFactory()
        self._make_record = lambda *told, **more: self._cleaned(theirs(*told, **more))
        logging.setLogRecordFactory(self._make_record)
        for name in STREAMS if _is_told_all() else ():
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, _Masking):
                setattr(sys, name, masking := _Masking(stream))
                self._masking.append(masking)

    def _end(self) -> None:
        for logger in self._filtered:
            logger.removeFilter(self._is_wanted)
        if warnings.showwarning == self._warn:
            warnings.showwarning = self._show_warning
        if logging.getLogRecordFactory() is self._make_record:
            logging.setLogRecordFactory(self._theirs)
        for name in STREAMS:
            if isinstance(stream := getattr(sys, name), _Masking):
                setattr(sys, name, stream.theirs)

    def _warn(self, message: Any, category: Any, *told: Any) -> None:
        """Show a warning of others; pydantic's show what a server has sent, such as a key."""
        if not self.runs_here():
            self._show_warning(message, category, *told)
        elif os.environ.get(LOG_VARIABLE):
            self._show_warning(self.masked(str(message)), category, *told)

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        if record.thread not in self._threads:
            return True
        if record.name in LITELLM:
            return bool(os.environ.get(LOG_VARIABLE))
        return _is_asked_for(record.name)

    def _cleaned(self, record: logging.LogRecord) -> logging.LogRecord:
        """Mask what is logged on a thread of ours, or of LiteLLM's; all of it becomes text."""
        if record.thread not in self._threads and record.name not in LITELLM:
            return record
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - whatever the words do not fit, logging tells of later
            text = f"{record.msg} {record.args}"
        record.msg, record.args = self.masked(text), ()
        if record.exc_info:
            lines = traceback.format_exception(*record.exc_info)
            record.exc_info, record.exc_text = None, self.masked("".join(lines).rstrip())
        return record


class _Masking:
    """A stream that masks what a thread of ours writes, and is the person's in all else."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs

    def write(self, text: str) -> Any:
        """Write a text."""
        return self.theirs.write(ours.masked(text) if ours.runs_here() else text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.theirs, name)


ours = _Ours()
"""`with ours():` around each request that this package makes."""


def _loggers() -> list[logging.Logger]:
    """Return the loggers that there are by now of LiteLLM and of its clients."""
    known = [*logging.root.manager.loggerDict]
    names = [*LITELLM, *(name for name in known if name.partition(".")[0] in CLIENTS)]
    return [logging.getLogger(name) for name in names]


def _is_told_all() -> bool:
    """Return whether somebody has asked LiteLLM to print, or to call functions that may."""
    litellm = sys.modules.get("litellm")
    called = (each for name in CALLBACKS for each in getattr(litellm, name, None) or ())
    # A name is that of a service, or "cache", which LiteLLM adds by itself.
    return getattr(litellm, "set_verbose", False) or any(
        not isinstance(each, str) for each in called
    )


def _is_asked_for(name: str) -> bool:
    """Return whether somebody has set the level of this logger, or of one above but the root."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger.parent is not None:
        if logger.level != logging.NOTSET:
            return True
        logger = logger.parent
    return False


@functools.cache
def _reach_loopback_directly(module: str) -> None:
    """Let httpx, or what has its place, send what is for this machine past the proxy of HTTP_PROXY.

    That holds for threads of ours alone.
    Without NO_PROXY it would send it to a company's proxy, with prompt and key. All of LiteLLM's
    ways to a server end in this private method; where a version has none, the proxy is used.
    """
    client_class: Any = importlib.import_module(module).Client  # waits until it is all there
    choose: Any = getattr(client_class, "_transport_for_url", None)
    if choose is None:
        return

    @functools.wraps(choose)
    def chosen(client: Any, url: Any) -> Any:
        direct = getattr(client, "_transport", None)
        if direct is not None and ours.runs_here() and is_loopback(url.host):
            return direct
        return choose(client, url)

    client_class._transport_for_url = chosen  # noqa: SLF001 - guarded above


def client_to(host: str, timeout_s: float) -> Any:
    """Return a client of httpx for a server, with the certificates and proxies of a prompt to it.

    One for this machine reads no variable of a proxy, not even one that cannot be read. httpx would
    take the certificates of SSL_CERT_FILE for one of those; SSL_VERIFY is LiteLLM's.
    """
    import httpx  # noqa: PLC0415 - it takes 60 ms

    verify = os.environ.get("SSL_VERIFY", "").strip().lower() != "false"
    trusted = httpx.create_ssl_context(verify=verify)
    return httpx.Client(timeout=timeout_s, verify=trusted, trust_env=not is_loopback(host))


@functools.cache
def _take_within_bounds(module: str) -> None:
    """Let httpx, or what has its place, follow no redirect elsewhere and read no more than is sane.

    That holds for threads of ours alone.
    """
    from openhands_llm_magic.llm.litellm.bounds import taken  # noqa: PLC0415 - it imports httpx

    http = importlib.import_module(module)  # waits until it is all there
    handle = http.HTTPTransport.handle_request

    @functools.wraps(handle)
    def handled(transport: Any, request: Any) -> Any:
        if not ours.runs_here():
            return handle(transport, request)
        return taken(http, functools.partial(handle, transport), request)

    http.HTTPTransport.handle_request = handled
