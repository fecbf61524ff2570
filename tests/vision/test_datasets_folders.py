"""Folders of classes, noise, and what every data set says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flambeau
from flambeau.vision.datasets import DatasetFolder, FakeData, ImageFolder
from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.folder import (
    default_loader,
    find_classes,
    has_file_allowed_extension,
    is_image_file,
    make_dataset,
)
from flambeau.vision.datasets.vision import StandardTransform, VisionDataset


class Named:
    """A transform with a `repr` of several lines."""

    def __call__(self, value: object) -> object:
        return value, "seen"

    def __repr__(self) -> str:
        return "Named(\n    inside\n)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat/a.png", "cat/more/b.JPG", "dog/c.png", "dog/notes.txt")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("L", (4, 3), 10 * number).save(path)
    return tmp_path


def test_image_folder(root: Path) -> None:
    data = ImageFolder(str(root))
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1}
    names = [str(root / name) for name in ("cat/a.png", "cat/more/b.JPG", "dog/c.png")]
    assert data.samples == data.imgs == list(zip(names, [0, 0, 1], strict=True))
    assert data.targets == [0, 0, 1] and len(data) == 3
    image, label = data[2]
    assert image.mode == "RGB" and image.size == (4, 3) and label == 1
    assert image.getpixel((0, 0)) == (20, 20, 20)


def test_what_it_says_of_itself(root: Path) -> None:
    data = ImageFolder(str(root), transform=Named(), target_transform=Named())
    assert data[0][1] == (0, "seen")
    # The second and third line of a transform stand under its first.
    assert repr(data) == (
        "Dataset ImageFolder\n"
        "    Number of datapoints: 3\n"
        f"    Root location: {root}\n"
        "    StandardTransform\n"
        "Transform: Named(\n"
        "               inside\n"
        "           )\n"
        "Target transform: Named(\n"
        "                      inside\n"
        "                  )"
    )
    assert isinstance(data.transforms, StandardTransform) and data.root == str(root)
    data.transform = None
    assert data[0][0].size == (4, 3)


def test_transforms_of_both(root: Path) -> None:
    class Both(VisionDataset):
        def __getitem__(self, index: int) -> tuple[object, object]:
            return self._apply(1, 2)

        def __len__(self) -> int:
            return 1

    assert Both(root, transforms=lambda image, target: (target, image))[0] == (2, 1)
    assert Both(root, target_transform=lambda target: -target)[0] == (1, -2)
    assert Both().root is None and repr(Both()) == "Dataset Both\n    Number of datapoints: 1"
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        Both(root, transforms=lambda image, target: (image, target), transform=abs)


def test_other_files_and_other_loaders(root: Path) -> None:
    texts = DatasetFolder(root, lambda path: Path(path).read_text(), (".txt",), allow_empty=True)
    assert texts.samples == [(str(root / "dog" / "notes.txt"), 1)] and texts[0] == ("no image", 1)
    chosen = ImageFolder(root, is_valid_file=lambda path: path.endswith(("a.png", "c.png")))
    assert [Path(path).name for path, _ in chosen.samples] == ["a.png", "c.png"]
    assert make_dataset(root, {"dog": 7}, ".png") == [(str(root / "dog" / "c.png"), 7)]
    assert has_file_allowed_extension("A.PNG", (".jpg", ".png")) and not is_image_file("a.txt")


def test_wrong_folders(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes cat. Supported extensions are: .txt"):
        make_dataset(root, extensions=(".txt",))
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder in"):
        find_classes(root / "cat" / "more")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder") as caught:
        ImageFolder(root / "nowhere")
    assert isinstance(caught.value, DataError)
    with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
        make_dataset(root)
    with pytest.raises(ValueError, match="must have at least one entry"):
        make_dataset(root, {}, ".png")
    (root / "dog" / "bad.png").write_text("no image")
    with pytest.raises(OSError, match="bad.png: not an image file") as caught_image:
        ImageFolder(root)[2]
    assert isinstance(caught_image.value, DataError)
    without = ImageFolder(root, skip_bad=True)
    assert len(without) == 3 and len(without.problems) == 1 and "bad.png" in without.problems[0]
    assert without.targets == [0, 0, 1] and without.imgs is without.samples
    with pytest.raises(OSError, match="gone.png: no such image file"):
        default_loader(root / "gone.png")


def test_fake_data() -> None:
    data = FakeData(size=3, image_size=(3, 5, 4), num_classes=4, random_offset=2)
    state = flambeau.get_rng_state()
    image, label = data[1]
    assert (flambeau.get_rng_state() == state).all()
    assert image.size == (4, 5) and image.mode == "RGB" and type(label) is int and 0 <= label < 4
    generator = flambeau.Generator().manual_seed(3)
    noise = flambeau.randn(3, 5, 4, generator=generator).numpy() * 255
    np.testing.assert_array_equal(np.asarray(image), np.trunc(noise).astype(int).transpose(1, 2, 0) % 256)
    assert label == flambeau.randint(0, 4, (1,), generator=generator).item()
    assert FakeData(1, (1, 3, 3))[0][0].mode == "L"
    with pytest.raises(IndexError, match="FakeData index out of range"):
        data[3]
    assert repr(data) == "Dataset FakeData\n    Number of datapoints: 3"


def test_links_are_followed_but_not_in_circles(root: Path) -> None:
    (root / "dog" / "circle").symlink_to(root / "dog", target_is_directory=True)
    (root / "dog" / "cats").symlink_to(root / "cat", target_is_directory=True)
    found = [Path(path).relative_to(root).as_posix() for path, _ in ImageFolder(root).samples]
    assert found == ["cat/a.png", "cat/more/b.JPG", "dog/c.png", "dog/cats/a.png", "dog/cats/more/b.JPG"]


def test_brightness_of_other_depths(tmp_path: Path) -> None:
    """16 bits are brought to 8; what has no known range is an error."""
    wide = (np.arange(12).reshape(3, 4) * 5000).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    picture = np.asarray(default_loader(tmp_path / "wide.png"))
    np.testing.assert_array_equal(picture, np.repeat((wide >> 8)[..., None], 3, -1))
    Image.fromarray(np.ones((3, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff: numbers of 32 bits \(mode F\)"):
        default_loader(tmp_path / "float.tiff")


def test_no_folder_at_all() -> None:
    with pytest.raises(DataError, match="ImageFolder: root, the folder of its files, is not set"):
        ImageFolder(None)  # type: ignore[arg-type]
