"""Run llama.cpp's own HTTP server until its input ends.

It is run in a process of its own, which a fault in C++ ends, with the parameters of the server as
JSON: `python serve.py '{"model": "tiny.gguf", "n_ctx": 4096}'`.
"""

from __future__ import annotations

import json
import sys

import xllamacpp


def main() -> None:
    """Serve."""
    parameters = xllamacpp.CommonParams()
    given = json.loads(sys.argv[1])
    parameters.model.path = given.pop("model")
    # More would wait for each other, and busily, on a machine that does other work, too.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    for name, value in given.items():
        setattr(parameters, name, value)
    server = xllamacpp.Server(parameters)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
