"""What holds for whatever settings come from whatever layers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.document import read_file
from openhands_llm_magic.config.layers import (
    IPYTHON_CONFIG,
    SESSION,
    Layer,
    env_layer,
    file_layer,
    group_layer,
    layer_of,
)
from openhands_llm_magic.config.resolve import Snapshot, load_settings, resolve
from openhands_llm_magic.config.settings import SETTINGS, Setting
from openhands_llm_magic.errors import SettingError

KEY = "sk-canary-0123456789"
TEXT = st.text("abc/.:-_ ü\"'\\", min_size=1).map(lambda text: "x" + text)


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Return values that a setting takes."""
    low, high = setting.minimum, setting.maximum
    match setting.kind:
        case "int":
            return st.integers(int(low or 0), 10**6)
        case "float":
            return st.floats(low or 0, 10**6 if high is None else high)
        case "bool":
            return st.booleans()
        case "list":
            return st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=2)
        case "dict":
            return st.dictionaries(TEXT, st.integers() | TEXT, max_size=2)
        case _:
            return st.sampled_from(setting.choices) if setting.closed else TEXT


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def table(header: str, values: dict[str, Any]) -> str:
    return f"[{header}]\n" + "".join(f"{key} = {toml(each)}\n" for key, each in values.items())


def some(*, section: str = "", text_only: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Return values of some settings: of one section, such as can be written there, or of all.

    Short names of models are not among them: they change what a model is.
    """
    chosen = {
        name: values_of(each)
        for name, each in SETTINGS.items()
        if name != "aliases"
        if (not section or each.section == section) and not (text_only and each.kind == "dict")
    }
    return st.fixed_dictionaries({}, optional=chosen)


SOURCES = st.fixed_dictionaries(
    {
        "llm": some(section="llm", text_only=True),
        "core": some(section="core"),
        "openhands_llm_magic": some(section="openhands_llm_magic"),
        "group": st.none() | some(section="llm"),
        "environment": some(),
        "ipython_config": some(),
        "session": some(),
        "argument": some(),
    }
)


def resolved(sources: dict[str, Any]) -> Snapshot:
    """Put values through a real file, variables and Python objects into a snapshot."""
    group = sources["group"]
    file = Path("config.toml")
    tables = [table(name, sources[name]) for name in ("llm", "core", "openhands_llm_magic")]
    file.write_text("\n".join([*tables, table("llm.g", group or {})]), "utf-8")
    document = read_file(file)
    layers: list[Layer] = [file_layer(document)]
    if group is not None:
        layers.append(group_layer(document, "g", layers[0]))
    env = {SETTINGS[name].variable: str(value) for name, value in sources["environment"].items()}
    layers += [
        env_layer(env, group=group is not None),
        layer_of("ipython_config", sources["ipython_config"], lambda _: IPYTHON_CONFIG),
        layer_of("session", sources["session"], lambda _: SESSION),
    ]
    in_group = "g" if group is not None else None
    return resolve(layers, file, in_group).with_overrides(sources["argument"])


def expected(sources: dict[str, Any], setting: Setting) -> list[tuple[object, str]]:
    """Say what each layer sets a setting to, the highest first."""
    group = sources["group"]
    found: list[tuple[object, str]] = [(setting.default, "default")]
    layers = [(sources[setting.section], "file"), (group or {}, "file")]
    if group is None or setting.section != "llm":
        layers.append((sources["environment"], "environment"))
    layers += [(sources[kind], kind) for kind in ("ipython_config", "session", "argument")]
    for values, kind in layers:
        if setting.name in values:
            found.append((setting.validate(values[setting.name]), kind))
    return found[::-1]


@given(SOURCES)
def test_the_highest_layer_wins_and_all_that_it_hides_is_known(sources: dict[str, Any]) -> None:
    settings = resolved(sources)
    assert settings.problems == ()
    for name, setting in SETTINGS.items():
        first, *rest = expected(sources, setting)
        assert (getattr(settings, name), settings.origin(name).kind) == first
        assert [(each.value, each.origin.kind) for each in settings.overridden(name)] == rest


HIDING = {"api_key": KEY, "extra_headers": {"Authorization": f"Bearer {KEY}"}, "tokens": [KEY]}
SECRET_VALUES: dict[str, list[object]] = {
    "secret": [KEY, [KEY], {"a": KEY}],
    "dict": [HIDING, {"a": {"b": HIDING}}, [KEY], KEY],
    "list": [[{"api_key": KEY}], {"a": KEY}, KEY],
}
MAY_HOLD_A_KEY = [name for name, each in SETTINGS.items() if each.kind in SECRET_VALUES]
SECRETS = st.sampled_from(MAY_HOLD_A_KEY).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(SECRET_VALUES[SETTINGS[name].kind]))
)


@given(SECRETS, st.sampled_from(["llm", "llm.g", "core", "openhands_llm_magic"]))
def test_no_key_of_a_file_or_variable_shows(secret: tuple[str, Any], header: str) -> None:
    """In its place or a wrong one, of the right type or a wrong one."""
    name, value = secret
    Path("config.toml").write_text(table(header, {name: value, f"{name}_": value}), "utf-8")
    settings = load_settings(
        env={SETTINGS[name].variable: str(value)}, group="g" if header == "llm.g" else None
    )
    shown = [repr(settings), str(settings.found), repr(settings.problems), str(vars_of(settings))]
    assert KEY not in "".join([*shown, *map(str, settings.problems)])


def vars_of(settings: Snapshot) -> dict[str, object]:
    return {name: getattr(settings, name) for name in SETTINGS}


@given(SECRETS)
def test_no_key_that_is_set_shows(secret: tuple[str, Any]) -> None:
    name, value = secret
    for typed in (None, str):
        given_ = value if typed is None else str(value)
        layer = layer_of("session", {name: given_}, lambda _: SESSION, typed=typed)
        settings = resolve([layer])
        assert KEY not in repr(layer) + repr(settings) + str(settings.found)
        assert KEY not in "".join(map(str, settings.problems))


def test_a_key_that_is_set_is_known_to_the_redactor() -> None:
    for name in MAY_HOLD_A_KEY:
        value = SECRET_VALUES[SETTINGS[name].kind][0]
        assert KEY in resolve([]).with_overrides({name: value}).secrets()
        with pytest.raises(SettingError, match=f"^{name} takes "):
            resolve([]).with_overrides({name: 1})
