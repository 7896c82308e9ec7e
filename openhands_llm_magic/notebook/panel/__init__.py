"""The settings panel that `%llm_config` opens."""
