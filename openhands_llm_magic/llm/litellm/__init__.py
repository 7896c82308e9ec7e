"""The one door to LiteLLM: nothing outside this folder knows a name or a shape of LiteLLM's."""
