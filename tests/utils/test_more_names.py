"""Names that few programs ask for: rearrange, checkpoint's and serialization's switches, the profiler's questions."""

from __future__ import annotations

import collections
import gzip
import io
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.serialization as serialization
import flambeau.utils.checkpoint as checkpoint
from flambeau.func import debug_unwrap, rearrange, replace_all_batch_norm_modules_

X = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("pattern", "sizes", "expected"),
    [
        ("a b c -> c a b", {}, lambda x: x.transpose(2, 0, 1)),
        ("a b c -> (a b) c", {}, lambda x: x.reshape(6, 4)),
        ("a b (c d) -> a d (b c)", {"c": 2}, lambda x: x.reshape(2, 3, 2, 2).transpose(0, 3, 1, 2).reshape(2, 2, 6)),
        ("a ... -> ... a", {}, lambda x: x.transpose(1, 2, 0)),
        ("... c -> c (...)", {}, lambda x: x.reshape(6, 4).T),
        ("a b c -> a 1 b c 1", {}, lambda x: x[:, None, :, :, None]),
        ("a b c -> () a (b c)", {}, lambda x: x.reshape(1, 2, 12)),
    ],
)
def test_rearrange(pattern: str, sizes: dict[str, int], expected: Any) -> None:
    np.testing.assert_array_equal(rearrange(X, pattern, **sizes).numpy(), expected(X.numpy()))


def test_rearrange_of_several_and_its_errors() -> None:
    assert rearrange([X[0], X[1]], "n a b -> a n b").shape == (3, 2, 4)
    assert rearrange(X[:, :1], "a 1 c -> c a").shape == (4, 2)
    for pattern, message in (
        ("a b -> b a", "does not fit a tensor of 3 dimensions"),
        ("a b c -> a b", "names on one side only"),
        ("a b c", "has no '->'"),
        ("a b (c d) -> a b c d", "are not known"),
        ("a a c -> a c", "stands twice"),
        ("a b (c -> a b c", "parentheses do not match"),
    ):
        with pytest.raises(ValueError, match=message):
            rearrange(X, pattern)
    with pytest.raises(ValueError, match="size 4 does not split"):
        rearrange(X, "a b (c d) -> a b c d", c=3)


def test_batch_normalisations_without_moments() -> None:
    net = replace_all_batch_norm_modules_(torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.ReLU()))
    assert net[0].running_mean is None and not net[0].track_running_stats
    net.eval()(torch.randn(4, 3))
    assert debug_unwrap(X) is X


def test_weights_in_another_order_of_memory() -> None:
    net = torch.nn.Conv2d(3, 4, 3)
    before = net.weight.detach().clone()
    torch.nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    assert net.weight.is_contiguous(memory_format=torch.channels_last) and torch.equal(net.weight, before)


def test_checkpoints_say_what_they_cannot() -> None:
    assert [p.name for p in checkpoint.CheckpointPolicy][:2] == ["MUST_SAVE", "PREFER_SAVE"]
    assert checkpoint.get_device_states(X) == ([], [])
    for call in (
        lambda: checkpoint.create_selective_checkpoint_contexts([]),
        checkpoint.GraphExecGroup,
        lambda: checkpoint.set_checkpoint_debug_enabled(True).__enter__(),
        lambda: serialization.set_crc32_options(False),
        lambda: serialization.set_default_mmap_options(mmap.MAP_SHARED),
        lambda: serialization.set_default_load_endianness(serialization.LoadEndianness.BIG),
        lambda: serialization.register_package(1, len, len),
        serialization.skip_data,
        torch.profiler.ExecutionTraceObserver,
    ):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        checkpoint.check_backward_validity([X])


def test_places_and_types_of_storages() -> None:
    storage = X.storage()
    assert serialization.location_tag(storage) == "cpu"
    assert serialization.default_restore_location(storage, "cpu") is storage
    assert serialization.storage_to_tensor_type(storage) is torch.FloatTensor
    assert serialization.normalize_storage_type(torch.FloatStorage) is torch.FloatStorage
    with pytest.raises(RuntimeError, match=r"torch.cuda.is_available\(\) is False"):
        serialization.default_restore_location(storage, "cuda:0")
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        serialization.default_restore_location(storage, "elsewhere")


def test_versions_are_compared() -> None:
    class Module:
        __version__ = "1.12.3+cpu"

    check = serialization.check_module_version_greater_or_equal
    assert check(Module, (1, 9)) and check(Module, (1, 12, 3)) and not check(Module, (2, 0))
    Module.__version__ = "unknown"
    with pytest.raises(RuntimeError, match="malformed"):
        check(Module, (1,))


def test_what_a_file_asks_for() -> None:
    file = io.BytesIO()
    torch.save({"x": X, "c": collections.Counter("aab"), "p": Path("x")}, file)
    file.seek(0)
    found = serialization.get_unsafe_globals_in_checkpoint(file)
    assert any(name.startswith("pathlib.") for name in found) and not any(name.startswith("torch") for name in found)


def test_profiles_are_packed(tmp_path: Path) -> None:
    assert torch.profiler.kineto_available()
    assert torch.profiler.supported_activities() == {torch.profiler.ProfilerActivity.CPU}
    with torch.profiler.profile(on_trace_ready=torch.profiler.tensorboard_trace_handler(str(tmp_path), use_gzip=True)):
        X.sum()
    (file,) = tmp_path.iterdir()
    assert file.name.endswith(".pt.trace.json.gz") and b"traceEvents" in gzip.decompress(file.read_bytes())
    action = torch.profiler.schedule(wait=2, warmup=1, active=1, skip_first_wait=1)
    assert action(0) is torch.profiler.ProfilerAction.WARMUP
