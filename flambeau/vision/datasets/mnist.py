"""MNIST and two sets in its format, from files on disk: torchvision's classes and arguments."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.idx import read_idx
from flambeau.vision.datasets.published import Published, fetch_yourself, md5_of
from flambeau.vision.datasets.vision import Transform, VisionDataset


class MNIST(VisionDataset):
    """The MNIST digits (LeCun, Cortes, Burges), 28x28, from `root/MNIST/raw`.

    That folder holds the four IDX files under their published names, compressed (`.gz`) or not.
    As in torchvision, a sample is a PIL image of mode "L" (or what `transform` makes of it) and
    an `int`.

    `images` (bytes, N x 28 x 28) and `labels` (N) are the NumPy arrays; `data` and `targets`
    are the same as tensors. Nothing is ever downloaded: `DatasetNotFoundError` says what to
    fetch and where to put it, also with `download=True`, which is accepted and does nothing
    where the files exist.
    """

    #: Where the files can be had.
    mirror = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    #: The published files and their MD5 sums.
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes: ClassVar[list[str]] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

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
        part = "train" if train else "t10k"
        images_file = self._find(f"{part}-images-idx3-ubyte")
        labels_file = self._find(f"{part}-labels-idx1-ubyte")
        self.images = read_idx(images_file, ndim=3)
        self.labels = read_idx(labels_file, ndim=1).astype(np.int64)
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{images_file} holds {len(self.images)} images, "
                f"but {labels_file} {len(self.labels)} labels"
            )
        if self.images.dtype != np.uint8:
            raise DataError(
                f"{images_file}: the pixels are {self.images.dtype}, expected bytes"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(
            self.classes
        ):
            raise DataError(f"{labels_file}: labels outside 0 to {len(self.classes) - 1}")

    @property
    def raw_folder(self) -> str:
        """The folder that holds the files: `root/NAME-OF-THE-CLASS/raw`."""
        return str(self.folder / type(self).__name__ / "raw")

    @property
    def data(self) -> Any:
        """The images as a tensor of bytes, N x 28 x 28."""
        from flambeau import from_numpy

        return from_numpy(self.images)

    @property
    def targets(self) -> Any:
        """The labels as a tensor of int64."""
        from flambeau import from_numpy

        return from_numpy(self.labels)

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._apply(Image.fromarray(self.images[index]), int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.images)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _find(self, name: str) -> Path:
        """The path of a file, plain or compressed; the latter is checked by its MD5 sum."""
        plain, packed = Path(self.raw_folder, name), Path(self.raw_folder, name + ".gz")
        if plain.is_file():
            return plain
        if packed.is_file():
            published = dict(self.resources)[packed.name]
            found = md5_of(packed)
            if found != published:
                warnings.warn(
                    f"{packed} is not the published file of {type(self).__name__} "
                    f"(MD5 {found}, published {published})",
                    stacklevel=3,
                )
            return packed
        files = [Published(self.mirror + file, md5) for file, md5 in self.resources]
        raise DatasetNotFoundError(
            f"{type(self).__name__}: {plain} is missing (also with .gz). "
            + fetch_yourself(files, self.raw_folder)
        )


class FashionMNIST(MNIST):
    """Zalando's clothes (Xiao et al. 2017), from `root/FashionMNIST/raw`; see `MNIST`."""

    mirror = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes: ClassVar[list[str]] = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Cursive Japanese (Clanuwat et al. 2018), from `root/KMNIST/raw`; see `MNIST`."""

    mirror = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
