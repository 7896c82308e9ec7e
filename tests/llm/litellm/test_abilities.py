"""What is known of a model, and what its list is silent about."""

from __future__ import annotations

import pytest

from openhands_llm_magic.llm.litellm import models as abilities
from openhands_llm_magic.llm.litellm.models import abilities_of

LISTED = {
    "sees": {"supports_vision": True},
    "reads": {"supports_vision": True, "supports_pdf_input": True},
    "blind": {"supports_vision": False},
    "silent": {},
    "Qwen9-VL-7b": {},
    "gemma-3-blind": {"supports_vision": False},
}


@pytest.mark.parametrize(
    ("model", "sees", "reads_pdf"),
    [
        ("sees", True, None),
        ("reads", True, True),
        ("blind", False, False),
        ("silent", False, False),
        ("Qwen9-VL-7b", None, None),
        ("gemma-3-blind", False, False),
        ("of-nobody", None, None),
    ],
)
def test_silence_means_no_unless_a_yes_is_likely(
    monkeypatch: pytest.MonkeyPatch, model: str, sees: object, reads_pdf: object
) -> None:
    """By the model's name for pictures, and by its sight for PDFs."""
    monkeypatch.setattr(abilities, "prices", lambda: LISTED)
    found = abilities_of(model)
    assert (found.sees, found.reads_pdf) == (sees, reads_pdf)


@pytest.mark.parametrize(
    ("model", "sees", "reads_pdf"),
    [
        ("openai/gpt-3.5-turbo", False, False),
        ("deepseek/deepseek-chat", False, False),
        ("openai/gpt-4o", True, True),
        ("azure/gpt-4o", True, None),
        ("azure/eu/gpt-4o-2024-05-13", None, None),
        ("mistral/pixtral-large-latest", True, None),
        ("fireworks_ai/accounts/fireworks/models/qwen2-vl-72b-instruct", None, None),
    ],
)
def test_models_of_the_list(model: str, sees: object, reads_pdf: object) -> None:
    found = abilities_of(model)
    assert (found.sees, found.reads_pdf) == (sees, reads_pdf)
