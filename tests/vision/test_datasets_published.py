"""CIFAR, ImageNet and COCO, from small files written here in the published formats."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flambeau.vision.datasets import (
    CIFAR10,
    CIFAR100,
    CocoCaptions,
    CocoDetection,
    ImageNet,
    imagenet,
)
from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.matlab import read_mat
from flambeau.vision.datasets.published import Published, md5_of

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
NAMES = ["plane", "car", "bird"]


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch, kind: type[CIFAR10] = CIFAR10, **changes: Any) -> Path:
    """Batches of two images, with their own MD5 sums for published ones."""
    folder = root / kind.base_folder
    folder.mkdir()
    key = "labels" if kind is CIFAR10 else "fine_labels"
    for part in ("train_list", "test_list"):
        files = []
        for number, (name, _) in enumerate(getattr(kind, part)):
            batch = {"batch_label": "x", key: [number % 3, 2], "data": PIXELS[2 * number : 2 * number + 2], **changes}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
            files.append([name, md5_of(folder / name)])
        monkeypatch.setattr(kind, part, files)
    meta = folder / kind.meta["filename"]
    meta.write_bytes(pickle.dumps({kind.meta["key"]: NAMES}, protocol=2))
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5_of(meta)})
    return folder


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
def test_cifar(kind: type[CIFAR10], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tmp_path, monkeypatch, kind)
    train, test = kind(tmp_path), kind(tmp_path, train=False, download=True)
    count = 10 if kind is CIFAR10 else 2
    assert (len(train), len(test)) == (count, 2) and train.classes == NAMES
    assert train.targets == [0, 2, 1, 2, 2, 2, 0, 2, 1, 2][:count] and train.class_to_idx["bird"] == 2
    image, label = train[1]
    assert image.mode == "RGB" and image.size == (32, 32) and label == 2
    np.testing.assert_array_equal(np.asarray(image), PIXELS[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert repr(train) == (
        f"Dataset {kind.__name__}\n    Number of datapoints: {count}\n    Root location: {tmp_path}\n    Split: Train"
    )


def test_a_batch_of_python_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published batches name NumPy's module by its old name, and their texts are bytes."""
    folder = cifar(tmp_path, monkeypatch)
    text = (folder / "test_batch").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (folder / "test_batch").write_bytes(text)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5_of(folder / "test_batch")]])
    np.testing.assert_array_equal(CIFAR10(tmp_path, train=False).data.transpose(0, 3, 1, 2).reshape(2, -1), PIXELS[:2])


def test_a_batch_can_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    cifar(tmp_path, monkeypatch, data=Evil())
    with pytest.raises(DataError, match=r"data_batch_1: cannot be read .* asks for"):
        CIFAR10(tmp_path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1]}, "data_batch_1: 2 images, but 1 labels"),
        ({"labels": [0, 3]}, "data_batch_1: labels outside 0 to 2"),
        ({"data": PIXELS[:2, :9]}, r"expected bytes of shape \(N, 3072\)"),
        ({"labels": 3}, "data_batch_1: no list 'labels'"),
    ],
    ids=["count", "range", "shape", "kind"],
)
def test_batches_that_do_not_fit(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar(tmp_path, monkeypatch, **changes)
    with pytest.raises(DataError, match=message):
        CIFAR10(tmp_path)


def test_cifar_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError) as caught:
        CIFAR10(tmp_path, download=True)
    for part in (CIFAR10.url, CIFAR10.tgz_md5, str(tmp_path), "does not download"):
        assert part in str(caught.value)
    folder = cifar(tmp_path, monkeypatch)
    path = folder / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="data_batch_3 is damaged or not the published file"):
        CIFAR10(tmp_path)
    assert len(CIFAR10(tmp_path, train=False)) == 2


def test_cifar_from_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    folder = cifar(tmp_path / "made", monkeypatch)
    archive = tmp_path / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as files:
        files.add(folder, CIFAR10.base_folder)
    with pytest.raises(RuntimeError, match="give download=True to unpack it"):
        CIFAR10(tmp_path)
    with pytest.raises(RuntimeError, match="is damaged or not the published file"):
        CIFAR10(tmp_path, download=True)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5_of(archive))
    assert len(CIFAR10(tmp_path, download=True)) == 10 == len(CIFAR10(tmp_path))


def test_matlab_files(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    synsets = np.array(
        [(1, "n01", "cat, puss", 0), (2, "n02", "Köter", 3)],
        dtype=[("ID", "O"), ("WNID", "O"), ("words", "O"), ("children", "O")],
    )
    cell = np.array(["a", 2.5], dtype=object)
    grid = np.arange(6, dtype=np.int16).reshape(2, 3)
    for packed in (False, True):
        path = tmp_path / f"{packed}.mat"
        scipy_io.savemat(path, {"synsets": synsets, "cell": cell, "grid": grid}, do_compression=packed)
        found = read_mat(path)
        assert [entry["WNID"] for entry in found["synsets"]] == ["n01", "n02"]
        assert [entry["words"] for entry in found["synsets"]] == ["cat, puss", "Köter"]
        assert [entry["children"].item() for entry in found["synsets"]] == [0, 3]
        assert found["cell"][0] == "a" and found["cell"][1].item() == 2.5
        np.testing.assert_array_equal(found["grid"], grid)
        (tmp_path / "cut.mat").write_bytes(path.read_bytes()[:-30])
        with pytest.raises(DataError, match="cut.mat: damaged or cut short"):
            read_mat(tmp_path / "cut.mat")
    (tmp_path / "no.mat").write_bytes(b"no")
    with pytest.raises(DataError, match="not a MATLAB file"):
        read_mat(tmp_path / "no.mat")


def jpeg(color: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (color, color, color)).save(stream, "JPEG")
    return stream.getvalue()


def add(files: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    files.addfile(entry, io.BytesIO(content))


def imagenet_archives(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    synsets = np.array(
        [(1, "n01", "tench, Tinca tinca", 0), (2, "n02", "goldfish", 0), (3, "n00", "fish", 2)],
        dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")],
    )
    mat = io.BytesIO()
    scipy_io.savemat(mat, {"synsets": synsets})
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as files:
        add(files, "ILSVRC2012_devkit_t12/data/meta.mat", mat.getvalue())
        add(files, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", b"2\n1\n2\n")
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as files:
        for number in (3, 1, 2):
            add(files, f"ILSVRC2012_val_0000000{number}.JPEG", jpeg(10 * number))
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as files:
        for wnid in ("n01", "n02"):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as images:
                add(images, f"{wnid}_7.JPEG", jpeg(50))
            add(files, f"{wnid}.tar", inner.getvalue())
    made = {
        part: Published(published.url, md5_of(root / published.name))
        for part, published in imagenet.ARCHIVES.items()
    }
    monkeypatch.setattr(imagenet, "ARCHIVES", made)


def test_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError) as caught:
        ImageNet(tmp_path)
    for part in ("https://image-net.org", "fa75699e90414af021442c21a62c3abf", str(tmp_path)):
        assert part in str(caught.value)
    imagenet_archives(tmp_path, monkeypatch)
    validation, train = ImageNet(tmp_path, split="val"), ImageNet(str(tmp_path))
    assert validation.wnids == ["n01", "n02"] and validation.wnid_to_idx == {"n01": 0, "n02": 1}
    assert validation.classes == [("tench", "Tinca tinca"), ("goldfish",)]
    assert validation.class_to_idx == {"tench": 0, "Tinca tinca": 0, "goldfish": 1}
    shown = [(round(np.asarray(image).mean() / 10), label) for image, label in validation]
    assert shown == [(2, 0), (1, 1), (3, 1)]
    assert [Path(path).name for path, _ in train.samples] == ["n01_7.JPEG", "n02_7.JPEG"]
    assert repr(train).splitlines()[2:] == [f"    Root location: {tmp_path}", "    Split: train"]
    for archive in tmp_path.glob("*.tar*"):
        archive.unlink()
    assert len(ImageNet(tmp_path)) == 2  # what was unpacked is enough
    with pytest.raises(ValueError, match="Unknown value 'test' for argument split"):
        ImageNet(tmp_path, "test")


def test_an_interrupted_unpacking_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imagenet_archives(tmp_path, monkeypatch)
    path = tmp_path / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:2000])
    made = {**imagenet.ARCHIVES, "train": Published("x/ILSVRC2012_img_train.tar", md5_of(path))}
    monkeypatch.setattr(imagenet, "ARCHIVES", made)
    with pytest.raises(DataError, match="cannot be unpacked"):
        ImageNet(tmp_path)
    assert not list(tmp_path.glob("train*"))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    Image.new("L", (8, 6), 90).save(tmp_path / "b.png")
    Image.new("RGB", (5, 4), "red").save(tmp_path / "a.png")
    content = {
        "images": [{"id": 9, "file_name": "b.png"}, {"id": 4, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "cup"}],
        "annotations": [
            {"id": 70, "image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 0, "caption": "one"},
            {"id": 71, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1, "caption": "two"},
        ],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    return tmp_path


def test_coco(coco: Path) -> None:
    data = CocoDetection(coco, coco / "all.json")
    assert data.ids == [4, 9] and len(data) == 2
    image, target = data[1]
    assert image.mode == "RGB" and image.size == (8, 6)
    assert [annotation["id"] for annotation in target] == [70, 71] and data[0][1] == []
    assert CocoCaptions(str(coco), str(coco / "all.json"), target_transform=len)[1][1] == 2
    assert CocoCaptions(coco, coco / "all.json")[1][1] == ["one", "two"]
    both = CocoDetection(coco, coco / "all.json", transforms=lambda image, target: (image.size, len(target)))
    assert both[0] == ((5, 4), 0)
    assert repr(data).startswith("Dataset CocoDetection\n    Number of datapoints: 2")
    with pytest.raises(ValueError, match="Index must be of type integer"):
        data["a"]  # type: ignore[index]


def test_queries_of_annotations(coco: Path) -> None:
    found = CocoDetection(coco, coco / "all.json").coco
    assert found.getAnnIds() == [70, 71] and found.getAnnIds(imgIds=4) == []
    assert found.getAnnIds(catIds=[1]) == [71] == found.getAnnIds(imgIds=[9], iscrowd=True)
    assert found.getCatIds(catNms="cup") == [2] and found.getCatIds(supNms=["animal"]) == [1]
    assert found.getImgIds(catIds=[1, 2]) == [9] and found.getImgIds() == [4, 9]
    assert found.loadCats(1)[0]["name"] == "cat" and found.loadImgs([4])[0]["file_name"] == "a.png"
    with pytest.raises(NotImplementedError, match="annToMask"):
        found.annToMask({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "holds a list"),
        ('{"info": 1}', "no list 'images', as a COCO file has; it has 'info'"),
        ('{"images": [{"id": 1}], "annotations": []}', r"images\[0\] has no 'file_name'"),
        ('{"images": [], "annotations": [{"id": 1, "image_id": 2}]}', "annotation 1 is of image 2"),
        ('{"images": [{"id": 1, "file_name": 3}], "annotations": []}', r"images\[0\]: 'file_name' is of type int"),
    ],
    ids=["json", "kind", "images", "entry", "image", "name"],
)
def test_wrong_annotations(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(text)
    with pytest.raises(DataError, match=f"all.json: {message}"):
        CocoDetection(tmp_path, tmp_path / "all.json")


def test_missing_annotations_and_captions(coco: Path) -> None:
    with pytest.raises(RuntimeError, match="no such file of annotations"):
        CocoDetection(coco, coco / "none.json")
    content = json.loads((coco / "all.json").read_text())
    del content["annotations"][1]["caption"]
    (coco / "all.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="annotation 71 has no 'caption'"):
        CocoCaptions(coco, coco / "all.json")[1]


def test_damaged_matlab_files_give_one_kind_of_error(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    synsets = np.array([(1, "n01", "cat, puss")], dtype=[("ID", "O"), ("WNID", "O"), ("words", "O")])
    stream = io.BytesIO()
    scipy_io.savemat(stream, {"synsets": synsets, "grid": np.arange(5.0)})
    whole, rng = np.frombuffer(stream.getvalue(), np.uint8), np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = whole.copy()
        places = rng.integers(128, len(whole), rng.integers(1, 6))
        damaged[places] = rng.integers(0, 256, len(places))
        (tmp_path / "a.mat").write_bytes(damaged.tobytes())
        try:
            read_mat(tmp_path / "a.mat")
        except DataError:
            refused += 1
    assert refused > 50
