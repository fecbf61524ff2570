"""Files that list faces and their points: Flambeau's own, 300-W's, WFLW's and COCO's.

Flambeau's list file has one face a line, numbers separated by blanks or commas, a path with blanks in double
quotes, `#` before a comment:

    image-path x1 y1 x2 y2  px1 py1 px2 py2 … px21 py21

Coordinates are image pixels measured from the top left corner of the image, so that the first pixel covers 0 to 1
and its centre is 0.5. The 21 points are those of `POINT_NAMES`. The other formats are turned into these coordinates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.vision.datasets.coco import CocoAnnotations
from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError, SampleError
from flambeau.vision.datasets.face_points import POINTS_OF_68

_IMAGE_SUFFIXES = (".jpg", ".png", ".jpeg", ".bmp", ".JPG", ".PNG")
#: Numbers before the image's name in a line of WFLW: 98 points, a box, six attributes.
_WFLW_NUMBERS = 2 * 98 + 4 + 6

Box = tuple[float, float, float, float]
OnError = Callable[[SampleError], None]


@dataclass(frozen=True, eq=False)
class Face:
    """One annotated face: its image file, box (x1, y1, x2, y2) and points (n, 2) in image
    pixels."""

    path: Path
    box: Box
    points: np.ndarray
    #: Where the annotation was read, as `faces.txt:17`, for messages.
    source: str


def read_face_list(
    list_file: str | os.PathLike[str],
    root: str | os.PathLike[str] = ".",
    n_points: int = 21,
    on_error: OnError | None = None,
) -> list[Face]:
    """The faces of a list file, the image paths taken from `root`; the format is the module's.

    Raises `SampleError` with the file, the line and what is wrong with it. `on_error`, where
    given, is called with that error instead, and the line is left out.
    """
    return _collect(
        (
            partial(_parse_line, line, f"{list_file}:{number}", Path(root), n_points)
            for number, line in _lines(list_file)
            if not line.lstrip().startswith("#")
        ),
        on_error,
    )


_PATH_AND_NUMBERS = re.compile(r"""\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,"]+))[\s,]*(.*)""")


def _parse_line(line: str, source: str, root: Path, n_points: int) -> Face:
    match = _PATH_AND_NUMBERS.fullmatch(line)
    if match is None:
        raise SampleError(f"{source}: a quote that is not closed, in {line.strip()[:60]!r}")
    path = match["quoted"] if match["plain"] is None else match["plain"]
    words = re.split(r"[\s,]+", match[3].strip(" \t\r\n,"))
    words = [word for word in words if word]
    wanted = 4 + 2 * n_points
    if len(words) != wanted:
        raise SampleError(
            f"{source}: {len(words)} numbers after the path, wanted {wanted}: "
            f"a box x1 y1 x2 y2 and {n_points} points x y"
        )
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise SampleError(
            f"{source}: {str(error).rpartition(':')[2].strip()} is not a number"
            " (a path with blanks must be in double quotes)"
        ) from error
    return _face(root / path, numbers[:4], numbers[4:].reshape(-1, 2), source)


def _check_numbers(box: np.ndarray, points: np.ndarray, source: str) -> None:
    if not np.isfinite(box).all():
        raise SampleError(f"{source}: the box {show_numbers(box)} has a number that is not finite")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise SampleError(
            f"{source}: point {bad[0] + 1} of {len(points)} is {show_numbers(points[bad[0]])}, "
            "not a finite position"
        )
    if box[2] <= box[0] or box[3] <= box[1]:
        raise SampleError(
            f"{source}: the box {show_numbers(box)} is empty; wanted x1 y1 x2 y2 with x1 < x2, y1 < y2"
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
        raise SampleError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise SampleError(f"{path}: not a text file in UTF-8") from error
    head, brace, body = text.partition("{")
    body, end, _ = body.partition("}")
    announced = re.search(r"n_points\s*:\s*(\d+)", head)
    if not brace or not end or announced is None:
        raise SampleError(f"{path}: not a .pts file: wanted 'n_points: N' and points in braces")
    words = body.split()
    if len(words) != 2 * int(announced[1]):
        raise SampleError(
            f"{path}: announces {announced[1]} points but holds {len(words)} numbers, "
            f"wanted {2 * int(announced[1])}"
        )
    try:
        points = np.array([float(word) for word in words]).reshape(-1, 2) - 0.5
    except ValueError as error:
        message = str(error).rpartition(":")[2].strip()
        raise SampleError(f"{path}: {message} is not a number") from error
    if n_points is not None and len(points) != n_points:
        raise SampleError(f"{path}: {len(points)} points, wanted {n_points}")
    return points


def write_pts(path: str | os.PathLike[str], points: np.ndarray) -> None:
    """Write points (n, 2) as a 300-W `.pts` file."""
    lines = [f"{x:.3f} {y:.3f}" for x, y in np.asarray(points, float) + 0.5]
    head = f"version: 1\nn_points: {len(lines)}\n"
    Path(path).write_text(head + "\n".join(["{", *lines, "}"]) + "\n", encoding="utf-8")


def read_pts_folder(
    root: str | os.PathLike[str],
    n_points: int = 21,
    on_error: OnError | None = None,
) -> list[Face]:
    """The faces of all `.pts` files under `root`, each beside an image of the same name.

    Files of 68 points are reduced to 21 by `POINTS_OF_68` where `n_points` is 21. The box is
    the smallest that holds all points of the file (before they are reduced).
    """
    paths = sorted(Path(root).rglob("*.pts"))
    return _collect((partial(_face_of_pts, path, n_points) for path in paths), on_error)


def _face_of_pts(path: Path, n_points: int) -> Face:
    points = read_pts(path)
    if not len(points):
        raise SampleError(f"{path}: no points")
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    _check_numbers(box, points, str(path))
    if n_points == 21 and len(points) == 68:
        points = points[list(POINTS_OF_68)]
    if len(points) != n_points:
        raise SampleError(f"{path}: {len(points)} points, wanted {n_points}")
    for suffix in _IMAGE_SUFFIXES:
        if path.with_suffix(suffix).is_file():
            x1, y1, x2, y2 = map(float, box)
            return Face(path.with_suffix(suffix), (x1, y1, x2, y2), points, str(path))
    raise SampleError(f"{path}: no image beside it (tried {', '.join(_IMAGE_SUFFIXES)})")


def read_wflw(
    list_file: str | os.PathLike[str],
    root: str | os.PathLike[str] = ".",
    on_error: OnError | None = None,
) -> list[Face]:
    """The faces of an annotation list of WFLW, as `list_98pt_rect_attr_test.txt`; image names taken from `root`.

    A line holds 98 points x y, a box x1 y1 x2 y2, six attributes of 0 or 1 and the image's name. Errors as in
    `read_face_list`. Source: the data set's README (W. Wu et al., 2018).
    """
    return _collect(
        (
            partial(_parse_wflw, line, f"{list_file}:{number}", Path(root))
            for number, line in _lines(list_file)
        ),
        on_error,
    )


def read_coco_keypoints(
    file: str | os.PathLike[str],
    root: str | os.PathLike[str] = ".",
    n_points: int = 17,
    on_error: OnError | None = None,
) -> list[Face]:
    """The instances with key points of a COCO file, as `person_keypoints_val2017.json`.

    Key points are `x y v` in whole pixels from 0, so 0.5 is added to get to the pixels' centres. Crowds, and
    instances of which no point is labelled, are left out; one with some points labelled (v > 0) and others not is an
    error, as in `read_face_list`.
    """
    coco = CocoAnnotations(file)
    found = (
        annotation
        for annotation in coco.anns.values()
        if not annotation.get("iscrowd") and _has_labels(annotation.get("keypoints", []))
    )
    return _collect(
        (
            partial(
                _face_of_coco,
                annotation,
                f"{file}: annotation {annotation['id']}",
                Path(root, coco.imgs[annotation["image_id"]]["file_name"]),
                n_points,
            )
            for annotation in found
        ),
        on_error,
    )


def _has_labels(keypoints: Any) -> bool:
    """Whether any point of a list x y v … is labelled; what is no list is left to `_face_of_coco` to refuse."""
    return any(keypoints[2::3]) if isinstance(keypoints, list) else True


def _parse_wflw(line: str, source: str, root: Path) -> Face:
    words = line.split(maxsplit=_WFLW_NUMBERS)
    if len(words) != _WFLW_NUMBERS + 1:
        raise SampleError(
            f"{source}: {len(words)} words, wanted {_WFLW_NUMBERS + 1}: 98 points x y, a box x1 y1 x2 y2, "
            "six attributes, the image's name"
        )
    numbers = _numbers(words[:_WFLW_NUMBERS], source)
    return _face(root / words[-1].strip(), numbers[196:200], numbers[:196].reshape(98, 2), source)


def _face_of_coco(annotation: dict[str, Any], source: str, image: Path, n_points: int) -> Face:
    try:
        points = np.array(annotation["keypoints"], float).reshape(-1, 3)
        x, y, width, height = map(float, annotation["bbox"])
    except (KeyError, TypeError, ValueError) as error:
        raise SampleError(
            f"{source}: wanted 'keypoints' x y v … and 'bbox' x y width height ({error})"
        ) from error
    if len(points) != n_points:
        raise SampleError(f"{source}: {len(points)} key points, wanted {n_points}")
    unknown = np.flatnonzero(points[:, 2] == 0)
    if len(unknown):
        raise SampleError(f"{source}: point {unknown[0] + 1} of {n_points} is not labelled (v = 0)")
    return _face(image, np.array([x, y, x + width, y + height]), points[:, :2] + 0.5, source)


# --- What the formats share


def _lines(file: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise DatasetNotFoundError(
                f"{file}: no such list of faces; it belongs beside the pictures, a line for each face. `flambeau demo` "
                "renders faces into data/faces; the folders of your own are data.train.args.root and those of "
                "data.validation and data.test"
            ) from error
        raise DatasetNotFoundError(f"{file}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not a text file in UTF-8 (byte {error.start}: {error.reason})"
        ) from error
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _collect(readers: Iterable[Callable[[], Face]], on_error: OnError | None) -> list[Face]:
    """The faces that can be read; errors go to `on_error` where there is one."""
    faces = []
    for read in readers:
        try:
            faces.append(read())
        except SampleError as error:
            if on_error is None:
                raise
            on_error(error)
    return faces


def _numbers(words: list[str], source: str) -> np.ndarray:
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise SampleError(
            f"{source}: {str(error).rpartition(':')[2].strip()} is not a number"
        ) from error


def _face(path: Path, box: np.ndarray, points: np.ndarray, source: str) -> Face:
    _check_numbers(box, points, source)
    x1, y1, x2, y2 = map(float, box)
    return Face(path, (x1, y1, x2, y2), points, source)


def show_numbers(numbers: Iterable[float]) -> str:
    """Numbers in brackets, for messages."""
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"
