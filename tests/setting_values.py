"""Settings for tests: snapshots of them, and Hypothesis strategies for their values."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from openhands_llm_magic.config.layers import SESSION, layer_of
from openhands_llm_magic.config.resolve import Snapshot, resolve
from openhands_llm_magic.config.settings import SETTINGS, Setting

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r\\\"'#,=[]{}$"),
    min_size=1,
)
# A key that is a piece of a sentence would be masked in the notes that the tests read.
TEXTS = {"secret": TEXT.filter(lambda key: not re.fullmatch(r"[\w .,;:'`-]{6,}", key, re.ASCII))}
# What is no address may be a key.
ADDRESS = TEXT.map("https://{}".format)
NAMES = st.text("abc-_:/@$+ é漢", min_size=1).filter(lambda name: name == name.strip())
NESTED_TEXT = TEXT.map(lambda text: text.replace("\\", "/"))
SCALARS = (
    NESTED_TEXT,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
SCALAR = st.one_of(*SCALARS)
FLAT = st.one_of(SCALAR, *(st.lists(each, max_size=3) for each in SCALARS))
IN_A_LIST = st.dictionaries(NAMES, SCALAR | st.dictionaries(NAMES, SCALAR, max_size=2), max_size=2)


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Return values that a setting takes and a file can hold."""
    low, high = setting.minimum, setting.maximum
    match setting.kind:
        case "int":
            return st.integers(None if low is None else int(low))
        case "float":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "bool":
            return st.booleans()
        case "list":
            return st.lists(st.dictionaries(NAMES, NESTED_TEXT, max_size=2), max_size=2)
        case "dict":
            inner = st.dictionaries(NAMES, FLAT, max_size=2)
            inside = FLAT | inner | st.lists(IN_A_LIST, max_size=2)
            return st.dictionaries(NAMES, inside, max_size=3)
        case kind:
            text = ADDRESS if setting.name.endswith("base_url") else TEXTS.get(kind, TEXT)
            return st.sampled_from(setting.choices) if setting.closed else text


def some(*kinds_left_out: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return values of some settings."""
    by_name = {
        name: values_of(each) | st.none() if each.optional else values_of(each)
        for name, each in SETTINGS.items()
        if each.kind not in kinds_left_out
    }
    names = st.sets(st.sampled_from(sorted(by_name)), max_size=6)
    return names.flatmap(
        lambda names: st.fixed_dictionaries({name: by_name[name] for name in sorted(names)})
    )


def values_in(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in SETTINGS}


def chosen(group: str | None = None, **values: object) -> Snapshot:
    layer = layer_of("test", values, lambda _: SESSION).require_valid()
    return resolve([layer], group=group)


KEYS = st.from_regex(r"sk-[A-Za-z0-9\"'\\\\ #=\]]{8,20}x", fullmatch=True)
