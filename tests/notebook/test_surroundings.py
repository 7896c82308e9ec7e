"""`%llm` amid what people have around it: captures, widgets, logs, timeouts, proxies."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from kernel import Kernel
from model_server import Answer, ModelServer, Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def at(model_server: ModelServer, kernel: Kernel) -> str:
    """Options that ask the server of the test."""
    kernel.run("key = 'sk-of-the-test'")
    options = "-m openai/test --num-retries 0 --api-key $key"
    return f"{options} --base-url {model_server.openai_base}"


@pytest.mark.parametrize(
    "cell", ["%llm {at} Hi", "x = %llm {at} Hi\nx", "for i in range(1):\n    %llm {at} Hi"]
)
def test_a_capture_has_one_output(
    kernel: Kernel, model_server: ModelServer, at: str, cell: str
) -> None:
    """No state of it on its way, and no empty one of the value that was shown already."""
    model_server.script(Answer("Hello."))
    assert kernel.run(f"%%capture cap\n{cell.format(at=at)}").outputs == []
    ran = kernel.run("cap.show()")
    assert [each["text/plain"] for each in ran.outputs] == ["Hello."]
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "cell",
    [
        "with out:\n    %llm {at} Hi",
        "@out.capture()\ndef ask():\n    %llm {at} Hi\nask()",
        "def ask(x):\n    %llm {at} Hi\nw.interact(ask, x=3);",
    ],
)
def test_an_output_widget_gets_what_stays(
    kernel: Kernel, model_server: ModelServer, at: str, cell: str
) -> None:
    """In their front ends, Output widgets drop updates; the next cell is updated again."""
    model_server.script(Answer("Hello."), Answer("Hello again."))
    kernel.run("import ipywidgets as w\nout = w.Output()")
    ran = kernel.run(cell.format(at=at))
    assert ran.error is None
    assert ran.contents("update_display_data") == []
    shown = [each["text/plain"] for each in ran.outputs if "text/html" in each]
    assert shown == ["Hello."]
    assert kernel.run(f"%llm {at} Hi").contents("update_display_data")


@pytest.mark.parametrize("form", ["markdown", "text", "json", "html"])
def test_an_error_leaves_nothing_above_it(
    kernel: Kernel, model_server: ModelServer, at: str, form: str
) -> None:
    """What said that the model was asked is gone, and takes no room."""
    model_server.script(Refuse(401))
    ran = kernel.run(f"%llm {at} -f {form} Hi")
    assert "AuthenticationError" in str(ran.error)
    assert ran.outputs == [{}]


def test_the_log_of_everything_is_not_ours(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """Unless a person asks for that of what we use, by its name."""
    model_server.script(Answer("*Hello.*\n\n- so\n- what"), Refuse(401), Answer("Hello."))
    kernel.run("import logging\nlogging.basicConfig(level=logging.DEBUG, force=True)")
    try:
        assert kernel.run(f"%llm {at} Hi").stdout == ""
        assert kernel.run(f"%llm {at} Hi").stdout == ""
        assert kernel.run("%llm -m practice/echo Hi").stdout == ""
        kernel.run("logging.getLogger('httpx').setLevel(logging.INFO)")
        assert "HTTP Request: POST" in kernel.run(f"%llm {at} Hi").stdout
        assert "mine" in kernel.run("logging.debug('mine')").stdout
    finally:
        kernel.run("logging.basicConfig(level=logging.WARNING, force=True)")
        kernel.run("logging.getLogger('httpx').setLevel(logging.NOTSET)")


@pytest.mark.slow  # it starts a kernel of its own
def test_a_default_timeout_of_sockets_is_not_ours(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """An answer that takes longer comes whole, from a server and from the practice provider."""
    slow = Answer(chunks=("One ", "two"), between_chunks=lambda _: time.sleep(0.7))
    model_server.script(slow)
    kernel.run("import socket\nsocket.setdefaulttimeout(0.3)")
    try:
        for options in (at, "-m practice/slow", "-m practice/echo"):
            ran = kernel.run(f"%llm {options} Hi")
            assert ran.error is None
            assert ran.stdout == ""
        assert kernel.run("_.is_whole").outputs == [{"text/plain": "True"}]
    finally:
        kernel.run("socket.setdefaulttimeout(None)")


Proxied = tuple[Kernel, ModelServer]


@pytest.fixture(scope="module")
def proxied_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A kernel with a company's proxy, and that proxy."""
    home = tmp_path_factory.mktemp("home")
    with ModelServer() as proxy:
        address = proxy.openai_base.removesuffix("/v1")
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy")
        env = {"PATH": os.environ["PATH"], "HOME": str(home), **dict.fromkeys(names, address)}
        with Kernel(env, cwd=str(home)) as kernel:
            kernel.run("%load_ext openhands_llm_magic\nkey = 'sk-of-the-test'")
            yield kernel, proxy


def test_this_machine_is_reached_without_a_proxy(
    proxied_kernel: Proxied, model_server: ModelServer
) -> None:
    """On each road: prompts on several providers' paths, vectors, a download, the test."""
    kernel, proxy = proxied_kernel
    before = proxy.count
    model_server.script(lambda _: Answer("Hello."))
    bases = {
        "openai/test": model_server.openai_base,
        "openai/o": model_server.openai_base.replace("127.0.0.1", "localhost"),
        "anthropic/claude-test": model_server.base_for("anthropic"),
        "ollama_chat/test": model_server.base_for("ollama_chat"),
        "hosted_vllm/test": model_server.openai_base,
    }
    for model, base in bases.items():
        kernel.run(f"%llm -m {model} --base-url {base} --api-key $key --num-retries 0 Hi")
    asked = model_server.count
    kernel.run("%llm -m practice/echo Hi")
    assert "Hi" in str(kernel.run("print(_)").stdout)
    kernel.run("%llm_embed -m practice/embed Hi")
    kernel.run("%llm_config model=practice/echo\n%llm_config --test")
    refused = kernel.run(f"%llm -m practice/echo -a {model_server.openai_base}/nothing.png Hi")
    assert "the server answered" in str(refused.error)

    assert asked == len(bases)
    assert proxy.count == before


def test_everywhere_else_is_reached_by_the_proxy(proxied_kernel: Proxied) -> None:
    """And for the person's own requests, this machine is, too."""
    kernel, proxy = proxied_kernel
    before = proxy.count
    options = "-m openai/x --base-url http://else.invalid/v1 --api-key $key --num-retries 0"
    kernel.run(f"%llm {options} Hi")
    assert proxy.count == before + 1
    kernel.run("import httpx\nhttpx.post('http://127.0.0.1:9/v1/chat/completions', json={})")
    assert proxy.count == before + 2
