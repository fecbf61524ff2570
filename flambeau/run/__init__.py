"""Running programs written for PyTorch, as they are.

In a process that has called `install()`, `import torch` and everything below it give Flambeau's modules, and
`torchvision` gives `flambeau.vision`. `flambeau run SCRIPT.py` and `python -m flambeau.run SCRIPT.py` do that and
then run the program.
"""

from flambeau.run.aliases import install
from flambeau.run.program import run_module, run_script

__all__ = ["install", "run_module", "run_script"]
