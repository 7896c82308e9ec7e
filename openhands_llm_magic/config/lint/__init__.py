"""The rules of the check, one module for each thing that they look at."""

from openhands_llm_magic.config.lint import env, file, mcp, model, sections, text, trust

__all__ = ["env", "file", "mcp", "model", "sections", "text", "trust"]
