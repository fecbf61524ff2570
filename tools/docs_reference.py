"""The reference pages of the documentation site, made while MkDocs builds: one page for each public package.

The pages name modules; mkdocstrings reads their docstrings from the source, so that nothing is imported.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

# Page: its title, and the modules or packages shown on it.
PAGES = {
    "tensor": ("Tensor", ["tensor"]),
    "ops": ("Operators", ["ops"]),
    "modules": ("nn modules", ["nn.modules"]),
    "functional": ("nn.functional", ["nn.functional"]),
    "init": ("nn.init", ["nn.init"]),
    "optim": ("optim and lr_scheduler", ["optim"]),
    "data": ("utils.data", ["utils.data"]),
    "autograd": ("autograd", ["autograd"]),
    "func": ("func", ["func"]),
    "linalg": ("linalg", ["linalg"]),
    "fft": ("fft", ["fft"]),
    "special": ("special", ["special"]),
    "distributions": ("distributions", ["distributions", "distributions.transforms"]),
    "transforms": ("vision.transforms", ["vision.transforms"]),
    "models": ("vision.models", ["vision.models"]),
    "datasets": ("vision.datasets", ["vision.datasets"]),
    "boxes": ("vision.ops", ["vision.ops"]),
    "metrics": ("metrics", ["metrics"]),
    "cluster": ("cluster", ["cluster"]),
    "train": ("train", ["train"]),
    "serialization": ("serialization", ["serialization"]),
    "compiler": ("compiler and profiler", ["compiler.compiled", "compiler.explain", "profiler"]),
}


def modules_of(name: str) -> list[str]:
    """The module, or the package and the public modules directly inside it."""
    folder = ROOT / "flambeau" / name.replace(".", "/")
    inside = sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
    return [f"flambeau.{name}", *(f"flambeau.{name}.{module}" for module in inside)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the reference pages to the site's."""
    for page, (title, names) in PAGES.items():
        modules = [module for name in names for module in modules_of(name)]
        text = f"# {title}\n\n" + "\n".join(f"::: {module}\n" for module in modules)
        files.append(File.generated(config, f"reference/{page}.md", content=text))
    return files
