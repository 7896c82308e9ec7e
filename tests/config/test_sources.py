"""config.toml and the environment: which file, which line, and what is wrong with it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.config.document import Document, read_file
from openhands_llm_magic.config.layers import env_layer, file_layer, group_layer
from openhands_llm_magic.config.resolve import find_config_file
from openhands_llm_magic.config.secret import Secret
from openhands_llm_magic.config.settings import SETTINGS
from openhands_llm_magic.errors import SettingError

KEY = "sk-canary-0123456789"


def written(text: str | bytes, path: str = "config.toml") -> Path:
    file = Path.cwd() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def parsed(text: str) -> Document:
    return read_file(written(text))


def problems(text: str) -> list[str]:
    return [str(problem) for problem in file_layer(parsed(text)).problems]


def find(cwd: str = "repo/notebooks/deep", **env: str) -> str | None:
    here = Path.cwd()
    folder = here / cwd
    folder.mkdir(parents=True, exist_ok=True)
    found = find_config_file(folder, here / "home", env)
    return found.relative_to(here).as_posix() if found else None


def test_there_may_be_none() -> None:
    assert find() is None


def test_the_working_directory_comes_first() -> None:
    for folder in ("repo/notebooks/deep", "repo", "home/.openhands"):
        written("", f"{folder}/config.toml")
    written("", "repo/.git/HEAD")
    assert find() == "repo/notebooks/deep/config.toml"


def test_then_the_nearest_parent_up_to_the_root_of_the_repository() -> None:
    written("", "repo/.git/HEAD")
    written("", "config.toml")
    assert find() is None
    written("", "repo/config.toml")
    assert find() == "repo/config.toml"
    written("", "repo/notebooks/config.toml")
    assert find() == "repo/notebooks/config.toml"


def test_a_worktree_has_a_file_named_git() -> None:
    written("gitdir: elsewhere", "repo/.git")
    written("", "repo/config.toml")
    assert find() == "repo/config.toml"


def test_without_a_repository_parents_do_not_count() -> None:
    written("", "repo/config.toml")
    assert find() is None


def test_then_the_home_folder() -> None:
    written("", "home/.openhands/config.toml")
    assert find() == "home/.openhands/config.toml"


def test_a_folder_of_that_name_is_no_config_file() -> None:
    written("", "repo/config.toml/x")
    assert find("repo") is None


def test_the_variable_names_one_even_if_it_is_missing() -> None:
    written("", "repo/config.toml")
    assert find("repo", LLM_MAGIC_CONFIG="other.toml") == "repo/other.toml"
    assert find("repo", LLM_MAGIC_CONFIG="~/x.toml") == "home/x.toml"
    assert find("repo", LLM_MAGIC_CONFIG="") == "repo/config.toml"


def test_the_values_of_a_file_carry_its_lines() -> None:
    text = f'[llm]\nmodel = "x"\napi_key = "{KEY}"\n[openhands_llm_magic]\nretry_after_limit = 9\n'
    layer = file_layer(parsed(text))
    assert {name: found.value for name, found in layer.values.items()} == {
        "model": "x",
        "api_key": Secret(KEY),
        "retry_after_limit": 9.0,
    }
    assert [str(found.origin) for found in layer.values.values()] == [
        "config.toml line 2",
        "config.toml line 3",
        "config.toml line 5",
    ]
    assert layer.problems == ()


def test_a_bad_value_fails_alone() -> None:
    layer = file_layer(parsed('[llm]\nnum_retries = "many"\nmodel = "x"\n'))
    assert list(layer.values) == ["model"]
    assert list(map(str, layer.problems)) == [
        (
            "config.toml line 2: num_retries takes a whole number, 0 or more, not 'many'; "
            "OpenHands would drop the whole [llm] section"
        )
    ]


def test_a_value_out_of_our_bounds_is_one_that_openhands_takes() -> None:
    assert problems("[llm]\nnum_retries = -1\n") == [
        "config.toml line 2: num_retries takes a whole number, 0 or more, not -1"
    ]


def test_an_unknown_key_is_a_problem() -> None:
    assert problems('[llm]\nmodels = "x"\n') == [
        (
            "config.toml line 2: unknown key 'models'; did you mean model?; "
            "OpenHands would drop the whole [llm] section"
        )
    ]


def test_a_setting_of_ours_has_its_own_table() -> None:
    assert problems("[llm]\nretry_after_limit = 9\n") == [
        (
            "config.toml line 2: retry_after_limit belongs under [openhands_llm_magic]; "
            "OpenHands would drop the whole [llm] section"
        )
    ]
    assert problems('[openhands_llm_magic]\nmodel = "x"\nlimit = 3\n') == [
        "config.toml line 2: model belongs under [llm]",
        "config.toml line 3: unknown key 'limit'; take it out",
    ]


def test_embedding_settings_are_in_that_table_because_openhands_has_no_such_fields() -> None:
    assert problems('[llm]\nembedding_model = "x"\n') == [
        (
            "config.toml line 2: embedding_model belongs under [openhands_llm_magic]; "
            "OpenHands would drop the whole [llm] section"
        )
    ]
    document = parsed('[openhands_llm_magic]\nembedding_model = "x"\n')
    assert file_layer(document).values["embedding_model"].value == "x"
    env = {"LLM_EMBEDDING_MODEL": "y"}
    assert env_layer(env, group=True).values["embedding_model"].value == "y"


def test_the_budget_is_in_core_with_much_that_is_not_for_us() -> None:
    document = parsed('[core]\nmax_budget_per_task = 2\nruntime = "docker"\n[llm]\n')
    layer = file_layer(document)
    assert (layer.values["max_budget_per_task"].value, layer.problems) == (2.0, ())
    assert problems("core = 1\n[llm]\nmax_budget_per_task = 3\n") == [
        "config.toml line 1: core must be a table, [core]",
        (
            "config.toml line 3: max_budget_per_task belongs under [core]; "
            "OpenHands would drop the whole [llm] section"
        ),
    ]
    assert problems('[core]\nmax_budget_per_task = "all"\nmodel = "x"\n') == [
        (
            "config.toml line 2: max_budget_per_task takes a number, 0 or more, or none, "
            "not 'all'; OpenHands would take it unchecked"
        ),
        "config.toml line 3: model belongs under [llm]",
    ]


def test_a_dictionary_in_llm_is_a_group_to_openhands() -> None:
    text = "[llm]\ncompletion_kwargs = {seed = 1}\n"
    assert problems(text) == [
        (
            "config.toml line 2: OpenHands takes this for the group [llm.completion_kwargs]: set "
            "completion_kwargs inside a group, or the variable LLM_COMPLETION_KWARGS"
        )
    ]
    document = parsed('[llm.g]\nsafety_settings = [{a = "b"}]\ncompletion_kwargs = {seed = 1}\n')
    layer = group_layer(document, "g", file_layer(document))
    assert layer.values["completion_kwargs"].value == {"seed": 1}
    assert layer.values["safety_settings"].value == [{"a": "b"}]


def test_a_section_that_is_no_table_is_a_problem() -> None:
    assert problems("llm = 3\n") == ["config.toml line 1: llm must be a table, [llm]"]


def test_a_file_that_does_not_parse_sets_nothing() -> None:
    layer = file_layer(parsed("[llm\nmodel=1"))
    assert layer.values == {}
    assert str(layer.problems[0]).startswith("config.toml line 1: it is not valid TOML: ")


def test_an_azure_model_gets_the_version_that_openhands_gives_it() -> None:
    found = file_layer(parsed('[llm]\nmodel = "azure/dep"\n')).values["api_version"]
    assert found.value == "2024-12-01-preview"
    assert str(found.origin) == "OpenHands' default for Azure models"
    set_by_hand = file_layer(parsed('[llm]\nmodel = "azure/dep"\napi_version = "1"\n'))
    assert set_by_hand.values["api_version"].value == "1"


def test_a_group_has_its_own_problems() -> None:
    text = '[llm]\nmodel = "x"\n[llm.a]\ntop_p = 9\nzzz = 1\n[llm."b.c"]\nmodel = "azure/x"\n'
    document = parsed(text)
    base = file_layer(document)
    assert base.problems == ()
    assert document.groups == ("a", "b.c")
    assert list(map(str, group_layer(document, "a", base).problems)) == [
        "config.toml line 4: top_p takes a number from 0 to 1, not 9.0",
        (
            "config.toml line 5: unknown key 'zzz'; take it out; "
            "OpenHands would skip the whole group [llm.a]"
        ),
    ]
    assert list(group_layer(document, "b.c", base).values) == ["model", "api_version"]
    with pytest.raises(SettingError, match=r"^there is no group 'c'; config.toml has: a, b.c$"):
        group_layer(document, "c", base)


def test_variables_are_a_layer() -> None:
    layer = env_layer(
        {
            "LLM_MODEL": "x",
            "LLM_BASE_URL": "",
            "LLM_NUM_RETRIES": "4.5",
            "LLM_MAGIC_RETRY_AFTER_LIMIT": "9",
            "llm_top_p": "0.1",
        }
    )
    assert {name: (found.value, str(found.origin)) for name, found in layer.values.items()} == {
        "model": ("x", "LLM_MODEL"),
        "retry_after_limit": (9.0, "LLM_MAGIC_RETRY_AFTER_LIMIT"),
    }
    assert list(map(str, layer.problems)) == [
        (
            "LLM_NUM_RETRIES: num_retries takes a whole number, 0 or more, not '4.5'; "
            "OpenHands would ignore it, too"
        )
    ]


def test_a_group_takes_only_our_own_variables() -> None:
    env = {"LLM_MODEL": "x", "LLM_MAGIC_RETRY_AFTER_LIMIT": "9"}
    assert list(env_layer(env, group=True).values) == ["retry_after_limit"]


@given(
    st.sampled_from(sorted(SETTINGS)), st.sampled_from(["[{}]", "{{x = {}}}", "{}", "1979-05-27"])
)
def test_no_problem_holds_a_secret(name: str, form: str) -> None:
    """Whatever `api_key` is set to, no problem quotes it."""
    value = form.format(f'"{KEY}"')
    key = name if SETTINGS[name].kind == "secret" else f"{name}_"
    text = f"[llm]\n{key} = {value}\n[openhands_llm_magic]\napi_key = {value}\n"
    assert KEY not in repr(file_layer(parsed(text)))
