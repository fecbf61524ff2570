"""Image files as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flambeau
from flambeau.vision import io

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_channels_are_those_of_the_file(mode: str, channels: int, tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS).convert(mode)
    picture.save(tmp_path / "a.png")
    found = io.read_image(tmp_path / "a.png")
    assert found.dtype == flambeau.uint8 and found.shape == (channels, 5, 7)
    np.testing.assert_array_equal(found.permute(1, 2, 0).squeeze(-1).numpy(), np.asarray(picture))


@pytest.mark.parametrize(("mode", "pillow"), [("GRAY", "L"), ("gray_alpha", "LA"), ("rgb", "RGB"), (io.ImageReadMode.RGB_ALPHA, "RGBA")])
def test_channels_as_wished(mode: io.Mode, pillow: str, tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS)
    picture.save(tmp_path / "a.png")
    expected = np.asarray(picture.convert(pillow)).reshape(5, 7, -1)
    for found in (io.read_image(str(tmp_path / "a.png"), mode), io.decode_image(tmp_path / "a.png", mode)):
        np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_other_kinds_of_files(tmp_path: Path) -> None:
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = io.read_image(tmp_path / "deep.png")
    assert found.dtype == flambeau.uint16
    np.testing.assert_array_equal(found[0].numpy(), deep)
    np.testing.assert_array_equal(io.read_image(tmp_path / "deep.png", "GRAY")[0].numpy(), deep >> 8)
    Image.fromarray(PIXELS[..., :3]).convert("P").save(tmp_path / "palette.png")
    assert io.read_image(tmp_path / "palette.png").shape == (3, 5, 7)
    Image.fromarray(PIXELS[..., 0] > 99).save(tmp_path / "bits.png")
    assert set(np.unique(io.read_image(tmp_path / "bits.png").numpy())) <= {0, 255}
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "inks.jpg")
    assert io.read_image(tmp_path / "inks.jpg").shape == (3, 5, 7)


def test_turned_as_the_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png", exif=exif)
    assert io.read_image(tmp_path / "a.png").shape == (3, 5, 7)
    turned = io.read_image(tmp_path / "a.png", apply_exif_orientation=True)
    np.testing.assert_array_equal(turned.permute(1, 2, 0).numpy(), np.rot90(PIXELS[..., :3], -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_written_and_read_again(channels: int, tmp_path: Path) -> None:
    image = flambeau.from_numpy(np.ascontiguousarray(PIXELS[..., :channels].transpose(2, 0, 1)))
    io.write_png(image, tmp_path / "a.png", compression_level=9)
    assert (io.read_image(tmp_path / "a.png") == image).all()
    assert (io.decode_png(io.encode_png(image)) == image).all()
    io.write_jpeg(image, str(tmp_path / "a.jpg"), quality=100)
    assert io.decode_jpeg(io.read_file(tmp_path / "a.jpg")).shape == image.shape
    smooth = flambeau.full((channels, 16, 16), 120, dtype=flambeau.uint8)
    assert (io.decode_jpeg(io.encode_jpeg(smooth)).int() - 120).abs().max() <= 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: io.read_image("nowhere.png"), RuntimeError, "No such file or directory: 'nowhere.png'"),
        (lambda: io.decode_image(flambeau.ones(9, dtype=flambeau.uint8)), RuntimeError, "the 9 bytes are no image"),
        (lambda: io.decode_jpeg(io.encode_png(flambeau.ones(1, 2, 2, dtype=flambeau.uint8))), RuntimeError, "no JPEG"),
        (lambda: io.decode_image(flambeau.ones(9)), RuntimeError, "Expected a torch.uint8 tensor, got torch.float32"),
        (lambda: io.decode_image(flambeau.ones(1, 9, dtype=flambeau.uint8)), RuntimeError, "Expected a 1-dimensional"),
        (lambda: io.decode_image(flambeau.ones(9, dtype=flambeau.uint8), "CMYK"), ValueError, "Unknown mode: 'CMYK'"),
        (lambda: io.encode_png(flambeau.ones(2, 3, 3, dtype=flambeau.uint8)), RuntimeError, "channels should be 1 or 3, got: 2"),
        (lambda: io.encode_png(flambeau.ones(1, 3, 3, dtype=flambeau.uint8), 10), RuntimeError, "between 0 and 9"),
        (lambda: io.encode_jpeg(flambeau.ones(1, 3, 3, dtype=flambeau.uint8), 0), ValueError, "between 1 and 100"),
        (lambda: io.read_video, NotImplementedError, "videos are not read"),
        (lambda: io.decode_gif, NotImplementedError, "decode_image reads"),
    ],
    ids=["missing", "no image", "png for jpeg", "dtype", "rank", "mode", "channels", "level", "quality", "video", "gif"],
)  # fmt: skip
def test_what_is_refused(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()  # type: ignore[operator]


def test_a_damaged_file(tmp_path: Path) -> None:
    Image.fromarray(np.tile(PIXELS[..., :3], (9, 9, 1))).save(tmp_path / "a.jpg")
    data = io.read_file(tmp_path / "a.jpg")
    with pytest.raises(RuntimeError, match="no image that can be read"):
        io.decode_image(data[: len(data) // 2])
