"""Functions that a model may ask for: how they are declared, called, and answered for."""
