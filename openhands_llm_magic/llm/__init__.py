"""Floor 2: talking to a model. Imports no IPython, no widgets; LiteLLM in `client` alone."""
