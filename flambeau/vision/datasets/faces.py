"""Face crops and their key points as a data set, with what is random about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flambeau.vision.datasets.augment import sample_generator
from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError, SampleError
from flambeau.vision.datasets.face_augment import FaceAugment, Transformed, change_sample
from flambeau.vision.datasets.face_crops import Crop, standardize
from flambeau.vision.datasets.face_files import (
    Face,
    OnError,
    read_coco_keypoints,
    read_face_list,
    read_pts_folder,
    read_wflw,
    show_numbers,
)
from flambeau.vision.datasets.face_points import EYES_OF, Eyes, eye_distance
from flambeau.vision.datasets.images import image_size, open_grey
from flambeau.vision.datasets.vision import Transform, VisionDataset

#: How many pixels a box may reach over the image's border: annotators' rounding.
_BOX_TOLERANCE = 1.0
_FORMATS = ("list", "pts", "wflw", "coco")


def _format_of(list_file: Path | None) -> str:
    """The format that the name of the list file lets expect."""
    if list_file is None:
        return "pts"
    return "coco" if list_file.suffix == ".json" else "list"


class FaceKeypoints(VisionDataset):
    """Grey face crops and their points, from `list_file` or, without one, `.pts` files under
    `root`, in one of four formats.

    A sample is the crop, float32 of shape (1, size, size), mean 0, standard deviation 1, and
    the points x1 y1 x2 y2 … on it, float32 of shape (2 * n_points,), -1 and 1 at the crop's
    edges (see `Crop`). A `transform` is called with the crop as a PIL image of mode "L" and
    takes the place of the normalisation; `target_transform` with the points.

    * `list_file` is looked for in `root`, and image paths are relative to `root`.
    * `format`: `"list"` (Flambeau's, see `face_files`), `"pts"` (300-W), `"wflw"` or `"coco"` (key points); by
      default `"pts"` without a list file, `"coco"` with one that ends in `.json`, else `"list"`.
    * `n_points`: how many points a face has; 98 in WFLW, 17 in COCO, else 21 by default.
    * `eyes`: the points of the left and of the right eye, by which errors are measured; by default those of the scheme of
      `n_points` points, where it is known.
    * `widen`: what is added to the box on each side, as a share of its width and height.
    * `skip_bad`: faces that cannot be used are left out, counted in `skipped` and explained in
      `problems`, instead of ending in a `SampleError`. Every image is then decoded once at the
      start.
    * `augment`: a `FaceAugment`, or a transform of `flambeau.vision.transforms`, which is given the crop with its points
      (see `change_sample`). What it does to sample i depends on `seed`, the epoch told to
      `set_epoch` and i alone: not on the order of reading nor on the worker, so a resumed run
      sees the same samples.
    * `cache`: keep the decoded crops in memory, as bytes.

    `faces` holds the annotations (path, box, points in image pixels) and `crops` the crops'
    places.
    """

    #: How much wider a crop is cut where augmentation may turn its surroundings into view.
    CONTEXT = 0.125

    def __init__(
        self,
        root: str | os.PathLike[str],
        list_file: str | os.PathLike[str] | None = None,
        widen: float = 0.25,
        size: int = 112,
        skip_bad: bool = False,
        *,
        n_points: int | None = None,
        format: str | None = None,
        augment: FaceAugment | Transformed | None = None,
        seed: int = 0,
        cache: bool = False,
        eyes: Eyes | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if widen < 0 or size < 1:
            raise ValueError(f"widen must be at least 0 and size at least 1: {widen}, {size}")
        self.list_file = None if list_file is None else self.folder / Path(list_file).expanduser()
        #: Which of the formats the annotations have.
        self.format = format or _format_of(self.list_file)
        self.n_points = n_points or {"wflw": 98, "coco": 17}.get(self.format, 21)
        self.widen, self.size = widen, size
        self.augment, self.seed, self.epoch = augment, seed, 0
        self.eyes = eyes or EYES_OF.get(self.n_points)
        self.skip_bad = skip_bad
        #: The message of each face that was left out.
        self.problems: list[str] = []
        found = self._find(self._skip if skip_bad else None)

        #: Extra pixels around the crops that are kept for augmentation.
        self._margin = 0 if augment is None else round(size * self.CONTEXT)
        self.faces: list[Face] = []
        pixels: list[np.ndarray] = []
        for face in found:
            try:
                self._check_image(face)
                if cache or skip_bad:
                    crop = self._read(face)
                    if cache:
                        pixels.append(crop)
            except SampleError as error:
                if not skip_bad:
                    raise
                self._skip(error)
            else:
                self.faces.append(face)
        if not self.faces:
            raise DataError(self._why_empty())
        self.crops = [Crop.around(face.box, widen) for face in self.faces]
        self._targets = np.stack(
            [
                crop.to_crop(face.points)
                for crop, face in zip(self.crops, self.faces, strict=True)
            ]
        )
        self._cached = np.stack(pixels) if cache else None

    @property
    def skipped(self) -> int:
        """How many faces were left out because of `skip_bad`."""
        return len(self.problems)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, so that augmentation differs from epoch to epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """The samples of a whole batch, which is faster than one by one; `DataLoader` calls
        it."""
        crops, points = self.raw_batch(indices)
        targets = points.reshape(len(points), -1).astype(np.float32)
        images: Iterable[Any]
        if self.transform is not None:
            images = [Image.fromarray(crop) for crop in crops]
        else:
            images = standardize(crops)[:, None]
        return [
            self._apply(image, target) for image, target in zip(images, targets, strict=True)
        ]

    def raw_batch(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Crops as bytes (n, size, size), augmented, and their points (n, n_points, 2)."""
        places = [
            range(len(self))[index] for index in indices
        ]  # negative ones count from the end
        if self._cached is not None:
            crops: Sequence[np.ndarray] = self._cached[places]
        else:
            crops = [self._read(self.faces[place]) for place in places]
        points = self._targets[places]
        if self.augment is None:
            return np.stack(crops), points
        samples = [
            self._augmented(crop, target, place)
            for crop, target, place in zip(crops, points, places, strict=True)
        ]
        return np.stack([crop for crop, _ in samples]), np.stack(
            [point for _, point in samples]
        )

    def _augmented(
        self, crop: np.ndarray, points: np.ndarray, place: int
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = sample_generator(self.seed, self.epoch, place)
        if isinstance(self.augment, FaceAugment):
            return self.augment(crop, points, self.size, rng)
        assert self.augment is not None
        return change_sample(self.augment, crop, points, self.size, rng)

    def to_image_pixels(self, points: np.ndarray, index: int) -> np.ndarray:
        """Points of sample `index` (2 * n_points numbers, as a network gives) in image
        pixels."""
        return self.crops[index].to_image_pixels(np.asarray(points).reshape(-1, 2))

    def normalized_errors(
        self, predictions: np.ndarray, indices: Sequence[int] | None = None
    ) -> np.ndarray:
        """For each prediction (N, 2 * n_points) its mean error, divided by the eyes' distance.

        The distance of every predicted point from the true one is measured in image pixels;
        `indices` says which samples the predictions belong to, all in order by default.
        """
        if self.eyes is None:
            raise ValueError(f"which of {self.n_points} points are the eyes? give `eyes` to the data set")
        indices = range(len(self)) if indices is None else indices
        if len(predictions) != len(indices):
            raise ValueError(f"{len(predictions)} predictions for {len(indices)} samples")
        errors = []
        for prediction, index in zip(predictions, indices, strict=True):
            truth = self.faces[index].points
            offsets = self.to_image_pixels(prediction, index) - truth
            distance = np.linalg.norm(offsets, axis=-1).mean()
            errors.append(distance / eye_distance(truth, self.eyes))
        return np.array(errors)

    def extra_repr(self) -> str:
        lines = [f"List file: {self.list_file}"] if self.list_file else []
        lines.append(f"Points: {self.n_points}, crops: {self.size}x{self.size}")
        if self.skipped:
            lines.append(f"Skipped: {self.skipped}")
        return "\n".join(lines)

    def _find(self, on_error: OnError | None) -> list[Face]:
        """The annotated faces."""
        if self.format == "pts":
            if not self.folder.is_dir():
                raise DatasetNotFoundError(f"{self.root}: no such folder")
            return read_pts_folder(self.folder, self.n_points, on_error)
        if self.list_file is None:
            raise ValueError(f"give list_file: the format '{self.format}' has one")
        if self.format == "wflw":
            return read_wflw(self.list_file, self.folder, on_error)
        if self.format == "coco":
            return read_coco_keypoints(self.list_file, self.folder, self.n_points, on_error)
        if self.format == "list":
            return read_face_list(self.list_file, self.folder, self.n_points, on_error)
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}, not '{self.format}'")

    def _read(self, face: Face) -> np.ndarray:
        """A face's crop with its margin, as bytes."""
        crop = Crop.around(face.box, self.widen).widened(self._margin / self.size)
        return np.asarray(crop.cut(open_grey(face.path), self.size + 2 * self._margin))

    def _check_image(self, face: Face) -> None:
        width, height = image_size(face.path)
        x1, y1, x2, y2 = face.box
        if min(x1, y1, width - x2, height - y2) < -_BOX_TOLERANCE:
            raise SampleError(
                f"{face.source}: the box {show_numbers(face.box)} reaches outside {face.path}, "
                f"an image of {width} x {height} pixels"
            )

    def _skip(self, error: SampleError) -> None:
        self.problems.append(str(error))

    def _why_empty(self) -> str:
        where = self.list_file or f"{self.root}: no .pts files, which"
        if not self.problems:
            return f"{where}: holds no faces"
        return (
            f"{where}: none of {self.skipped} faces can be used; the first: {self.problems[0]}"
        )
