"""Compiled training steps do what eager ones do, to the state of the optimizer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiler_helpers import assert_close, assert_same_state, training_pair

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.vision.models import FaceKeypointNet, LeNet

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.5),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.01, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-4),
    "amsgrad": lambda p: torch.optim.Adam(
        p, lr=1e-3, eps=1e-4, amsgrad=True, weight_decay=1e-2
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, eps=1e-4),
}


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.PReLU(), nn.Linear(8, 3))


def stepper(optimizer: str, loss: Any = F.cross_entropy) -> Callable[[nn.Module], tuple]:
    def make(model: nn.Module) -> tuple[Callable, Any]:
        opt = OPTIMIZERS[optimizer](model.parameters())

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            value = loss(model(x), y)
            value.backward()
            opt.step()
            return value

        return step, opt

    return make


def batch(n: int = 5) -> tuple:
    return torch.randn(n, 6), torch.randint(0, 3, (n,))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer: str) -> None:
    a, b = training_pair(small_net(), stepper(optimizer))
    for _ in range(20):
        x, y = batch()
        assert_close(a[0](x, y), b[0](x, y))
        assert_same_state(a, b, 2e-5)
    assert b[0].traces <= 3


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adamw"])
def test_lenet(optimizer: str) -> None:
    """Many steps in double precision: in single, one of so many units near zero is on in one program and off in the other."""
    for dtype, steps in ((torch.float32, 4), (torch.float64, 20)):
        a, b = training_pair(LeNet().to(dtype), stepper(optimizer))
        for _ in range(steps):
            x, y = torch.randn(4, 3, 32, 32, dtype=dtype), torch.randint(0, 10, (4,))
            assert_close(a[0](x, y), b[0](x, y))
        assert_same_state(a, b, 1e-4 if dtype is torch.float32 else 1e-9)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_keypoints(optimizer: str) -> None:
    a, b = training_pair(FaceKeypointNet(), stepper(optimizer, F.mse_loss))
    for _ in range(20):
        x, y = torch.randn(2, 1, 112, 112), torch.randn(2, 42)
        assert_close(a[0](x, y), b[0](x, y))
    assert_same_state(a, b, 1e-3 if optimizer == "adam" else 1e-4)


def test_double_precision() -> None:
    a, b = training_pair(LeNet().double(), stepper("momentum"))
    for _ in range(5):
        x, y = torch.randn(3, 3, 32, 32, dtype=torch.float64), torch.randint(0, 10, (3,))
        assert_close(a[0](x, y), b[0](x, y))
    assert_same_state(a, b, 1e-11)


def test_learning_rate_changes_without_tracing_again() -> None:
    a, b = training_pair(small_net(), stepper("momentum"))
    for k in range(8):
        for _, _, opt in (a, b):
            opt.param_groups[0]["lr"] = 0.1 / (k + 1)
            opt.param_groups[0]["momentum"] = 0.5 + k / 20
        x, y = batch()
        a[0](x, y), b[0](x, y)
        assert_same_state(a, b)
    assert b[0].traces == 2


def test_short_last_batch_gets_its_own_program_once() -> None:
    a, b = training_pair(small_net(), stepper("momentum"))
    for _ in range(3):
        for n in (5, 5, 2):
            x, y = batch(n)
            assert_close(a[0](x, y), b[0](x, y))
    assert_same_state(a, b)
    assert b[0].traces == 3


def test_too_many_shapes_run_eagerly_with_a_warning() -> None:
    f = torch.compile(lambda x: x * 2)
    with pytest.warns(UserWarning, match="specialised"):
        for n in range(1, 12):
            assert f(torch.ones(n)).sum() == 2 * n


def test_gradients_that_are_zeroed_or_accumulate() -> None:
    def make(model: nn.Module) -> tuple[Callable, Any]:
        opt = OPTIMIZERS["momentum"](model.parameters())

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad(set_to_none=False)
            for part, target in zip(x.chunk(2), y.chunk(2), strict=True):
                F.cross_entropy(model(part), target).backward()
            opt.step()
            return F.cross_entropy(model(x), y).detach()

        return step, opt

    a, b = training_pair(small_net(), make)
    for _ in range(6):
        x, y = batch(4)
        assert_close(a[0](x, y), b[0](x, y))
        assert_same_state(a, b)


def test_accumulation_across_calls() -> None:
    def make(model: nn.Module) -> tuple[Callable, Any]:
        opt = OPTIMIZERS["sgd"](model.parameters())

        def step(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss.detach()

        return step, opt

    a, b = training_pair(small_net(), make)
    for k in range(8):
        x, y = batch()
        assert_close(a[0](x, y), b[0](x, y))
        assert_same_state(a, b)
        if k % 3 == 2:
            for _, _, opt in (a, b):
                opt.step()
                opt.zero_grad(set_to_none=k % 2 == 0)


def test_gradients_kept_by_the_user_are_not_overwritten() -> None:
    _, (step, model, _) = training_pair(small_net(), stepper("sgd"))
    step(*batch())
    held = [p.grad for p in model.parameters()]
    before = [g.clone() for g in held]
    step(*batch())
    step(*batch())
    for g, old in zip(held, before, strict=True):
        assert torch.equal(g, old)


def test_results_are_new_at_each_call() -> None:
    f = torch.compile(lambda x: x + 1)
    a = f(torch.zeros(3))
    f(torch.ones(3))
    assert a.tolist() == [1, 1, 1]


def test_train_and_eval_switch() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    compiled = torch.compile(model)
    x = torch.randn(4, 6)
    for train in (True, False, True, False):
        model.train(train)
        torch.manual_seed(3)
        wanted = model(x)
        torch.manual_seed(3)
        assert_close(wanted, compiled(x))


def test_dropout_draws_eager_s_numbers() -> None:
    def make(model: nn.Module) -> tuple[Callable, Any]:
        return stepper("momentum")(model)

    a, b = training_pair(nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.3), nn.Linear(9, 3)), make)
    for k in range(6):
        x, y = batch()
        torch.manual_seed(k)
        one = a[0](x, y), torch.rand(2)
        torch.manual_seed(k)
        two = b[0](x, y), torch.rand(2)
        assert_close(one[0], two[0])
        assert torch.equal(one[1], two[1])
        assert_same_state(a, b)


def test_module_whose_results_require_grad() -> None:
    model = LeNet()
    twin = copy.deepcopy(model)
    compiled = torch.compile(model)
    x, y = torch.randn(3, 3, 32, 32), torch.randint(0, 10, (3,))
    for _ in range(2):
        F.cross_entropy(compiled(x), y).backward()
        F.cross_entropy(twin(x), y).backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert_close(p.grad, q.grad)
    with torch.no_grad():
        assert not compiled(x).requires_grad
    assert sorted(compiled.state_dict()) == sorted("_orig_mod." + k for k in model.state_dict())


def test_double_backward_that_would_repeat_draws_is_refused() -> None:
    f = torch.compile(lambda x: (torch.rand(3) * x**3).sum())
    x = torch.randn(3).requires_grad_()
    with pytest.raises(RuntimeError, match="differentiated again"):
        torch.autograd.grad(f(x), x, create_graph=True)


def test_second_backward_through_a_step_s_loss() -> None:
    _, (step, _, _) = training_pair(small_net(), stepper("sgd"))
    loss = step(*batch())
    assert loss.requires_grad
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_arguments_changed_in_place() -> None:
    def f(x: Any, y: Any) -> Any:
        x.mul_(2)
        x[0] += y
        return x.sum()

    a, b, y = torch.ones(3, 4), torch.ones(3, 4), torch.arange(4.0)
    compiled = torch.compile(f, fullgraph=True)
    for _ in range(3):
        assert_close(f(a, y), compiled(b, y))
        assert_close(a, b)
    assert b._version > 0
    columns = torch.ones(4, 3).t()  # not in row-major order
    compiled(columns, y)
    f(again := torch.ones(3, 4), y)
    assert_close(columns, again)


def test_views_share_memory() -> None:
    def f(x: Any) -> Any:
        y = x * 1
        first, rest = y[0], y[1:]
        rest.add_(first)
        z = y.t().reshape(-1)  # a copy
        z.zero_()
        y.view(-1)[2] = 7
        return y, first, rest.sum()

    x = torch.randn(3, 4)
    for a, b in zip(f(x), torch.compile(f, fullgraph=True)(x), strict=True):
        assert_close(a, b)


def test_batch_norm_updates_its_statistics() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    )
    a, b = training_pair(model, stepper("momentum"))
    for _ in range(4):
        x, y = torch.randn(5, 2, 6, 6), torch.randint(0, 3, (5,))
        assert_close(a[0](x, y), b[0](x, y))
    assert_same_state(a, b, 5e-4)  # the bias before the normalisation: a gradient of roundings only


def test_clip_grad_norm() -> None:
    clip = getattr(nn.utils, "clip_grad_norm_", None)
    if clip is None:
        pytest.skip("clip_grad_norm_ is not there yet")

    def make(model: nn.Module) -> tuple[Callable, Any]:
        opt = OPTIMIZERS["sgd"](model.parameters())

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            clip(model.parameters(), 0.1)
            opt.step()
            return loss

        return step, opt

    a, b = training_pair(small_net(), make)
    for _ in range(4):
        x, y = batch()
        assert_close(a[0](x, y), b[0](x, y))
        assert_same_state(a, b)


# What cannot be traced ---------------------------------------------------------------------------------


def test_branch_on_a_value_runs_eagerly_with_one_warning() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 0:  # this line
            return x + 1
        return x - 1

    compiled = torch.compile(f)
    with pytest.warns(UserWarning, match=r"test_training\.py:\d+"):
        assert compiled(torch.ones(2)).tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(-torch.ones(2)).tolist() == [-2, -2]
    with pytest.raises(Exception, match="truth value"):
        torch.compile(f, fullgraph=True)(torch.ones(2))


def test_what_tracing_did_is_undone() -> None:
    model = small_net()
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = [p.detach().clone() for p in model.parameters()]

    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    x, y = batch()
    with pytest.warns(UserWarning, match="item"):
        torch.compile(step)(x, y)
    twin = small_net()
    for p, old in zip(twin.parameters(), before, strict=True):
        p.data = old
    other = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    F.cross_entropy(twin(x), y).backward()
    other.step()
    assert_same_state((None, model, opt), (None, twin, other))


def test_a_tensor_kept_outside_makes_it_eager() -> None:
    kept = []

    def f(x: Any) -> Any:
        y = x * 2
        kept.append(y)
        return y + 1

    compiled = torch.compile(f)
    compiled(torch.ones(2))
    with pytest.warns(UserWarning, match="change of .* a list"):
        compiled(torch.ones(2))
    assert [y.tolist() for y in kept] == [[2, 2], [2, 2]]


SCALE = 2.0


def test_constants_are_guarded() -> None:
    global SCALE
    offset = 1.0
    f = torch.compile(lambda x, k: x * SCALE + offset + k)
    x = torch.ones(2)
    assert f(x, 1).tolist() == [4, 4]
    assert f(x, 2).tolist() == [5, 5]
    SCALE = 3.0
    assert f(x, 1).tolist() == [5, 5]
    offset = 10.0
    assert f(x, 1).tolist() == [14, 14]
    SCALE = 2.0


def test_arguments_of_compile() -> None:
    def f(x: Any) -> Any:
        return x + 1

    assert torch.compile(f, backend="eager") is f
    assert torch.compile(f, disable=True) is f
    assert torch.compile(fullgraph=True)(f)(torch.ones(1)).item() == 2
    for wrong in ({"backend": "none"}, {"mode": "fast"}, {"options": {"a": 1}}):
        with pytest.raises(RuntimeError):
            torch.compile(f, **wrong)
    with pytest.raises(RuntimeError):
        torch.compile(f, mode="default", options={})


def test_errors_of_the_program_are_its_own() -> None:
    f = torch.compile(lambda a, b: a @ b)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        f(torch.ones(2, 3), torch.ones(2, 3))


def test_mixed_precision_step_is_eager_s() -> None:
    def trained(compiled: bool) -> list[np.ndarray]:
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten(),
            torch.nn.Linear(36, 5),
        )  # fmt: skip
        update = torch.optim.SGD(net.parameters(), lr=0.1)
        x, y = torch.randn(16, 1, 8, 8), torch.randint(5, (16,))

        def step() -> Any:
            update.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            update.step()
            return loss

        run = torch.compile(step, fullgraph=True) if compiled else step
        for _ in range(3):
            run()
        return [p.detach().numpy() for p in net.parameters()]

    for a, b in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02, atol=0.01)


def test_what_an_input_was_is_kept() -> None:
    """A result that is an input's old content, whose memory the program writes."""

    @torch.compile(fullgraph=True)
    def counted(x: torch.Tensor) -> torch.Tensor:
        before = x.clone()
        x.add_(1)
        return before

    x = torch.zeros(3)
    for wanted in range(3):
        assert (counted(x) == wanted).all() and (x == wanted + 1).all()


def test_cheap_values_of_other_ranks_are_computed_again() -> None:
    """The kernel has the shape of what leaves it, whatever is computed on the way."""

    @torch.compile(fullgraph=True)
    def f(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - (x * 2 + 1)

    x, y = torch.randn(17, 5, 17), torch.randn(3, 1, 1, 1)
    assert torch.equal(f(x, y), y - (x * 2 + 1))
