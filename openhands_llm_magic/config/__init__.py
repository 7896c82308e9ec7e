"""Floor 1: where settings come from. Imports no IPython, no widgets, no LiteLLM."""
