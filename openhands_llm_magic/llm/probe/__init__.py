"""Probes that tell whether a model does what OpenHands needs of it."""
