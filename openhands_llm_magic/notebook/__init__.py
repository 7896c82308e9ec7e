"""Floor 3: what a person sees. The only place that imports IPython and ipywidgets."""
