"""How a change gets into config.toml without touching the rest of it."""
