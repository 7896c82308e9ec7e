"""A cell's body made into messages."""
