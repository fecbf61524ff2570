"""Networks for pictures: how many parameters they have, what they give, how they are changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import nn
from flambeau.vision import models

#: The number of parameters of each network with a thousand classes, as torchvision publishes it
#: (GoogLeNet and Inception v3: with their auxiliary classifiers).
PARAMETERS = {
    "alexnet": 61_100_840,
    "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
    "convnext_small": 50_223_688,
    "convnext_tiny": 28_589_128,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "efficientnet_v2_l": 118_515_272,
    "efficientnet_v2_m": 54_139_356,
    "efficientnet_v2_s": 21_458_488,
    "googlenet": 13_004_888,
    "inception_v3": 27_161_264,
    "maxvit_t": 30_919_624,
    "mnasnet0_5": 2_218_512,
    "mnasnet0_75": 3_170_208,
    "mnasnet1_0": 4_383_312,
    "mnasnet1_3": 6_282_256,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856,
    "regnet_x_16gf": 54_278_536,
    "regnet_x_1_6gf": 9_190_136,
    "regnet_x_32gf": 107_811_560,
    "regnet_x_3_2gf": 15_296_552,
    "regnet_x_400mf": 5_495_976,
    "regnet_x_800mf": 7_259_656,
    "regnet_x_8gf": 39_572_648,
    "regnet_y_128gf": 644_812_894,
    "regnet_y_16gf": 83_590_140,
    "regnet_y_1_6gf": 11_202_430,
    "regnet_y_32gf": 145_046_770,
    "regnet_y_3_2gf": 19_436_338,
    "regnet_y_400mf": 4_344_144,
    "regnet_y_800mf": 6_432_512,
    "regnet_y_8gf": 39_381_472,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "resnext50_32x4d": 25_028_904,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "swin_b": 87_768_224,
    "swin_s": 49_606_258,
    "swin_t": 28_288_354,
    "swin_v2_b": 87_930_848,
    "swin_v2_s": 49_737_442,
    "swin_v2_t": 28_351_570,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "vit_b_16": 86_567_656,
    "vit_b_32": 88_224_232,
    "vit_h_14": 632_045_800,
    "vit_l_16": 304_326_632,
    "vit_l_32": 306_535_400,
    "wide_resnet101_2": 126_886_696,
    "wide_resnet50_2": 68_883_240,
}

SMALL = [
    "alexnet", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "mobilenet_v3_small",
    "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "convnext_tiny",
]  # fmt: skip


def tiny_transformer(**options: Any) -> models.VisionTransformer:
    return models.VisionTransformer(32, 8, 2, 4, 32, 64, **{"num_classes": 5, **options})


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Initial values are not drawn, so that memory is only reserved: giants are built at once."""
    for name in nn.init.__all__:
        if name.endswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *args, **options: tensor)


def pictures(size: int = 64, batch: int = 2) -> flambeau.Tensor:
    draw = np.random.default_rng(0)
    return flambeau.tensor(draw.standard_normal((batch, 3, size, size), dtype=np.float32))


def evaluated(name: str, **options: Any) -> nn.Module:
    flambeau.manual_seed(0)
    return models.get_model(name, **options).eval()


# Counts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts_are_the_published_ones(name: str, undrawn: None) -> None:
    model = models.get_model(name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    docstring = models.get_model_builder(name).__doc__ or ""
    if name != "googlenet":
        assert f"{PARAMETERS[name]:,} parameters" in docstring
    assert all(p.requires_grad for p in model.parameters())


def test_the_table_has_every_model() -> None:
    assert models.list_models() == sorted(PARAMETERS)


# Results ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_scores_stages_and_new_classifiers(name: str) -> None:
    model: Any = evaluated(name, num_classes=7)
    x = pictures()
    with flambeau.no_grad():
        scores = model(x)
        assert scores.shape == (2, 7)
        assert np.isfinite(scores.numpy()).all()
        body = models.features_only(model)
        maps = body(x)
        assert [m.ndim for m in maps] == [4] * len(maps)
        sizes = [m.shape[2] for m in maps]
        assert sizes == sorted(sizes, reverse=True)
        assert body.feature_info.channels() == [m.shape[1] for m in maps]
        last = models.features_only(model, out_indices=(-1,))(x)
        np.testing.assert_array_equal(last[0].numpy(), maps[-1].numpy())
        model.reset_classifier(3)
        assert model(x).shape == (2, 3)
        model.reset_classifier(0)
        assert model(x).ndim == 2
    names = dict(model.named_parameters())
    assert {n.removeprefix("model.") for n, _ in body.named_parameters()} <= set(names)


def test_stages_of_a_residual_network_as_timm_has_them() -> None:
    body = models.resnet18(features_only=True).eval()
    assert body.feature_info.channels() == [64, 64, 128, 256, 512]
    assert body.feature_info.reduction() == [2, 4, 8, 16, 32]
    assert not any("fc" in name for name, _ in body.named_modules())
    two = models.resnet18(features_only=True, out_indices=(1, 3))
    assert not any("layer4" in name for name, _ in two.named_modules())
    assert [m.shape[1] for m in two(pictures())] == [64, 256]


def test_lenet_is_changed_like_the_others() -> None:
    model = models.LeNet().eval()
    assert sum(p.numel() for p in model.parameters()) == 62_006
    x = pictures(32)
    assert [m.shape[1:] for m in models.features_only(model)(x)] == [
        (6, 28, 28), (16, 10, 10), (16, 5, 5)
    ]  # fmt: skip
    model.reset_classifier(2)
    assert model(x).shape == (2, 2)


def test_the_original_keeps_its_head() -> None:
    model = evaluated("resnet18", num_classes=4)
    body = models.features_only(model)
    assert model(pictures()).shape == (2, 4)
    assert body.model.conv1.weight is model.conv1.weight


def test_stages_of_a_transformer_are_maps() -> None:
    model = tiny_transformer().eval()
    maps = models.features_only(model, [0, 1])(pictures(32))
    assert [m.shape for m in maps] == [(2, 32, 4, 4)] * 2
    whole: list[Any] = []
    model.encoder.layers.register_forward_hook(
        lambda module, inputs, output: whole.append(output)
    )
    model(pictures(32))
    expected = whole[0].detach().numpy()[:, 1:].transpose(0, 2, 1).reshape(2, 32, 4, 4)
    np.testing.assert_allclose(maps[1].detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_auxiliary_scores_only_in_training() -> None:
    flambeau.manual_seed(0)
    model = models.googlenet(num_classes=4, init_weights=False)
    outputs = model(pictures())
    assert type(outputs).__name__ == "GoogLeNetOutputs"
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [o.shape for o in outputs] == [(2, 4)] * 3
    model.reset_classifier(6)
    assert [o.shape for o in model(pictures())] == [(2, 6)] * 3
    assert model.eval()(pictures()).shape == (2, 6)
    plain = models.googlenet(num_classes=4, aux_logits=False, init_weights=False)
    assert plain(pictures()).shape == (2, 4)
    assert plain.aux1 is None


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_compiled_is_eager(name: str) -> None:
    model = evaluated(name, num_classes=5)
    x = pictures(48)
    compiled = flambeau.compile(model, fullgraph=True)
    with flambeau.no_grad():
        expected = model(x).numpy()
        np.testing.assert_allclose(compiled(x).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_compiled_transformer_is_eager() -> None:
    flambeau.manual_seed(0)
    model = tiny_transformer(representation_size=16)
    nn.init.normal_(model.heads[-1].weight)
    x, target = pictures(32), flambeau.tensor([1, 3])

    def loss(x: flambeau.Tensor) -> flambeau.Tensor:
        return nn.functional.cross_entropy(model(x), target)

    found = []
    for function in (loss, flambeau.compile(loss, fullgraph=True)):
        model.zero_grad()
        value = function(x)
        value.backward()
        found.append([value.item(), model.conv_proj.weight.grad.numpy().copy()])
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-3, atol=1e-5)


def test_all_layers_of_a_network_learn() -> None:
    flambeau.manual_seed(0)
    model = models.mobilenet_v3_small(num_classes=3)
    nn.functional.cross_entropy(model(pictures()), flambeau.tensor([0, 2])).backward()
    assert all(p.grad is not None for p in model.parameters())


# Arguments ----------------------------------------------------------------------------------------


def test_blocks_say_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="BasicBlock only supports groups=1"):
        models.BasicBlock(64, 64, groups=2)
    with pytest.raises(ValueError, match="3-element tuple"):
        models.resnet50(replace_stride_with_dilation=[True])
    with pytest.raises(ValueError, match="Unsupported SqueezeNet version"):
        models.SqueezeNet("2_0")
    with pytest.raises(AssertionError, match="Wrong image height! Expected 32 but got 64!"):
        tiny_transformer()(pictures(64))
    with pytest.raises(ValueError, match="0 to 4"):
        models.resnet18(features_only=True, out_indices=(5,))
    with pytest.raises(ValueError, match="features_only=True"):
        models.resnet18(out_indices=(1,))


def test_dilation_keeps_the_resolution() -> None:
    model = models.ResNet(
        models.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True]
    ).eval()
    assert [m.shape[2] for m in models.features_only(model)(pictures())] == [32, 16, 8, 8, 8]


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="block 0 is not divisible by partition size 7"):
        models.maxvit_t(input_size=(256, 256))


def tiny_windows() -> models.SwinTransformer:
    return models.SwinTransformer([4, 4], 8, [2, 2], [2, 4], [4, 4], num_classes=3)


@pytest.mark.parametrize("version", [1, 2])
def test_shifted_windows_see_no_pixels_that_came_round(version: int) -> None:
    """Attention of a shifted block, one window at a time, without any shift."""
    attention = models.swin_transformer.ShiftedWindowAttention
    if version == 2:
        attention = models.swin_transformer.ShiftedWindowAttentionV2
    flambeau.manual_seed(0)
    shifted, plain = attention(4, [4, 4], [2, 2], 2), attention(4, [4, 4], [0, 0], 2)
    plain.load_state_dict(shifted.state_dict())
    x = flambeau.randn(1, 12, 12, 4)
    found = shifted(x)[:, 2:10, 2:10]
    expected = plain(x[:, 2:10, 2:10])
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().numpy(), rtol=1e-3, atol=1e-5
    )


def test_a_compiled_swin_transformer_is_eager() -> None:
    flambeau.manual_seed(0)
    model = tiny_windows().eval()
    x = pictures(40)
    with flambeau.no_grad():
        expected = model(x).numpy()
        found = flambeau.compile(model, fullgraph=True)(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert [m.shape[1:] for m in models.features_only(model)(x)] == [(8, 10, 10), (16, 5, 5)]


def test_zero_initial_residuals_make_identities() -> None:
    model = models.resnet18(zero_init_residual=True)
    assert float(model.layer1[0].bn2.weight.abs().sum()) == 0
    assert float(model.layer1[0].bn1.weight.sum()) == 64


def test_places_of_a_transformer_are_resized() -> None:
    small, large = tiny_transformer(), tiny_transformer_of(64)
    state = models.interpolate_embeddings(64, 8, small.state_dict(), reset_heads=True)
    assert state["encoder.pos_embedding"].shape == (1, 65, 32)
    missing = large.load_state_dict(state, strict=False).missing_keys
    assert missing == ["heads.head.weight", "heads.head.bias"]
    same = models.interpolate_embeddings(32, 8, small.state_dict())
    np.testing.assert_array_equal(
        same["encoder.pos_embedding"].numpy(), small.encoder.pos_embedding.detach().numpy()
    )


def tiny_transformer_of(size: int) -> models.VisionTransformer:
    return models.VisionTransformer(size, 8, 2, 4, 32, 64, num_classes=5)


# Names and weights --------------------------------------------------------------------------------


def test_models_by_name() -> None:
    assert models.list_models(include="resnet*") == [
        "resnet101", "resnet152", "resnet18", "resnet34", "resnet50"
    ]  # fmt: skip
    assert "vgg11_bn" not in models.list_models(include=["vgg*"], exclude="*_bn")
    assert models.list_models(module=models.vgg, include="vgg1*_bn") == [
        "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"
    ]  # fmt: skip
    assert models.get_model_builder("ResNet18") is models.resnet18
    with pytest.raises(ValueError, match="Unknown model resnet19; did you mean"):
        models.get_model("resnet19")


def test_weights_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = models.ResNet50_Weights
    assert weights.DEFAULT is weights.IMAGENET1K_V2
    assert models.get_weight("ResNet50_Weights.DEFAULT") is weights.DEFAULT
    assert models.get_model_weights("resnet50") is weights
    assert models.get_model_weights(models.resnet50) is weights
    for asked in (weights.DEFAULT, "DEFAULT", "ResNet50_Weights.IMAGENET1K_V2"):
        with pytest.raises(
            FileNotFoundError, match=r"downloads nothing.*resnet50-11ad3fa6\.pth"
        ):
            models.resnet50(weights=asked)
    with pytest.raises(FileNotFoundError, match="downloads nothing"):
        models.resnet50(pretrained=True)
    with pytest.raises(
        TypeError, match="expected ResNet18_Weights but received ResNet50_Weights"
    ):
        models.resnet18(weights=weights.DEFAULT)
    with pytest.raises(FileNotFoundError, match=r"nor one of IMAGENET1K_V1.*load_state_dict"):
        models.resnet18(weights="nowhere.pth")
    with pytest.raises(ValueError, match="Invalid model name"):
        models.get_weight("ResNet50_Weights.V9")
    with pytest.raises(AttributeError, match="no attribute 'ResNet19_Weights'"):
        _ = models.ResNet19_Weights


def test_every_published_file_has_a_model() -> None:
    for name in models.list_models():
        enumeration = models.get_model_weights(name)
        assert enumeration.DEFAULT.value.file in enumeration.DEFAULT.url
        assert getattr(models, enumeration.__name__) is enumeration
    assert models.resnet.ResNet18_Weights is models.ResNet18_Weights


def test_a_file_of_weights(tmp_path: Any) -> None:
    first = evaluated("squeezenet1_1", num_classes=4)
    path = tmp_path / "weights.pth"
    flambeau.save(first.state_dict(), path)
    second = models.squeezenet1_1(weights=path, num_classes=4).eval()
    x = pictures()
    np.testing.assert_array_equal(first(x).detach().numpy(), second(x).detach().numpy())
    body = models.squeezenet1_1(weights=str(path), num_classes=4, features_only=True)
    expected = models.features_only(first)(x)[-1].detach().numpy()
    np.testing.assert_array_equal(body(x)[-1].detach().numpy(), expected)


def test_a_published_googlenet_has_auxiliary_weights(tmp_path: Any) -> None:
    """A published file is known by its name; what others trained is read as it was saved."""
    published = tmp_path / models.GoogLeNet_Weights.DEFAULT.value.file
    flambeau.save(models.googlenet(init_weights=False).state_dict(), published)
    plain = models.googlenet(weights=published)
    assert plain.aux1 is None
    assert plain.transform_input
    whole = models.googlenet(weights=published, aux_logits=True)
    assert whole.aux1 is not None
    own = models.googlenet(weights=published.rename(tmp_path / "mine.pth"))
    assert own.aux1 is not None and not own.transform_input


def test_a_checkpoint_of_a_run_as_weights(tmp_path: Any) -> None:
    first = evaluated("squeezenet1_1", num_classes=4)
    flambeau.save({"model": first.state_dict(), "epoch": 3}, tmp_path / "best.pt")
    second = models.squeezenet1_1(weights=tmp_path / "best.pt", num_classes=4).eval()
    np.testing.assert_array_equal(first(pictures()).detach().numpy(), second(pictures()).detach().numpy())


def test_a_downloaded_file_is_found_and_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = models.SqueezeNet1_1_Weights.DEFAULT
    weights.path.parent.mkdir(parents=True)
    flambeau.save(models.squeezenet1_1().state_dict(), weights.path)
    with pytest.raises(RuntimeError, match=r"SHA-256 begins with.*not with b8a52dc0"):
        models.squeezenet1_1(weights="DEFAULT")


def test_old_keys_of_published_files() -> None:
    model = models.DenseNet(4, (2, 2), 8, num_classes=3)
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v
        for k, v in model.state_dict().items()
    }
    assert "features.denseblock1.denselayer2.norm.1.weight" in old
    model.load_state_dict(old)
    block = tiny_transformer().encoder.layers[0].mlp
    state = {
        f"linear_{1 if k[0] == '0' else 2}{k[1:]}": v for k, v in block.state_dict().items()
    }
    block.load_state_dict(state)


def test_dense_layers_save_memory_by_computing_twice() -> None:
    found = []
    for memory_efficient in (False, True):
        flambeau.manual_seed(0)
        model = models.DenseNet(4, (2, 2), 8, num_classes=3, memory_efficient=memory_efficient)
        model(pictures()).square().sum().backward()
        found.append(model.features.conv0.weight.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


# Summary ------------------------------------------------------------------------------------------


def test_summary_of_a_residual_network() -> None:
    model = models.resnet18()
    table = models.summary(model, (1, 3, 224, 224))
    assert table.parameters == table.trainable == PARAMETERS["resnet18"]
    assert table.multiply_adds == 1_814_073_344  # published: 1.814 G
    assert sum(row.parameters for row in table.rows) == table.parameters
    assert sum(row.multiply_adds for row in table.rows) == table.multiply_adds
    first = table.rows[0]
    assert (first.name, first.kind, first.output) == ("conv1", "Conv2d", (1, 64, 112, 112))
    assert first.multiply_adds == 64 * 112 * 112 * 3 * 7 * 7
    stored = 4 * table.parameters
    assert stored < table.inference_bytes < stored + 10 * 2**20
    assert 2 * stored + 20 * 2**20 < table.training_bytes < 2 * stored + 50 * 2**20
    text = str(table)
    assert "11,689,512 parameters, 11,689,512 of them trainable" in text
    assert "1,814,073,344 multiply-adds" in text
    assert "memory: inference 5" in text
    assert model.training


def test_summary_of_a_transformer() -> None:
    model = tiny_transformer()
    for p in model.conv_proj.parameters():
        p.requires_grad_(False)
    table = models.summary(model, (2, 3, 32, 32))
    tokens, width = 17, 32
    attention = 4 * tokens * width * width + 2 * tokens * tokens * width
    perceptron = 2 * tokens * width * 64
    expected = 16 * width * 3 * 64 + 2 * (attention + perceptron) + width * 5
    assert table.multiply_adds == 2 * expected
    rows = {row.name: row for row in table.rows}
    name = "encoder.layers.encoder_layer_0.self_attention"
    assert rows[name].multiply_adds == 2 * attention
    assert rows[name].output == (2, tokens, width)
    assert sum(row.parameters for row in table.rows) == table.parameters
    assert table.parameters - table.trainable == sum(
        math.prod(p.shape) for p in model.conv_proj.parameters()
    )
    assert rows["encoder"].parameters == tokens * width  # the places
