"""Weights and models from the network, and from folders: `torch.hub`.

Files are kept under `$TORCH_HOME/hub` (`~/.cache/torch/hub`), as PyTorch's are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

#: Part of the SHA-256 of a file, in its name.
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_folder: list[str] = []


def get_dir() -> str:
    """The folder of downloaded repositories and checkpoints."""
    if _folder:
        return _folder[0]
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.join(os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch"))), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the folder of downloaded repositories and checkpoints."""
    _folder[:] = [os.path.expanduser(d)]


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Downloads a file, and puts it at `dst` when it is whole.

    Raises:
        RuntimeError: where the file's SHA-256 does not begin with `hash_prefix`.
    """
    dst = os.path.expanduser(dst)
    request = urllib.request.Request(url, headers={"User-Agent": "flambeau.hub"})
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(dst) or ".", suffix=".partial", delete=False) as part:
        try:
            with urllib.request.urlopen(request) as answer:
                while block := answer.read(1 << 20):
                    part.write(block)
                    digest.update(block)
            part.close()
            if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
            shutil.move(part.name, dst)
        finally:
            Path(part.name).unlink(missing_ok=True)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True,
    check_hash: bool = False, file_name: str | None = None, weights_only: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The checkpoint at an address; downloaded once.

    Args:
        url: the address.
        model_dir: the folder to keep it in; left out, `checkpoints` below `get_dir()`.
        map_location: as in `load`.
        progress: print what is downloaded.
        check_hash: compare the file with the hash in its name.
        file_name: the name to keep it under.
        weights_only: load tensors and plain containers only.
    """
    from flambeau.serialization import load as load_file

    model_dir = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    kept = os.path.join(model_dir, name)
    if not os.path.exists(kept):
        if progress:
            sys.stderr.write(f'Downloading: "{url}" to {kept}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, kept, found.group(1) if found else None, progress)
    return load_file(kept, map_location=map_location, weights_only=weights_only)


def _repository(repo_or_dir: str, source: str, force_reload: bool, trust_repo: Any) -> str:
    """The folder that holds a repository, fetched from GitHub where it is not there.

    Raises:
        ValueError: for another source, and for one that is not trusted.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "local":
        return repo_or_dir
    repository, _, branch = repo_or_dir.partition(":")
    owner, _, name = repository.partition("/")
    branch = branch or "main"
    folder = os.path.join(get_dir(), f"{owner}_{name}_{branch.replace('/', '_')}")
    if trust_repo is False or (trust_repo in (None, "check") and not os.path.isdir(folder)):
        raise ValueError(f"{repository} runs code from the network: allow that with trust_repo=True")
    if force_reload or not os.path.isdir(folder):
        os.makedirs(get_dir(), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=get_dir()) as work:
            archive = os.path.join(work, "repository.zip")
            download_url_to_file(f"https://github.com/{repository}/zipball/{branch}", archive)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(work)
                top = packed.namelist()[0].split("/")[0]
            shutil.rmtree(folder, ignore_errors=True)
            shutil.move(os.path.join(work, top), folder)
    return folder


def _entries(folder: str) -> ModuleType:
    """A repository's `hubconf.py`."""
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("hubconf", os.path.join(folder, "hubconf.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _entry(module: ModuleType, model: str) -> Any:
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def load(
    repo_or_dir: str, model: str, *args: Any, source: str = "github", trust_repo: Any = None,
    force_reload: bool = False, verbose: bool = True, skip_validation: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """What a repository's `hubconf.py` makes under a name.

    Args:
        repo_or_dir: "owner/name:branch" on GitHub, or a folder with `source="local"`.
        model: the name of a function in `hubconf.py`; further arguments are given to it.
        source: "github" or "local".
        trust_repo: True lets a repository from the network run.
        force_reload: fetch it anew.
        verbose: accepted.
        skip_validation: accepted.

    Raises:
        RuntimeError: where there is no such function.
        ValueError: for another source, and for a repository that is not trusted.
    """
    return _entry(_entries(_repository(repo_or_dir, source, force_reload, trust_repo)), model)(*args, **kwargs)


def list(
    github: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None,
    verbose: bool = True, source: str = "github",
) -> Any:  # fmt: skip
    """The names that `load` takes."""
    module = _entries(_repository(github, source, force_reload, trust_repo))
    return [name for name, x in vars(module).items() if callable(x) and not name.startswith("_")]


def help(
    github: str, model: str, force_reload: bool = False, skip_validation: bool = False, trust_repo: Any = None,
    source: str = "github",
) -> str | None:  # fmt: skip
    """What a repository says of one of its models."""
    return _entry(_entries(_repository(github, source, force_reload, trust_repo)), model).__doc__
