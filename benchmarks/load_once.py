"""Load the extension into a bare IPython once, and print what it cost as JSON.

With the argument "import", it then imports LiteLLM, as the extension does in the background.
"""

import asyncio  # noqa: F401 - every kernel has it
import json
import sys
import threading  # noqa: F401 - every kernel has it
import time
from types import ModuleType

import psutil  # type: ignore[import-untyped] # its stubs are a package of their own
from IPython.core.interactiveshell import InteractiveShell

MB = 1e6

shell = InteractiveShell.instance()
process = psutil.Process()

# With a module in its place, the background import is over at once.
sys.modules["litellm"] = ModuleType("litellm")
rss_b, cpu_s, began_s = process.memory_info().rss, time.thread_time(), time.perf_counter()
shell.run_line_magic("load_ext", "openhands_llm_magic")
took_s, cpu_s = time.perf_counter() - began_s, time.thread_time() - cpu_s
cost = {
    "cpu_ms": cpu_s * 1000,
    "took_ms": took_s * 1000,
    "mb": (process.memory_info().rss - rss_b) / MB,
}

if "import" in sys.argv:
    del sys.modules["litellm"]
    rss_b, cpu_s = process.memory_info().rss, time.process_time()
    from openhands_llm_magic.llm.litellm.loading import load

    load()
    cost["import_s"] = time.process_time() - cpu_s
    cost["import_mb"] = (process.memory_info().rss - rss_b) / MB

print(json.dumps(cost))
