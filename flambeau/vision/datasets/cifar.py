"""CIFAR-10 and CIFAR-100, from the pickled batches that their makers publish."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.published import (
    Published,
    check_published,
    fetch_yourself,
    unpack,
)
from flambeau.vision.datasets.vision import Transform, VisionDataset


class CIFAR10(VisionDataset):
    """CIFAR-10 (Krizhevsky 2009): 32x32 images in colour of ten classes, from `root/cifar-10-batches-py`.

    A sample is a PIL image of mode "RGB" (or what `transform` makes of it) and an `int`. `data` are the images
    (bytes, N x 32 x 32 x 3), `targets` the list of labels, `classes` their names.

    Args:
        root: the folder that holds the unpacked folder or the published archive.
        train: the 50,000 images for training, or the 10,000 others.
        transform, target_transform: see `VisionDataset`.
        download: unpack the archive if need be. Nothing is downloaded.

    Raises:
        DatasetNotFoundError: (a `RuntimeError`) for files that are missing or have not the published MD5 sum.
        DataError: for a batch that cannot be read.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    #: Names and MD5 sums of the batches.
    train_list: ClassVar[list[Any]] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[list[Any]] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        batches = [self._read(name, md5) for name, md5 in (self.train_list if train else self.test_list)]
        images = [_images(batch, path) for path, batch in batches]
        #: Bytes, N x 32 x 32 x 3.
        self.data: np.ndarray = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        path, meta = self._read(self.meta["filename"], self.meta["md5"])
        self.classes: list[str] = _entry(meta, path, self.meta["key"])
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.targets: list[int] = []
        for (path, batch), part in zip(batches, images, strict=True):
            labels = _entry(batch, path, "labels" if "labels" in batch else "fine_labels")
            if len(labels) != len(part):
                raise DataError(f"{path}: {len(part)} images, but {len(labels)} labels")
            if len(labels) and not 0 <= min(labels) <= max(labels) < len(self.classes):
                raise DataError(f"{path}: labels outside 0 to {len(self.classes) - 1}")
            self.targets.extend(labels)

    def download(self) -> None:
        """Unpack the archive in `root`, unless the folder is there. Nothing is downloaded."""
        if not (self.folder / self.base_folder).is_dir():
            archive = self.folder / self.filename
            check_published(archive, self.tgz_md5, type(self).__name__, self._remedy())
            unpack(archive, self.folder, type(self).__name__)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._apply(Image.fromarray(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _remedy(self) -> str:
        archive = Published(self.url, self.tgz_md5)
        return fetch_yourself([archive], self.folder) + "; download=True then unpacks it"

    def _read(self, name: str, md5: str) -> tuple[Path, dict[str, Any]]:
        path = self.folder / self.base_folder / name
        if not path.is_file() and (self.folder / self.filename).is_file():
            raise DatasetNotFoundError(
                f"{type(self).__name__}: {path} is missing, but {self.folder / self.filename} is there: "
                "give download=True to unpack it (nothing is downloaded)"
            )
        check_published(path, md5, type(self).__name__, self._remedy())
        try:
            batch = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        except Exception as error:  # a damaged pickle can end in any error
            raise DataError(f"{path}: cannot be read as a batch of CIFAR ({error})") from error
        if not isinstance(batch, dict):
            raise DataError(f"{path}: holds a {type(batch).__name__}, expected a dictionary")
        return path, batch


class CIFAR100(CIFAR10):
    """CIFAR-100: a hundred classes, from `root/cifar-100-python`; see `CIFAR10`."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[list[Any]] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[list[Any]] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[dict[str, str]] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, texts, numbers and arrays, and runs no code that a file names.

    A pickle can call any function it names; only those that arrays are made with are found here. NumPy's module has
    had two names since the batches were written.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.ndarray.__reduce__(np.zeros(0))[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # bytes, in pickles written by Python 3
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")


def _entry(content: dict[str, Any], path: Path, key: str) -> list[Any]:
    found = content.get(key)
    if not isinstance(found, list):
        raise DataError(f"{path}: no list '{key}'; it has {', '.join(map(repr, content))}")
    return found


def _images(batch: dict[str, Any], path: Path) -> np.ndarray:
    data = batch.get("data")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        what = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{path}: 'data' is {what}, expected bytes of shape (N, 3072)")
    return data
