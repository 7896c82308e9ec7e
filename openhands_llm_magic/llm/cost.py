"""What a request cost."""

from __future__ import annotations

from typing import Any


def cost_usd(
    litellm: Any, model: str, counted: Any, price: tuple[float, float] | None = None
) -> float | None:
    """Return what a request cost, or None when nobody named a price for the model.

    Args:
        litellm: The module.
        model: The model with its provider prefix.
        counted: The tokens that it took, as LiteLLM has them: those read from a cache, and those
            written to one, have prices of their own. None where nobody counted them.
        price: US dollars for a token of the prompt and one of the answer, or None for LiteLLM's
            own price list.
    """
    if counted is None:
        return None
    if price:
        prompt_price, completion_price = price
        return float(
            prompt_price * counted.prompt_tokens + completion_price * counted.completion_tokens
        )
    try:
        prompt_usd, completion_usd = litellm.cost_per_token(model, usage_object=counted)
    except Exception:  # noqa: BLE001 - an unknown price, whatever LiteLLM raises for it
        return None
    # LiteLLM gives 0 for models whose price it does not have, such as retired ones.
    return float(prompt_usd + completion_usd) or None
