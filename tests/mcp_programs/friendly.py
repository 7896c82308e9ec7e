"""An MCP server made with the official package: over stdio, or with `http` or `sse` and a port."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.utilities.types import Image

server = MCPServer("friendly", instructions="Be friendly.")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@server.tool()
def variable(name: str) -> str:
    """Return a variable of the environment."""
    return os.environ.get(name, "not set")


@server.tool()
def folder() -> str:
    """Return the working folder."""
    return str(Path.cwd())


@server.tool()
def table() -> dict[str, int]:
    """Return a table."""
    return {"kyoto": 3}


@server.tool()
def picture() -> Image:
    """Return a picture."""
    return Image(data=b"\x89PNG" * 300, format="png")


@server.tool()
def wait(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "waited"


@server.tool()
def die() -> str:
    """End at once."""
    sys.stderr.write("Traceback: out of cheese\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
def long(characters: int) -> str:
    """Return a long text."""
    return "x" * characters


@server.tool()
def process() -> int:
    """Return the number of the process."""
    return os.getpid()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        server.run()
    else:
        transport: Any = {"http": "streamable-http", "sse": "sse"}[sys.argv[1]]
        server.run(transport, port=int(sys.argv[2]))
