"""Set up, test and use the language model of OpenHands from a Jupyter notebook."""
