"""The practice provider: a server on this machine that answers and fails as real ones do."""
