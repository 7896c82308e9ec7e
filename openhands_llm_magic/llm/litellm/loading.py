"""The import of LiteLLM, which takes seconds, and its global switches while a request runs.

A thread imports it while the person reads, in silence, with less work than Python would, and then
rehearses a first answer. Three rules keep it harmless:

- Two threads that import different parts of LiteLLM at once break each other, so while one of ours
  imports it, the others wait.
- Files of the working folder are not imported in place of installed ones (`imports.py`).
- The environment and the garbage collector are as they were afterwards.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import gc
import importlib
import importlib.util
import os
import sys
import threading
import warnings
from importlib.machinery import PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

from openhands_llm_magic import imports
from openhands_llm_magic.errors import LibraryError, Text
from openhands_llm_magic.llm.litellm.clients import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec


class _NoGateway:
    """Takes the place of what LiteLLM asks, for each Responses request, about gateways of MCP."""

    @staticmethod
    def should_use_litellm_mcp_gateway(tools: object = None) -> bool:  # noqa: ARG004 - LiteLLM's
        """Return that there is no gateway: without the package `mcp` there cannot be one."""
        return False

    _should_use_litellm_mcp_gateway = should_use_litellm_mcp_gateway  # its older name


MCP_HANDLER = "litellm.responses.mcp.litellm_proxy_mcp_handler"

_WITHOUT_MCP = ModuleType(MCP_HANDLER)
vars(_WITHOUT_MCP)["LiteLLM_Proxy_MCP_Handler"] = _NoGateway


def _do_without_mcp() -> None:
    """Let models be asked that have no chat API, such as o3-pro, without the package `mcp`.

    LiteLLM imports it for them, though it does not require it and no tool is MCP's.
    """
    if MCP_HANDLER not in sys.modules and importlib.util.find_spec("mcp") is None:
        sys.modules[MCP_HANDLER] = _WITHOUT_MCP


class _Quiet:
    """Sets LiteLLM up for our requests, and puts back what the user's own code had set.

    Several requests may run at once on threads; the first to begin saves and the last to end
    restores. Where they differ, the last to begin counts.
    """

    OURS = {  # noqa: RUF012 - a constant
        "suppress_debug_info": True,  # else each failure prints "Give Feedback / Get Help"
        "REPEATED_STREAMING_CHUNK_LIMIT": sys.maxsize,  # else 100 equal chunks are an error
        "disable_hf_tokenizer_download": True,  # else counting Llama's tokens waits for a download
        "model_fallbacks": None,  # else a failure is sent again to other models
        "num_retries": None,  # a failure resets it, and the user's would be added to ours
        "disable_streaming_logging": True,  # else each chunk is a job for another thread
    }

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[str, object] = {}
        self._newest: Mapping[str, object] = {}
        self._running = 0

    @contextlib.contextmanager
    def __call__(self, litellm: Any, *, modify_params: bool = True) -> Iterator[None]:
        wanted = self.OURS | {"modify_params": modify_params}
        with self._lock:
            if not self._running:
                self._users = {n: getattr(litellm, n) for n in wanted if hasattr(litellm, n)}
                _do_without_mcp()
            self._running += 1
            self._newest = wanted
            self._set(litellm, {name: wanted[name] for name in self._users})
        try:
            with ours():
                yield
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    # What somebody has changed meanwhile stays changed.
                    last = self._newest
                    kept = {n: v for n, v in self._users.items() if getattr(litellm, n) == last[n]}
                    self._set(litellm, kept)
                    if sys.modules.get(MCP_HANDLER) is _WITHOUT_MCP:
                        del sys.modules[MCP_HANDLER]

    @staticmethod
    def _set(litellm: Any, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            setattr(litellm, name, value)


quiet = _Quiet()
"""`with quiet(litellm):` around each use of LiteLLM."""

IMPORT_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it downloads prices, and warns into the cell
    "LITELLM_MODE": "PRODUCTION",  # else it loads a .env, and settings change by themselves
}
"""The environment that LiteLLM is imported in; it is put back afterwards."""

_loading = threading.Lock()


def load() -> Any:
    """Import LiteLLM, in silence and without a change to the environment, and return it.

    Raises:
        LibraryError: It cannot be imported, or another module has its name.
    """
    with _loading:
        return _loaded()


def is_loaded() -> bool:
    """Tell whether LiteLLM is there, and no thread is in the middle of its import."""
    spec = getattr(sys.modules.get("litellm"), "__spec__", None)
    initializing = getattr(spec, "_initializing", False)
    return "litellm" in sys.modules and not initializing and not _loading.locked()


def keys_set_by_hand() -> tuple[str, ...]:
    """Name LiteLLM's globals in which the person's own code has put a key, or headers."""
    found = list(vars(sys.modules["litellm"]).items()) if is_loaded() else []
    return tuple(
        f"litellm.{name}"
        for name, value in found
        if (name.endswith("_key") or name == "headers") and isinstance(value, str | dict) and value
    )


def load_in_background(then: Sequence[str] = ()) -> threading.Thread:
    """Start to make all ready for a first answer, on a thread; return the thread.

    Python waits at its exit until the import that goes on is over. It would end a daemon thread
    with the import lock in its hands, for which LiteLLM's finalizers, which import, wait for ever.

    Args:
        then: Modules to import after LiteLLM. A failure to do so is left to whoever needs them.
    """
    thread = threading.Thread(target=_load_all, args=(then,), name="import litellm", daemon=False)
    thread.start()
    return thread


def _load_all(then: Sequence[str]) -> None:
    from openhands_llm_magic.config import litellm_files  # noqa: PLC0415 - in the background, too

    with contextlib.suppress(LibraryError):  # a prompt will tell the person
        with _loading:
            _loaded(rehearse=True)
        litellm_files.prices()
        for name in then:
            if threading.main_thread().is_alive():  # else Python is about to exit
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


def _loaded(*, rehearse: bool = False) -> Any:
    """Import LiteLLM while `_loading` is held; then ask it once for an answer from nobody."""
    imports.guard()
    if "litellm" not in sys.modules:
        with _importing():
            try:
                import litellm  # noqa: PLC0415 - it takes seconds
            except Exception as error:  # noqa: BLE001 - whatever a broken installation raises
                raise LibraryError(_told(error)) from None
            finally:
                if "litellm" not in sys.modules:  # it failed: the next attempt begins anew
                    for name in [each for each in sys.modules if each.startswith("litellm.")]:
                        del sys.modules[name]
            if rehearse:
                with contextlib.suppress(Exception):  # a prompt will do what it did not do
                    _rehearse(litellm)
    import litellm  # noqa: PLC0415 - waits if another thread is in the middle of it

    if not hasattr(litellm, "completion"):
        where = getattr(litellm, "__file__", None) or "made by hand"
        told = (
            "the module `litellm` that is loaded is not LiteLLM ({where}): rename that file, and"
            " restart the kernel."
        )
        raise LibraryError(Text(told, where=where))
    return litellm


def _told(error: Exception) -> Text:
    """Say in one line that LiteLLM cannot be imported, and why."""
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    return Text(
        "LiteLLM cannot be imported ({why}). Install it again: `pip install"
        " --force-reinstall litellm`; the next prompt tries again.",
        why=why,
    )


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Set up what the import of LiteLLM needs, and put everything back."""
    before = {name: os.environ.get(name) for name in IMPORT_ENVIRONMENT}
    os.environ.update(IMPORT_ENVIRONMENT)
    importlib.invalidate_caches()  # it may have been installed a moment ago
    try:
        with others_wait(_loading), _gathering_on_use(), _no_garbage():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        warnings.filterwarnings("ignore", ".*`ReadOnly` qualifier", UserWarning)  # of its types


PATIENCE_S = 60
"""How long an import elsewhere waits for ours."""


@contextlib.contextmanager
def others_wait(loading: threading.Lock) -> Iterator[None]:
    """Let other threads that import a part of LiteLLM wait until this one releases `loading`.

    They must wait before they take an import lock that this thread may need: Python takes that of
    `litellm.exceptions` before it asks any finder. So this wraps `__import__` and is no finder.
    """
    ours = threading.current_thread()
    original = builtins.__import__

    def waiting_import(name: str, *args: Any, **options: Any) -> Any:
        elsewhere = name.partition(".")[0] == "litellm" and threading.current_thread() is not ours
        if elsewhere and loading.acquire(timeout=PATIENCE_S):
            loading.release()
        return original(name, *args, **options)

    imports.PASS_ON.add(waiting_import.__code__)
    builtins.__import__ = waiting_import
    try:
        yield
    finally:
        if builtins.__import__ is waiting_import:
            builtins.__import__ = original


YOUNG_OBJECTS = 10_000_000
"""New objects that the garbage collector lets come together meanwhile; LiteLLM's are 500,000."""

PYTHONS_FROZEN = 5_000
"""More objects than Python 3.12 and newer freeze when they start, some hundreds."""


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Keep the garbage collector from looking through the new modules again and again.

    It is held off by its threshold, so that a person's `gc.disable()` and `gc.enable()` count.
    """
    before = gc.get_threshold()
    held_off = (YOUNG_OBJECTS, *before[1:])
    gc.set_threshold(*held_off)
    try:
        yield
    finally:
        if gc.get_freeze_count() < PYTHONS_FROZEN:  # else the person froze some
            gc.freeze()
            gc.unfreeze()  # all that is there counts as old: no pause to look through it at once
        if gc.get_threshold() == held_off:
            gc.set_threshold(*before)


@contextlib.contextmanager
def _gathering_on_use() -> Iterator[None]:
    """Let packages that only gather the names of others fetch these on use, on this thread."""
    finder: Any = _Gathering()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Gathering:
    """Finds the packages that gather names, for the thread that made it; and nothing else."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a package that does nothing but gather the names of its modules."""
        if not name.startswith(GATHERING) or threading.get_ident() != self._thread:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader = spec and spec.submodule_search_locations and spec.loader
        if spec and isinstance(loader, SourceFileLoader) and (names := _gathered(loader)):
            spec.loader = _OnUse(loader, names)
            return spec
        return None


GATHERING = ("openai.types", "openai.resources")
"""Where OpenAI's client has packages that only gather the names of their modules: a fifth of what
LiteLLM's import takes, and a third of what a first answer takes on top."""


def _gathered(loader: SourceFileLoader) -> Mapping[str, tuple[str, str]]:
    """Return the names that a package gathers, with their modules and their names in these.

    The result is empty for a package whose file does anything else, and for one where a name is
    that of a module, too: which of them it means depends on the order of the imports.
    """
    names: dict[str, tuple[str, str]] = {}
    try:
        statements = ast.parse(loader.get_data(loader.path)).body
    except (OSError, SyntaxError):
        return {}
    for each in statements:
        match each:
            case ast.ImportFrom(module="__future__") | ast.Expr(value=ast.Constant()):
                pass
            case ast.ImportFrom(module=str(module), level=1):
                names |= {(it.asname or it.name): (module, it.name) for it in each.names}
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List()):
                pass
            case _:
                return {}
    modules = {module for module, _ in names.values()}
    return {} if "*" in names or modules & names.keys() else names


class _OnUse(SourceFileLoader):
    """Loads a package that gathers names of its modules, each of which is imported on use.

    Nothing else differs: `dir`, `import *` and the modules as attributes are there. Where a module
    cannot be imported alone, the package's own file is run, as Python would have done at first.
    """

    def __init__(self, loader: SourceFileLoader, names: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(loader.name, loader.path)
        self._names = names

    def exec_module(self, module: ModuleType) -> None:
        """Put the names into the module, each to be imported when it is used."""
        own: dict[str, Any] = vars(module)
        own["__getattr__"] = self._getter(module)
        own["__dir__"] = lambda: sorted({*own, *self._names})
        own["__all__"] = list(self._names)

    def _getter(self, module: ModuleType) -> Callable[[str], Any]:
        package, own = module.__name__, vars(module)

        def get(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            inner, inner_name = self._names.get(name, (name, None))
            try:
                value: Any = importlib.import_module(f"{package}.{inner}")
                if inner_name is not None:
                    value = getattr(value, inner_name)
            except (AttributeError, ImportError):
                if name not in self._names:
                    raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
                super(_OnUse, self).exec_module(module)
                value = own[name]
            own[name] = value
            return value

        return get


REHEARSED = (
    'data: {"id":"-","object":"chat.completion.chunk","created":1,"model":"-","choices":'
    '[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
    'data: {"id":"-","object":"chat.completion.chunk","created":1,"model":"-","choices":'
    '[{"index":0,"delta":{},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
    "data: [DONE]\n\n"
)


def _rehearse(litellm: Any) -> None:
    """Ask LiteLLM for an answer that no server gives: nothing is sent, no socket is opened.

    What a first answer takes longer than all later ones, it takes now: more imports, a tokenizer,
    the certificates. Nobody can have set a callback yet, which would hear of it.
    """
    import httpx  # noqa: PLC0415 - LiteLLM has imported both
    import openai  # noqa: PLC0415

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=REHEARSED, headers={"content-type": "text/event-stream"})

    httpx.HTTPTransport().close()  # imports what a real connection needs
    nobody = httpx.Client(transport=httpx.MockTransport(answer))
    client = openai.OpenAI(
        api_key="-", base_url="http://nobody.invalid/v1", max_retries=0, http_client=nobody
    )
    with client, quiet(litellm):
        stream = litellm.completion(
            model="openai/nobody",  # for a known one it might download a tokenizer
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
            client=client,
            num_retries=0,
            max_retries=0,
        )
        for _ in stream:
            pass
