"""Runs the `LLM` class of whichever OpenHands is installed in the environment of this Python.

It is started by `real.py` with the Python of an environment of its own and knows nothing of this
package: what it reads, the package has written. Each line of its input is a JSON object:

    form: How the settings are handed over: "toml", "profile" or "env"; or "keep", by which the SDK
        writes the profile of `path` itself, "describe", by which it tells what a profile is,
        "tools", by which it tells what it offers a model, and "read", by which it reads calls.
    path: The config.toml or the profile.
    fields: What the SDK keeps.
    models: The models that it describes.
    texts: What a model has written, with calls in it.
    tools: The tools that it was offered.
    connection: The provider connection that it keeps beside, or null.
    env: The environment variables of this one prompt.
    key: The key of a profile, which holds none.
    messages: Pairs of a role and a text.

and each line of its output says how that prompt ended: `error` is null or the exception in words,
and `told` what the SDK said of its profiles.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


def ask_sdk(order: dict[str, Any]) -> None:
    """Ask with the `LLM` of openhands-sdk, as its agent does."""
    from openhands.sdk.llm import LLM, LLMProfileStore, Message, TextContent
    from pydantic import SecretStr

    if order["form"] == "profile":
        path = Path(order["path"])
        llm = LLMProfileStore(path.parent).load(path.stem)
        llm = llm.model_copy(update={"api_key": SecretStr(order["key"])}) if order["key"] else llm
    else:
        llm = LLM.load_from_env()
    said = order["messages"]
    llm.generate([Message(role=role, content=[TextContent(text=text)]) for role, text in said])


def keep(order: dict[str, Any]) -> None:
    """Have the SDK write a profile, its key as well, and a provider connection."""
    from openhands.sdk.llm import LLM, LLMProfileStore
    from openhands.sdk.llm.provider_connection_store import (
        ProviderConnection,
        ProviderConnectionStore,
    )

    path = Path(order["path"])
    if order["connection"]:
        store = ProviderConnectionStore(path.parent.parent / "provider-connections")
        store.create(ProviderConnection(**order["connection"], created_at=1, updated_at=1))
    llm = LLM(**order["fields"])
    LLMProfileStore(path.parent).save(path.stem, llm, include_secrets=True)


def describe(order: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a profile with their defaults, the SDK's rules for its file, and what it
    sends to the models of the order at a server of one's own.
    """
    from openhands.sdk.llm import LLM
    from openhands.sdk.llm.llm import LLM_PROFILE_SCHEMA_VERSION
    from openhands.sdk.llm.llm_profile_store import PROFILE_NAME_PATTERN

    defaults = LLM(model="openai/gpt-4o").model_dump(mode="json")
    sent = {}
    for model in order["models"]:
        features = LLM(model=model, base_url="http://127.0.0.1:9/v1")._model_features()
        effort, key = features.supports_reasoning_effort, features.supports_prompt_cache_key
        sent[model] = {"reasoning_effort": effort, "prompt_cache_key": key}
    return {
        "defaults": defaults,
        "name": PROFILE_NAME_PATTERN,
        "schema": LLM_PROFILE_SCHEMA_VERSION,
        "sent": sent,
    }


LEFT_OUT = ("browsergym.utils.obs", "openhands_aci.utils.diff", "openhands_aci.linter")
"""What 0.41 imports on the way to its `LLM`, and never calls for it: half a gigabyte."""


def leave_out() -> None:
    """Have 0.41 import without what it does not need here."""
    for name in LEFT_OUT:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:end]), MagicMock())


def ask_0_41(order: dict[str, Any]) -> None:
    """Ask with the `LLM` of openhands-ai 0.41, as its agents do."""
    leave_out()
    from openhands.core.config import OpenHandsConfig, load_from_env, load_from_toml
    from openhands.core.message import Message, TextContent
    from openhands.llm.llm import LLM

    config = OpenHandsConfig()
    load_from_toml(config, order["path"])
    load_from_env(config, os.environ)
    llm = LLM(config.get_llm_config())
    said = order["messages"]
    messages = [Message(role=role, content=[TextContent(text=text)]) for role, text in said]
    if llm.is_caching_prompt_active():  # as in ConversationMemory.apply_prompt_caching
        for message in (messages[0], messages[-1]):
            message.content[-1].cache_prompt = message.role in ("system", "user")
    llm.completion(messages=llm.format_messages_for_llm(messages))


def tools_of_sdk(order: dict[str, Any]) -> dict[str, Any]:
    """Return the tools of the SDK's agent in a terminal, and the word at which a server is to stop
    when they are written into the prompt.
    """
    from openhands.sdk.llm.mixins.fn_call_converter import STOP_WORDS
    from openhands.sdk.tool.builtins import BUILT_IN_TOOLS
    from openhands.tools.file_editor import FileEditorTool
    from openhands.tools.task_tracker import TaskTrackerTool
    from openhands.tools.terminal import TerminalTool

    state = MagicMock()
    state.workspace.working_dir = order["path"]
    own = [
        each
        for kind in (TerminalTool, FileEditorTool, TaskTrackerTool)
        for each in kind.create(state)
    ]
    own += [each for kind in BUILT_IN_TOOLS for each in kind.create()]
    told = [dict(each.to_openai_tool(add_security_risk_prediction=True)) for each in own]
    for each in own:
        if each.executor is not None:
            each.executor.close()
    return {"tools": told, "stop": STOP_WORDS}


def tools_of_0_41(_order: dict[str, Any]) -> dict[str, Any]:
    """Return the same of 0.41, without its browser."""
    import openhands

    leave_out()
    agent = "openhands.agenthub.codeact_agent"
    for name in ("openhands.agenthub", agent):
        folder = Path(openhands.__path__[0], *name.split(".")[1:])
        package = sys.modules[name] = ModuleType(name)  # its own imports every agent
        package.__path__ = [str(folder)]
    sys.modules[f"{agent}.tools.browser"] = MagicMock()  # which imports a browser's driver
    from openhands.agenthub.codeact_agent import tools
    from openhands.llm.fn_call_converter import STOP_WORDS

    told = [
        tools.create_cmd_run_tool(),
        tools.ThinkTool,
        tools.FinishTool,
        tools.IPythonTool,
        tools.create_str_replace_editor_tool(),
    ]
    return {"tools": [dict(each) for each in told], "stop": STOP_WORDS}


def read(order: dict[str, Any]) -> list[Any]:
    """Return the calls that OpenHands reads in each text: pairs of a name and arguments, or an
    error in words.
    """
    try:
        from openhands.sdk.llm.mixins import fn_call_converter
    except ImportError:
        leave_out()
        from openhands.llm import fn_call_converter

    told: list[Any] = []
    for text in order["texts"]:
        said = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]
        try:
            *_, last = fn_call_converter.convert_non_fncall_messages_to_fncall_messages(
                said, order["tools"]
            )
        except Exception as failure:  # noqa: BLE001 - any is one that the model is told of
            told.append(f"{type(failure).__name__}: {failure}")
        else:
            calls = [each["function"] for each in last.get("tool_calls") or ()]
            told.append([(each["name"], json.loads(each["arguments"])) for each in calls])
    return told


def installed() -> tuple[str, Any]:
    """Return the name and version of what is installed here, and the function that asks with it."""
    for package, ask in (("openhands-sdk", ask_sdk), ("openhands-ai", ask_0_41)):
        with contextlib.suppress(PackageNotFoundError):
            return f"{package} {version(package)}, litellm {version('litellm')}", ask
    raise SystemExit(f"there is no OpenHands in {sys.prefix}")


def take_prices() -> None:
    """Have LiteLLM know the models that the test names."""
    import litellm

    litellm.model_cost.clear()
    litellm.model_cost.update(json.loads(Path(os.environ["PRICES"]).read_bytes()))


def main() -> None:
    """Read orders, and carry them out one by one."""
    name, ask = installed()
    orders: dict[str, Any] = {"tools": tools_of_sdk if ask is ask_sdk else tools_of_0_41}
    orders |= {"keep": keep, "describe": describe, "read": read}
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    take_prices()
    print(json.dumps({"version": name}), file=out, flush=True)
    environment = dict(os.environ)
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.update(order["env"])
        error = told = None
        try:
            told = orders.get(order["form"], ask)(order)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test wants to know
            error = f"{type(failure).__name__}: {failure}"
        print(json.dumps({"error": error, "told": told}), file=out, flush=True)
        os.environ.clear()  # 0.41 writes into it
        os.environ.update(environment)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
