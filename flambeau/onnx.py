"""What programs ask of `torch.onnx`: models are not exported here."""

from typing import Any, NoReturn


def is_in_onnx_export() -> bool:
    """False"""
    return False


def export(model: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises `NotImplementedError`."""
    raise NotImplementedError("torch.onnx.export is not there: save a state_dict, which PyTorch opens and can export")
