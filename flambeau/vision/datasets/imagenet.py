"""ImageNet 2012 (ILSVRC), from its published archives."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.folder import ImageFolder
from flambeau.vision.datasets.matlab import read_mat
from flambeau.vision.datasets.published import Published, check_published, unpack

_SITE = "https://image-net.org/data/ILSVRC/2012/"
#: The archives that `ImageNet` reads.
ARCHIVES = {
    "train": Published(_SITE + "ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": Published(_SITE + "ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": Published(_SITE + "ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
#: What the development kit says, kept in `root`: classes by WordNet id, and the ids of the validation images.
META_FILE = "meta.bin"


class ImageNet(ImageFolder):
    """The 1,000 classes of ILSVRC 2012, from `root/train` or `root/val`; see `ImageFolder`.

    Where these folders or `root/meta.bin` are missing, they are made from the archives in `root` (`ARCHIVES`), which takes
    a while. `wnids` are the classes' WordNet ids, `wnid_to_idx` their numbers, `classes` the tuples of names of each class,
    `class_to_idx` the number of each name.

    Args:
        root: the folder of the archives.
        split: `"train"` or `"val"`.
        kwargs: `transform`, `target_transform`, `loader`, as of `ImageFolder`.

    Raises:
        ValueError: for another split.
        DatasetNotFoundError: (a `RuntimeError`) for archives that are missing or not the published ones.
    """

    def __init__(self, root: str | os.PathLike[str], split: str = "train", **kwargs: Any) -> None:
        if split not in ("train", "val"):
            raise ValueError(
                f"Unknown value '{split}' for argument split. Valid values are {{'train', 'val'}}."
            )
        self.split = split
        self.root = os.path.expanduser(root)
        self.parse_archives()
        names, _ = load_meta_file(self.root)
        super().__init__(self.split_folder, **kwargs)
        self.root = os.path.expanduser(root)
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        if unknown := [wnid for wnid in self.wnids if wnid not in names]:
            raise DataError(
                f"{self.split_folder}: {unknown[0]} is not the WordNet id of a class, as {next(iter(names))}"
            )
        self.classes = [names[wnid] for wnid in self.wnids]  # type: ignore[misc]
        self.class_to_idx = {name: number for number, several in enumerate(self.classes) for name in several}

    def parse_archives(self) -> None:
        """Make what is missing from the archives."""
        if not Path(self.folder, META_FILE).is_file():
            parse_devkit_archive(self.folder)
        if not Path(self.split_folder).is_dir():
            (parse_train_archive if self.split == "train" else parse_val_archive)(self.folder)

    @property
    def split_folder(self) -> str:
        """The folder of the images."""
        return os.path.join(self.folder, self.split)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


def load_meta_file(
    root: str | os.PathLike[str], file: str | None = None
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The names of the classes by WordNet id, and the id of each validation image, from `root/meta.bin`.

    Raises:
        DatasetNotFoundError: if it is missing.
    """
    from flambeau import load

    path = Path(root, file or META_FILE)
    if not path.is_file():
        raise DatasetNotFoundError(
            f"The meta file {path} is not present in the root directory or is corrupted. "
            "This file is automatically created by the ImageNet dataset."
        )
    return load(path, weights_only=True)


def parse_devkit_archive(root: str | os.PathLike[str], file: str | None = None) -> None:
    """Write `root/meta.bin` from the development kit."""
    from flambeau import save

    archive = _archive(root, "devkit", file)
    with tempfile.TemporaryDirectory() as folder:
        unpack(archive, Path(folder), "ImageNet")
        data = Path(folder, "ILSVRC2012_devkit_t12", "data")
        try:
            synsets = read_mat(data / "meta.mat")["synsets"]
            truth = (data / "ILSVRC2012_validation_ground_truth.txt").read_text().split()
        except (FileNotFoundError, KeyError) as error:
            raise DataError(f"{archive}: not the development kit ({error} is missing)") from error
    # Synsets with children are groups of classes.
    leaves = [synset for synset in synsets if not synset["num_children"].item()]
    wnids = {int(leaf["ILSVRC2012_ID"].item()): leaf["WNID"] for leaf in leaves}
    names = {leaf["WNID"]: tuple(leaf["words"].split(", ")) for leaf in leaves}
    save((names, [wnids[int(number)] for number in truth]), Path(root, META_FILE))


def parse_train_archive(
    root: str | os.PathLike[str], file: str | None = None, folder: str = "train"
) -> None:
    """Unpack the training images, an archive of an archive for each class."""
    archive = _archive(root, "train", file)
    with _Finished(Path(root, folder)) as target:
        unpack(archive, target, "ImageNet")
        for inner in sorted(target.glob("*.tar")):
            unpack(inner, inner.with_suffix(""), "ImageNet")
            inner.unlink()


def parse_val_archive(
    root: str | os.PathLike[str],
    file: str | None = None,
    wnids: list[str] | None = None,
    folder: str = "val",
) -> None:
    """Unpack the validation images, each into the folder of its class; `wnids` are from `meta.bin` by default."""
    archive = _archive(root, "val", file)
    classes = load_meta_file(root)[1] if wnids is None else wnids
    with _Finished(Path(root, folder)) as target:
        unpack(archive, target, "ImageNet")
        images = sorted(path for path in target.iterdir() if path.is_file())
        if len(images) != len(classes):
            raise DataError(f"{archive}: {len(images)} images, but {len(classes)} classes of images are known")
        for image, wnid in zip(images, classes, strict=True):
            (target / wnid).mkdir(exist_ok=True)
            image.rename(target / wnid / image.name)


def _archive(root: str | os.PathLike[str], part: str, file: str | None) -> Path:
    published = ARCHIVES[part]
    path = Path(root, file or published.name)
    check_published(
        path,
        published.md5,
        "ImageNet",
        f"It needs an account at https://image-net.org: fetch\n  {published}\nand put it into {path.parent}",
    )
    return path


class _Finished:
    """A folder that takes its name once all is in it, so that an interrupted run leaves no half of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder.with_name(folder.name + ".unpacking")

    def __enter__(self) -> Path:
        shutil.rmtree(self.work, ignore_errors=True)
        return self.work

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.work.rename(self.folder)
        else:
            shutil.rmtree(self.work, ignore_errors=True)
