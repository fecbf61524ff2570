"""Networks for pictures against torchvision's: names, initial values, results, gradients."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from torchvision_oracle import oracle

import flambeau
from flambeau.vision import models, ops

torchvision = oracle()
torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:The default weight initialization"),
]

SIZE = 64

#: One network of each family, and those that differ in more than widths and depths.
CHOSEN = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet",
    "mnasnet0_75", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_400mf",
    "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_5", "squeezenet1_0", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_32",
]  # fmt: skip
#: Those that also run in the training mode.
TRAINED = [
    "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "mobilenet_v3_small",
    "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vit_b_32",
]  # fmt: skip


def options_for(name: str) -> dict[str, Any]:
    return {"image_size": SIZE} if name.startswith("vit") else {}


def pair(name: str, **options: Any) -> tuple[Any, Any]:
    """torchvision's network and ours, from the same seed."""
    options = {**options_for(name), **options}
    torch.manual_seed(5)
    theirs = torchvision.models.get_model(name, **options)
    flambeau.manual_seed(5)
    return theirs, models.get_model(name, **options)


def shapeless(name: str) -> Any:
    """torchvision's network without memory for its values."""
    regnet = torchvision.models.regnet.BlockParams
    counting = regnet.from_init_params.__func__

    def from_init_params(cls: Any, *args: Any, **options: Any) -> Any:
        with torch.device("cpu"):  # it computes widths with tensors
            return counting(cls, *args, **options)

    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(regnet, "from_init_params", classmethod(from_init_params))
        return torchvision.models.get_model(name)


def liven(theirs: Any) -> None:
    """Gives values to what begins as zeros, ones or almost nothing, so that it counts."""
    generator = torch.Generator().manual_seed(3)
    for name, value in theirs.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("layer_scale"):
            value.uniform_(0.1, 1, generator=generator)
        elif name.endswith("heads.head.weight"):
            value.normal_(0, 0.1, generator=generator)


def copied(state: dict[str, Any]) -> dict[str, Any]:
    return {name: flambeau.tensor(value.numpy()) for name, value in state.items()}


def pictures(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 3, SIZE, SIZE), dtype=np.float32)


def close(ours: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    theirs = theirs.detach().numpy()
    scale = max(1.0, float(np.abs(theirs).max()))
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", models.list_models())
def test_names_and_shapes_of_states(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in flambeau.nn.init.__all__:
        if function.endswith("_"):
            monkeypatch.setattr(
                flambeau.nn.init, function, lambda tensor, *args, **options: tensor
            )
    theirs = shapeless(name)
    ours = models.get_model(name)
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    assert list(found.items()) == list(expected.items())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]


@pytest.mark.parametrize("name", CHOSEN)
def test_initial_values_and_scores(name: str) -> None:
    theirs, ours = pair(name)
    state = theirs.state_dict()
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy(), err_msg=key)
    liven(theirs)
    ours.load_state_dict(copied(theirs.state_dict()))
    x = pictures()
    with torch.no_grad(), flambeau.no_grad():
        close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_in_training(name: str) -> None:
    theirs, ours = pair(name, num_classes=11)
    for module in [*theirs.modules(), *ours.modules()]:
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
    theirs, ours = theirs.double(), ours.double()
    x, target = pictures(4).astype(np.float64), [1, 10, 0, 5]
    losses = []
    for framework, model in ((torch, theirs), (flambeau, ours)):
        scores = model.train()(framework.tensor(x))
        scores = scores if isinstance(scores, tuple) else (scores,)
        wanted = framework.tensor(target)
        loss = sum(framework.nn.functional.cross_entropy(each, wanted) for each in scores)
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)
    expected = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        grad = expected[key].grad.numpy()
        limit = 1e-8 * max(1e-3, float(np.abs(grad).max()))
        np.testing.assert_allclose(
            parameter.grad.numpy(), grad, rtol=1e-5, atol=limit, err_msg=key
        )
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(
            value.numpy(), theirs.state_dict()[key].numpy(), rtol=1e-6, atol=1e-9
        )


def test_a_step_with_random_layers_draws_the_same() -> None:
    theirs, ours = pair("efficientnet_b0", num_classes=4, stochastic_depth_prob=0.5)
    x = pictures(4)
    torch.manual_seed(1)
    flambeau.manual_seed(1)
    close(ours.train()(flambeau.tensor(x)), theirs.train()(torch.tensor(x)), 1e-3)


def test_dilated_and_reduced_mobile_networks() -> None:
    for options in ({"dilated": True}, {"reduced_tail": True}, {"width_mult": 0.5}):
        theirs, ours = pair("mobilenet_v3_small", **options)
        x = pictures()
        with torch.no_grad(), flambeau.no_grad():
            close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))


def test_dilated_residual_networks() -> None:
    theirs, ours = pair("resnet50", replace_stride_with_dilation=[False, True, True])
    x = pictures()
    with torch.no_grad(), flambeau.no_grad():
        close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))


def test_the_input_of_published_googlenets() -> None:
    theirs, ours = pair("googlenet", transform_input=True, init_weights=False)
    x = pictures()
    with torch.no_grad(), flambeau.no_grad():
        close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))


def test_inception_needs_larger_pictures() -> None:
    theirs, ours = pair("inception_v3", transform_input=True, init_weights=False)
    x = np.random.default_rng(0).standard_normal((2, 3, 96, 96), dtype=np.float32)
    with torch.no_grad(), flambeau.no_grad():
        close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))
    theirs, ours = pair("inception_v3", init_weights=False, dropout=0.0)
    x = np.random.default_rng(0).standard_normal((2, 3, 299, 299), dtype=np.float32)
    with torch.no_grad(), flambeau.no_grad():
        found, expected = ours(flambeau.tensor(x)), theirs(torch.tensor(x))
    assert found._fields == expected._fields
    for each, wanted in zip(found, expected, strict=True):
        close(each, wanted, 1e-3)


def test_maxvit_knows_its_pictures_size() -> None:
    theirs, ours = pair("maxvit_t")
    liven(theirs)
    ours.load_state_dict(copied(theirs.state_dict()))
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
    with torch.no_grad(), flambeau.no_grad():
        close(ours.eval()(flambeau.tensor(x)), theirs.eval()(torch.tensor(x)))


def test_a_checkpoint_file_of_torchvision(tmp_path: Any) -> None:
    for name in ("resnet18", "densenet121", "vit_b_32"):
        options = options_for(name)
        theirs = torchvision.models.get_model(name, **options).eval()
        liven(theirs)
        path = tmp_path / f"{name}.pth"
        torch.save(theirs.state_dict(), path)
        ours = models.get_model(name, weights=path, **options).eval()
        x = pictures()
        with torch.no_grad(), flambeau.no_grad():
            close(ours(flambeau.tensor(x)), theirs(torch.tensor(x)))


def test_resized_places_of_a_transformer() -> None:
    theirs, ours = pair("vit_b_32")
    from torchvision.models.vision_transformer import interpolate_embeddings

    expected = interpolate_embeddings(160, 32, theirs.state_dict())["encoder.pos_embedding"]
    found = models.interpolate_embeddings(160, 32, ours.state_dict())["encoder.pos_embedding"]
    close(found, expected, 1e-6)


def test_features_from_inside() -> None:
    theirs, ours = pair("resnet18")
    from torchvision.models.feature_extraction import create_feature_extractor

    nodes = {"relu": "stem", "layer2": "two", "layer4.0.relu_1": "four"}
    x = pictures()
    expected = create_feature_extractor(theirs.eval(), nodes)(torch.tensor(x))
    extractor = models.feature_extraction.create_feature_extractor(ours.eval(), nodes)
    found = extractor(flambeau.tensor(x))
    assert list(found) == list(expected)
    for name, value in expected.items():
        close(found[name], value)
    assert list(extractor.state_dict()) == list(ours.state_dict())


def test_published_weights_are_torchvisions() -> None:
    for name in models.list_models():
        theirs = torchvision.models.get_model_weights(name)
        ours = models.get_model_weights(name)
        assert ours.__name__ == theirs.__name__
        assert list(ours.__members__) == list(theirs.__members__)
        for member in theirs.__members__:
            assert ours[member].name == theirs[member].name
            assert ours[member].url == theirs[member].url


@pytest.mark.parametrize("name", models.list_models())
def test_classes_take_torchvisions_arguments(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = type(shapeless(name))
    ours = getattr(models, theirs.__name__)
    expected = inspect.signature(theirs).parameters
    found = inspect.signature(ours).parameters
    assert list(found) == list(expected)
    for key in expected:
        if isinstance(expected[key].default, (int, float, str, type(None))):
            assert found[key].default == expected[key].default


# Building blocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_stochastic_depth(mode: str, p: float) -> None:
    x = np.random.default_rng(0).standard_normal((16, 3, 2), dtype=np.float32)
    torch.manual_seed(2)
    flambeau.manual_seed(2)
    expected = torchvision.ops.StochasticDepth(p, mode)(torch.tensor(x))
    close(ops.StochasticDepth(p, mode)(flambeau.tensor(x)), expected, 1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Conv2dNormActivation", {"in_channels": 3, "out_channels": 4, "stride": 2}, (2, 3, 9, 9)),
        ("Conv2dNormActivation", {"in_channels": 3, "out_channels": 4, "kernel_size": (3, 5), "dilation": 2,
                                  "norm_layer": None}, (2, 3, 12, 12)),
        ("Conv3dNormActivation", {"in_channels": 2, "out_channels": 3, "activation_layer": None}, (2, 2, 4, 4, 4)),
        ("SqueezeExcitation", {"input_channels": 6, "squeeze_channels": 2}, (2, 6, 4, 4)),
        ("MLP", {"in_channels": 5, "hidden_channels": [7, 3], "inplace": True}, (4, 5)),
        ("FrozenBatchNorm2d", {"num_features": 3}, (2, 3, 4, 4)),
        ("Permute", {"dims": [0, 2, 1]}, (2, 3, 4)),
    ],
)  # fmt: skip
def test_blocks(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    torch.manual_seed(4)
    theirs = getattr(torchvision.ops, name)(**arguments)
    flambeau.manual_seed(4)
    ours = getattr(ops, name)(**arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    close(ours(flambeau.tensor(x)), theirs(torch.tensor(x)), 1e-5)


@pytest.mark.parametrize("name", ["resnet50", "vit_l_16", "efficientnet_v2_l"])
def test_published_weights_say_how_pictures_are_prepared(name: str) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (280, 310, 3), dtype=np.uint8)
    for member, theirs in torchvision.models.get_model_weights(name).__members__.items():
        preset, ours = theirs.transforms(), models.get_model_weights(name)[member].transforms()
        assert str(ours.interpolation.value) == str(preset.interpolation.value)
        picture = image.fromarray(pixels)
        close(ours(picture), preset(picture), 1e-6)
        planes = pixels.transpose(2, 0, 1).copy()
        close(ours(flambeau.tensor(planes)), preset(torch.tensor(planes)), 0.02)
