"""An IPython profile that loads the extension at start and retries six times.

Copy it into your profile's folder, which `ipython locate profile` prints, or add its lines to the
`ipython_config.py` that is there already. Notebook kernels and terminal IPython both read it.
Where only the magics are wanted, `openhands-llm-magic autoload on` does it without a configuration;
with it, the lines about the extension can be left out here, and those about settings count.
Every setting that `%llm_config` shows can be given as `c.LLMSettings.NAME`, except a key: keys stay
in the environment or in `config.toml`.
"""

import openhands_llm_magic  # noqa: F401 - found here, before the notebook's folder is searched

c = get_config()  # noqa: F821 - IPython defines it when it runs this file

c.InteractiveShellApp.extensions.append("openhands_llm_magic")
c.LLMSettings.num_retries = 6
