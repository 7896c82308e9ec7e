"""`make fuzz`: each test of this folder goes on for a time, not for a number of examples.

Hypothesis makes the examples; one that fails is made as small as can be, printed with the line that
repeats it, and kept in `.hypothesis`, so that the next run plays it first.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile(
    "fuzz",
    max_examples=50,  # of one round; each round has another seed
    deadline=None,
    phases=set(Phase) - {Phase.explain},  # it watches each line that runs, which takes long
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    # Tests run in folders of their own, where the default would be.
    database=DirectoryBasedExampleDatabase(Path(__file__).parents[2] / ".hypothesis" / "examples"),
)
settings.load_profile("fuzz")

EXAMPLES = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how long."""
    parser.addoption("--seconds", type=float, default=8, help="how long the tests of a file go on")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count; and let LiteLLM warn of odd parts, which it reads, as it does elsewhere."""
    config.addinivalue_line("filterwarnings", "ignore:Pydantic serializer warnings:UserWarning")
    config.stash[EXAMPLES] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run rounds of examples until this test's part of its file's time is over."""
    test: Any = pyfuncitem.obj
    count = pyfuncitem.config.stash[EXAMPLES]
    together = [each for each in pyfuncitem.session.items if each.path == pyfuncitem.path]
    ends_s = time.monotonic() + pyfuncitem.config.getoption("seconds") / len(together)
    test.hypothesis.inner_test = _counted(test.hypothesis.inner_test, count, pyfuncitem.nodeid)
    names = pyfuncitem._fixtureinfo.argnames
    fixtures = {name: pyfuncitem.funcargs[name] for name in names}
    while time.monotonic() < ends_s:
        test(**fixtures)
    return True


def _counted(test: Callable[..., None], count: Counter[str], name: str) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        count[name] += 1
        test(*args, **kwargs)

    return run


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell how many examples there were."""
    terminalreporter.section("examples")
    for name, count in config.stash[EXAMPLES].items():
        terminalreporter.write_line(f"{count:>9,}  {name}")
