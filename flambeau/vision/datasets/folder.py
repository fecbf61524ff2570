"""A folder with a folder of images for each class: torchvision's `ImageFolder` and what it is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from flambeau.vision.datasets.errors import MissingFilesError, SampleError
from flambeau.vision.datasets.images import open_rgb
from flambeau.vision.datasets.vision import Transform, VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

Check = Callable[[str], bool]


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether a file's name ends in one of these, in small letters or capitals."""
    return filename.lower().endswith(extensions if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Whether a file's name is that of an image (`IMG_EXTENSIONS`)."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in a folder, sorted, and the number of each.

    Raises:
        FileNotFoundError: if there is no such folder, or no folder in it.
    """
    if not os.path.isdir(directory):
        raise MissingFilesError(f"{directory}: no such folder; it should hold a folder of images for each class")
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise MissingFilesError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Check | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """The files of the classes' folders, and what lies below them, in order: `(path, number of the class)`.

    Args:
        directory: the folder of the classes' folders.
        class_to_idx: the classes' numbers; those of `find_classes` by default.
        extensions: how the names of the wanted files end; or
        is_valid_file: what says of a path whether it is wanted. One of the two.
        allow_empty: accept classes without files.

    Raises:
        ValueError: without classes, or with none or both of `extensions` and `is_valid_file`.
        FileNotFoundError: for classes without files.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("Both extensions and is_valid_file cannot be None or not None at the same time")

    samples: list[tuple[str, int]] = []
    empty = []
    for name in sorted(class_to_idx):
        before = len(samples)
        for folder, files in sorted(_walk(os.path.join(directory, name))):
            for path in (os.path.join(folder, file) for file in sorted(files)):
                if is_valid_file(path) if extensions is None else has_file_allowed_extension(path, extensions):  # type: ignore[misc]
                    samples.append((path, class_to_idx[name]))
        if len(samples) == before:
            empty.append(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            shown = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {shown}"
        raise MissingFilesError(f"{message} (in {directory})")
    return samples


def _walk(directory: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder with its files, links followed, except one that leads back to a folder above it."""
    for folder, below, files in os.walk(directory, followlinks=True):
        here = os.path.realpath(folder)
        targets = {name: os.path.realpath(os.path.join(folder, name)) for name in below}
        below[:] = [name for name, target in targets.items() if not f"{here}{os.sep}".startswith(f"{target}{os.sep}")]
        yield folder, files


def pil_loader(path: str | os.PathLike[str]) -> Image.Image:
    """The image of a file in colour. `OSError` (`ImageFileError`) names a file that cannot be read."""
    return open_rgb(path)


def default_loader(path: str | os.PathLike[str]) -> Image.Image:
    """`pil_loader`."""
    return open_rgb(path)


class DatasetFolder(VisionDataset):
    """Files in folders, one for each class: `root/class/…/file`.

    A sample is what `loader` makes of the file, and the class's number; the classes are numbered by name. `classes`
    and `class_to_idx` tell them, `samples` the `(path, number)` of each sample, `targets` the numbers alone.

    Args:
        root: the folder of the classes' folders.
        loader: opens a file.
        extensions, is_valid_file, allow_empty: see `make_dataset`.
        transform, target_transform: see `VisionDataset`.
        skip_bad: open every file at once; leave out those that `loader` refuses with a `SampleError`, as images that are
            damaged, and tell of them in `problems` (Flambeau's own).

    Raises:
        FileNotFoundError: without classes, or without files in one of them.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        is_valid_file: Check | None = None,
        allow_empty: bool = False,
        *,
        skip_bad: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self.extensions = extensions
        self.classes, self.class_to_idx = self.find_classes(self.folder)
        self.samples = self.make_dataset(
            self.folder, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        #: The message of each file that was left out.
        self.problems: list[str] = []
        if skip_bad:
            self.samples = [sample for sample in self.samples if self._loads(sample[0])]
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: str | os.PathLike[str],
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Check | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """`make_dataset`; for subclasses that choose the files otherwise."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """`find_classes`; for subclasses that take classes otherwise."""
        return find_classes(directory)

    def _loads(self, path: str) -> bool:
        try:
            self.loader(path)
        except SampleError as error:
            self.problems.append(str(error))
            return False
        return True

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._apply(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in folders, one for each class: `root/class/…/image.png`; see `DatasetFolder`.

    A sample is a PIL image of mode "RGB" (or what `transform` makes of it) and the class's number. `imgs` is another
    name for `samples`. Without `is_valid_file`, files whose names end in one of `IMG_EXTENSIONS` are taken.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Check | None = None,
        allow_empty: bool = False,
        *,
        skip_bad: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty,
            skip_bad=skip_bad,
        )  # fmt: skip
        self.imgs = self.samples
