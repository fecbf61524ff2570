"""Faces with key points, from a list file or from 300-W `.pts` files.

A list file has one face a line, numbers separated by blanks or commas, a path with blanks in
double quotes, `#` before a comment:

    image-path x1 y1 x2 y2  px1 py1 px2 py2 … px21 py21

Coordinates are image pixels measured from the top left corner of the image, so that the first
pixel covers 0 to 1 and its centre is 0.5. The 21 points are those of `POINT_NAMES`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from flambeau.vision.datasets.augment import random_move, sample_generator, warp
from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.vision import Transform, VisionDataset

#: The 21 points in their order. Left and right are those of the picture, not of the person.
POINT_NAMES = (
    "left brow, outer end",
    "left brow, middle",
    "left brow, inner end",
    "right brow, inner end",
    "right brow, middle",
    "right brow, outer end",
    "left eye, outer corner",
    "left eye, inner corner",
    "right eye, inner corner",
    "right eye, outer corner",
    "nose, tip",
    "nose, left wing",
    "nose, base",
    "nose, right wing",
    "mouth, left corner",
    "upper lip, upper edge",
    "mouth, right corner",
    "lower lip, lower edge",
    "upper lip, lower edge",
    "lower lip, upper edge",
    "chin",
)
#: Pairs of points that change places when a face is mirrored; the others stay.
FLIP_PAIRS = ((0, 5), (1, 4), (2, 3), (6, 9), (7, 8), (11, 13), (14, 16))
#: The corners of the left and of the right eye; the mean of two corners is the eye's centre.
EYE_CORNERS = ((6, 7), (8, 9))

#: For each of the 21 points its number (from 0) in the 68-point scheme of 300-W and Multi-PIE
#: (C. Sagonas et al., "300 Faces In-the-Wild Challenge", 2016, figure 1, which counts from 1).
POINTS_OF_68 = (
    *(17, 19, 21, 22, 24, 26),  # brows
    *(36, 39, 42, 45),  # eye corners
    *(30, 31, 33, 35),  # nose
    *(48, 51, 54, 57, 62, 66),  # mouth
    8,  # chin
)
#: The same for the pairs and eyes of all 68 points.
FLIP_PAIRS_68 = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)),
)
EYE_CORNERS_68 = ((36, 39), (42, 45))

_IMAGE_SUFFIXES = (".jpg", ".png", ".jpeg", ".bmp", ".JPG", ".PNG")
#: How many pixels a box may reach over the image's border: annotators' rounding.
_BOX_TOLERANCE = 1.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Face:
    """One annotated face: its image file, box (x1, y1, x2, y2) and points (n, 2) in image
    pixels."""

    path: Path
    box: Box
    points: np.ndarray
    #: Where the annotation was read, as `faces.txt:17`, for messages.
    source: str


class Crop(NamedTuple):
    """The part of an image that is cut out, in image pixels, and the map of points onto it.

    Points on a crop are measured in half crop widths and heights from its centre: -1 is the
    left or upper edge, 1 the right or lower one, whatever size the crop is resized to. So they
    are centred, of one size for all faces, and nearly all within ±1: what a network learns well
    with MSE.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def around(cls, box: Sequence[float], widen: float) -> Crop:
        """The box with `widen` of its width (height) added at either side (above and below)."""
        x1, y1, x2, y2 = box
        dx, dy = widen * (x2 - x1), widen * (y2 - y1)
        return cls(x1 - dx, y1 - dy, x2 - x1 + 2 * dx, y2 - y1 + 2 * dy)

    def widened(self, ratio: float) -> Crop:
        """A crop with `ratio` of this one's width and height added on each side."""
        return Crop.around(
            (self.left, self.top, self.left + self.width, self.top + self.height), ratio
        )

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points (…, 2) in image pixels as points on the crop, ±1 at its edges."""
        return (points - (self.left, self.top)) * (2 / self.width, 2 / self.height) - 1

    def to_image_pixels(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_crop`."""
        return (np.asarray(points) + 1) * (self.width / 2, self.height / 2) + (
            self.left,
            self.top,
        )

    def cut(self, image: Image.Image, size: int) -> Image.Image:
        """This part of the image, resized to size x size; black where it reaches outside."""
        left, top = int(np.floor(self.left)), int(np.floor(self.top))
        right = int(np.ceil(self.left + self.width))
        bottom = int(np.ceil(self.top + self.height))
        region = (
            self.left - left,
            self.top - top,
            min(self.left - left + self.width, right - left),
            min(self.top - top + self.height, bottom - top),
        )
        whole_pixels = image.crop((left, top, right, bottom))
        return whole_pixels.resize((size, size), Image.Resampling.BILINEAR, box=region)


def read_face_list(
    list_file: str | os.PathLike[str],
    root: str | os.PathLike[str] = ".",
    n_points: int = 21,
    on_error: Callable[[DataError], None] | None = None,
) -> list[Face]:
    """The faces of a list file, the image paths taken from `root`; the format is the module's.

    Raises `DataError` with the file, the line and what is wrong with it. `on_error`, where
    given, is called with that error instead, and the line is left out.
    """
    try:
        lines = Path(list_file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetNotFoundError(
            f"{list_file}: cannot be read ({error.strerror or error})"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{list_file}: not a text file in UTF-8 (byte {error.start}: {error.reason})"
        ) from error
    faces = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            faces.append(_parse_line(line, f"{list_file}:{number}", Path(root), n_points))
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
    return faces


_PATH_AND_NUMBERS = re.compile(r"""\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,"]+))[\s,]*(.*)""")


def _parse_line(line: str, source: str, root: Path, n_points: int) -> Face:
    match = _PATH_AND_NUMBERS.fullmatch(line)
    if match is None:
        raise DataError(f"{source}: a quote that is not closed, in {line.strip()[:60]!r}")
    path = match["quoted"] if match["plain"] is None else match["plain"]
    words = re.split(r"[\s,]+", match[3].strip(" \t\r\n,"))
    words = [word for word in words if word]
    wanted = 4 + 2 * n_points
    if len(words) != wanted:
        raise DataError(
            f"{source}: {len(words)} numbers after the path, wanted {wanted}: "
            f"a box x1 y1 x2 y2 and {n_points} points x y"
        )
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise DataError(
            f"{source}: {str(error).rpartition(':')[2].strip()} is not a number"
            " (a path with blanks must be in double quotes)"
        ) from error
    points = numbers[4:].reshape(-1, 2)
    _check_numbers(numbers[:4], points, source)
    x1, y1, x2, y2 = map(float, numbers[:4])
    return Face(root / path, (x1, y1, x2, y2), points, source)


def _check_numbers(box: np.ndarray, points: np.ndarray, source: str) -> None:
    if not np.isfinite(box).all():
        raise DataError(f"{source}: the box {_show(box)} has a number that is not finite")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise DataError(
            f"{source}: point {bad[0] + 1} of {len(points)} is {_show(points[bad[0]])}, "
            "not a finite position"
        )
    if box[2] <= box[0] or box[3] <= box[1]:
        raise DataError(
            f"{source}: the box {_show(box)} is empty; wanted x1 y1 x2 y2 with x1 < x2, y1 < y2"
        )


def write_face_list(list_file: str | os.PathLike[str], faces: Iterable[Face]) -> None:
    """Write a list file that `read_face_list` reads; the faces' paths are written as they
    are."""
    lines = []
    for face in faces:
        path = face.path.as_posix()
        quoted = f'"{path}"' if re.search(r"[\s,]", path) else path
        numbers = (*face.box, *face.points.ravel())
        lines.append(" ".join([quoted, *(f"{number:.2f}" for number in numbers)]))
    Path(list_file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_pts(path: str | os.PathLike[str], n_points: int | None = None) -> np.ndarray:
    """The points (n, 2) of a 300-W `.pts` file, of any number unless `n_points` says how many.

    The file has `version: 1`, `n_points: N`, then N lines `x y` in braces. Its coordinates
    count pixel centres from 1, as Matlab does, so 0.5 is subtracted to get to those of this
    module.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8") from error
    head, brace, body = text.partition("{")
    body, end, _ = body.partition("}")
    announced = re.search(r"n_points\s*:\s*(\d+)", head)
    if not brace or not end or announced is None:
        raise DataError(f"{path}: not a .pts file: wanted 'n_points: N' and points in braces")
    words = body.split()
    if len(words) != 2 * int(announced[1]):
        raise DataError(
            f"{path}: announces {announced[1]} points but holds {len(words)} numbers, "
            f"wanted {2 * int(announced[1])}"
        )
    try:
        points = np.array([float(word) for word in words]).reshape(-1, 2) - 0.5
    except ValueError as error:
        message = str(error).rpartition(":")[2].strip()
        raise DataError(f"{path}: {message} is not a number") from error
    if n_points is not None and len(points) != n_points:
        raise DataError(f"{path}: {len(points)} points, wanted {n_points}")
    return points


def write_pts(path: str | os.PathLike[str], points: np.ndarray) -> None:
    """Write points (n, 2) as a 300-W `.pts` file."""
    lines = [f"{x:.3f} {y:.3f}" for x, y in np.asarray(points, float) + 0.5]
    head = f"version: 1\nn_points: {len(lines)}\n"
    Path(path).write_text(head + "\n".join(["{", *lines, "}"]) + "\n", encoding="utf-8")


def read_pts_folder(
    root: str | os.PathLike[str],
    n_points: int = 21,
    on_error: Callable[[DataError], None] | None = None,
) -> list[Face]:
    """The faces of all `.pts` files under `root`, each beside an image of the same name.

    Files of 68 points are reduced to 21 by `POINTS_OF_68` where `n_points` is 21. The box is
    the smallest that holds all points of the file (before they are reduced).
    """
    faces = []
    for path in sorted(Path(root).rglob("*.pts")):
        try:
            faces.append(_face_of_pts(path, n_points))
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
    return faces


def _face_of_pts(path: Path, n_points: int) -> Face:
    points = read_pts(path)
    if not len(points):
        raise DataError(f"{path}: no points")
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    _check_numbers(box, points, str(path))
    if n_points == 21 and len(points) == 68:
        points = points[list(POINTS_OF_68)]
    if len(points) != n_points:
        raise DataError(f"{path}: {len(points)} points, wanted {n_points}")
    for suffix in _IMAGE_SUFFIXES:
        if path.with_suffix(suffix).is_file():
            x1, y1, x2, y2 = map(float, box)
            return Face(path.with_suffix(suffix), (x1, y1, x2, y2), points, str(path))
    raise DataError(f"{path}: no image beside it (tried {', '.join(_IMAGE_SUFFIXES)})")


def open_grey(path: str | os.PathLike[str]) -> Image.Image:
    """The image of a file in shades of grey, wholly decoded; `DataError` names a bad file."""
    try:
        with Image.open(path) as image:
            # JPEG files hold the grey image as such: the decoder need not make colours of it.
            image.draft("L", image.size)
            return image.convert("L")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {_why_unreadable(path, error)}") from error


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The width and height that a file's header tells; `DataError` names a bad file."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {_why_unreadable(path, error)}") from error


def _why_unreadable(path: str | os.PathLike[str], error: Exception) -> str:
    if isinstance(error, PermissionError | IsADirectoryError):
        return f"cannot be read ({error.strerror})"
    if Path(path).stat().st_size == 0:
        return "an empty file, not an image"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image file of a known format"
    return f"a damaged or truncated image ({error})"


def standardize(crops: np.ndarray) -> np.ndarray:
    """Grey crops (…, H, W) as float32 with mean 0 and standard deviation 1 each.

    So neither the light nor the contrast of a picture matters. An even crop gives zeros.
    """
    pixels = crops.astype(np.float32)
    pixels -= pixels.mean(axis=(-2, -1), keepdims=True)
    spread = np.sqrt(np.square(pixels).mean(axis=(-2, -1), keepdims=True))
    return pixels / np.maximum(spread, np.float32(1.0))


def eye_distance(
    points: np.ndarray, eyes: tuple[tuple[int, int], tuple[int, int]] = EYE_CORNERS
) -> np.ndarray:
    """The distance between the centres of the two eyes of faces with points (…, n, 2)."""
    left, right = (points[..., list(corners), :].mean(axis=-2) for corners in eyes)
    return np.linalg.norm(right - left, axis=-1)


@dataclass(frozen=True)
class FaceAugment:
    """Random mirroring, turning, scaling, shifting of a crop and its points.

    `rotate` is the largest angle in degrees, `scale` and `shift` are the largest change of the
    size and of the place as fractions of the crop; `flip` and `warp` are the shares of samples
    that are mirrored and that are turned, scaled and shifted. Light and contrast are left
    alone: `standardize` removes them again.

    The same generator state always gives the same result; nothing else is random.
    """

    flip: float = 0.5
    warp: float = 1.0
    rotate: float = 15.0
    scale: float = 0.1
    shift: float = 0.06
    flip_pairs: tuple[tuple[int, int], ...] = FLIP_PAIRS

    def __call__(
        self, crop: np.ndarray, points: np.ndarray, size: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A sample of size x size from a crop of the same or a larger size and the same centre.

        `crop` is of bytes, (S, S) with S >= size; what lies outside the middle size x size
        pixels is only seen where the sample is turned or shifted there. `points` (n, 2) are
        measured on that middle, ±1 at its edges, and so are the points returned.
        """
        # All numbers are drawn always, so that one option does not change what another one
        # draws.
        flip, moves, *numbers = rng.random(6)
        if moves < self.warp:
            matrix, offset = random_move(np.array(numbers), self.rotate, self.scale, self.shift)
            points = points @ matrix.T + offset
            crop = warp(crop, matrix, offset, size)
        else:
            margin = (len(crop) - size) // 2
            crop = crop[margin : margin + size, margin : margin + size]
        if flip < self.flip:
            crop, points = crop[:, ::-1], flip_points(points, self.flip_pairs)
        return crop, points


def flip_points(
    points: np.ndarray, flip_pairs: Sequence[tuple[int, int]] = FLIP_PAIRS
) -> np.ndarray:
    """Points (…, n, 2) on a crop after it was mirrored; left and right points change names."""
    order = np.arange(points.shape[-2])
    for left, right in flip_pairs:
        order[[left, right]] = order[[right, left]]
    return points[..., order, :] * (-1, 1)


class FaceKeypoints(VisionDataset):
    """Grey face crops and their points, from `list_file` or, without one, `.pts` files under
    `root`.

    A sample is the crop, float32 of shape (1, size, size), mean 0, standard deviation 1, and
    the points x1 y1 x2 y2 … on it, float32 of shape (2 * n_points,), -1 and 1 at the crop's
    edges (see `Crop`). A `transform` is called with the crop as a PIL image of mode "L" and
    takes the place of the normalisation; `target_transform` with the points.

    * `list_file` is looked for in `root`, and image paths are relative to `root`.
    * `widen`: what is added to the box on each side, as a share of its width and height.
    * `skip_bad`: faces that cannot be used are left out, counted in `skipped` and explained in
      `problems`, instead of ending in a `DataError`. Every image is then decoded once at the
      start.
    * `augment`: a `FaceAugment`. What it does to sample i depends on `seed`, the epoch told to
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
        n_points: int = 21,
        augment: FaceAugment | None = None,
        seed: int = 0,
        cache: bool = False,
        eyes: tuple[tuple[int, int], tuple[int, int]] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if widen < 0 or size < 1:
            raise ValueError(f"widen must be at least 0 and size at least 1: {widen}, {size}")
        self.widen, self.size, self.n_points = widen, size, n_points
        self.augment, self.seed, self.epoch = augment, seed, 0
        self.eyes = eyes or (EYE_CORNERS_68 if n_points == 68 else EYE_CORNERS)
        self.skip_bad = skip_bad
        #: The message of each face that was left out.
        self.problems: list[str] = []
        on_error = self._skip if skip_bad else None

        self.list_file = None if list_file is None else self.folder / Path(list_file).expanduser()
        if self.list_file is not None:
            found = read_face_list(self.list_file, self.folder, n_points, on_error)
        elif self.folder.is_dir():
            found = read_pts_folder(self.folder, n_points, on_error)
        else:
            raise DatasetNotFoundError(f"{self.root}: no such folder")

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
            except DataError as error:
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
            self.augment(
                crop, target, self.size, sample_generator(self.seed, self.epoch, place)
            )
            for crop, target, place in zip(crops, points, places, strict=True)
        ]
        return np.stack([crop for crop, _ in samples]), np.stack(
            [point for _, point in samples]
        )

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

    def _read(self, face: Face) -> np.ndarray:
        """A face's crop with its margin, as bytes."""
        crop = Crop.around(face.box, self.widen).widened(self._margin / self.size)
        return np.asarray(crop.cut(open_grey(face.path), self.size + 2 * self._margin))

    def _check_image(self, face: Face) -> None:
        width, height = image_size(face.path)
        x1, y1, x2, y2 = face.box
        if min(x1, y1, width - x2, height - y2) < -_BOX_TOLERANCE:
            raise DataError(
                f"{face.source}: the box {_show(face.box)} reaches outside {face.path}, "
                f"an image of {width} x {height} pixels"
            )

    def _skip(self, error: DataError) -> None:
        self.problems.append(str(error))

    def _why_empty(self) -> str:
        where = self.list_file or f"{self.root}: no .pts files, which"
        if not self.problems:
            return f"{where}: holds no faces"
        return (
            f"{where}: none of {self.skipped} faces can be used; the first: {self.problems[0]}"
        )


def _show(numbers: Iterable[float]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"
