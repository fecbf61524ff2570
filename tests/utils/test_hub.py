"""Weights from an address and models from a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import flambeau as torch
from flambeau import hub


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save({"w": torch.arange(3)}, path)
    named = tmp_path / f"net-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    return path.rename(named)


def test_weights_from_an_address(weights: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    found = hub.load_state_dict_from_url(weights.as_uri(), str(kept), progress=False, check_hash=True)
    assert found["w"].tolist() == [0, 1, 2]
    assert [p.name for p in kept.iterdir()] == [weights.name]
    with pytest.raises(RuntimeError, match="invalid hash"):
        hub.download_url_to_file(weights.as_uri(), str(tmp_path / "x"), "0000", False)
    assert not (tmp_path / "x").exists()


def test_models_from_a_folder(tmp_path: Path) -> None:
    text = "import flambeau\ndef line(n):\n    'A layer.'\n    return flambeau.nn.Linear(n, 1)\n"
    (tmp_path / "hubconf.py").write_text(text)
    assert hub.load(str(tmp_path), "line", 3, source="local").in_features == 3
    assert hub.list(str(tmp_path), source="local") == ["line"]
    assert hub.help(str(tmp_path), "line", source="local") == "A layer."
    with pytest.raises(RuntimeError, match="Cannot find callable plane"):
        hub.load(str(tmp_path), "plane", source="local")
    with pytest.raises(ValueError, match="trust_repo"):
        hub.load("owner/name", "line")
