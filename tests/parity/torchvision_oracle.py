"""torchvision as the oracle: the tests that need it ask for it here, and are skipped without it."""

from __future__ import annotations

import functools
from typing import Any

import pytest

#: What torchvision's compiled half declares and its Python half names when it is imported.
OPERATORS = [
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width) -> (Tensor, Tensor)",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width, int sampling_ratio) -> (Tensor, Tensor)",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width) -> (Tensor, Tensor)",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias,"
    " SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h,"
    " SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor",
]


@functools.cache
def _declare_operators() -> Any:
    """Declares the operators, once a process; the declarations live as long as what is returned."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        name = operator.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            library.define(operator)
    return library


def oracle() -> Any:
    """torchvision, ready to use beside a PyTorch that its wheel was not built for.

    Its compiled operators cannot be loaded there, so they are only declared: models and
    transforms, which do not call them, work. A module that calls this is skipped where
    torchvision or PyTorch is absent.
    """
    pytest.importorskip("torch")
    _declare_operators()
    return pytest.importorskip("torchvision")
