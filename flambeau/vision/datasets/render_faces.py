"""Faces that nobody has: parametric heads drawn to JPEG files, with their 21 true points.

A random head with random features (`face_shapes`) is painted from back to front (`face_painting`) and lit
(`face_light`), then photographed. The points of a face are the ends and middles of the very curves that are painted.

`render_faces` writes a data set for `FaceKeypoints`; `render_face` makes one face in memory.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from flambeau.vision.datasets.face_files import Face, read_face_list, write_face_list
from flambeau.vision.datasets.face_painting import Paint
from flambeau.vision.datasets.face_shapes import (
    key_points,
    random_box,
    random_features,
    random_head,
)


class Rendered(NamedTuple):
    """A picture, the box of the face (x1, y1, x2, y2) and its points (21, 2), in pixels."""

    image: Image.Image
    box: tuple[float, float, float, float]
    points: np.ndarray


def render_face(seed: int, index: int = 0, size: tuple[int, int] = (160, 200)) -> Rendered:
    """Face number `index` of those with this seed; the picture's sides are within `size`.

    The same numbers give the same face; faces of other seeds or indices are independent of it.
    """
    rng = np.random.default_rng([seed, index])
    width, height = (int(side) for side in rng.integers(size[0], size[1] + 1, 2))
    features = random_features(rng)
    head = random_head(rng, features, width, height)
    points = key_points(head, features)
    colors = Paint(rng, head, features, width, height).paint()
    image = _develop(rng, colors)
    return Rendered(image, random_box(rng, points, width, height), points)


def render_faces(
    root: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    *,
    size: tuple[int, int] = (160, 200),
    list_name: str = "faces.txt",
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write `count` faces as `root/images/*.jpg` and `root/faces.txt`; returns that list's
    path.

    The faces depend on `seed`, `count`-th by `count`-th, not on the number of `workers`
    (processes). The list is written last, under its name only when complete: where it exists,
    all images do. `progress` is called now and then with the number of faces done.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if seed < 0:
        raise ValueError(f"seed must not be negative: {seed}")
    root = Path(root)
    (root / "images").mkdir(parents=True, exist_ok=True)
    report = progress or (lambda done: None)
    if workers > 1 and count >= 4 * workers:
        faces = _render_in_processes(root, count, seed, size, workers, report)
    else:
        faces = _render_range(root, range(count), seed, size, report)
    unfinished = root / f".{list_name}.unfinished"
    write_face_list(unfinished, faces)
    os.replace(unfinished, root / list_name)
    return root / list_name


def _render_range(
    root: Path,
    indices: range,
    seed: int,
    size: tuple[int, int],
    report: Callable[[int], None],
) -> list[Face]:
    faces = []
    for done, index in enumerate(indices, start=1):
        rendered = render_face(seed, index, size)
        path = Path("images", f"{seed}-{index:06d}.jpg")
        quality = 70 + (index * 7) % 26
        encoded = io.BytesIO()
        rendered.image.save(encoded, "JPEG", quality=quality)
        (root / path).write_bytes(encoded.getvalue())
        faces.append(Face(path, rendered.box, rendered.points, str(path)))
        if done % 50 == 0 or done == len(indices):
            report(done)
    return faces


def _render_in_processes(
    root: Path,
    count: int,
    seed: int,
    size: tuple[int, int],
    workers: int,
    report: Callable[[int], None],
) -> list[Face]:
    """The same faces from several interpreters, each with an equal share of the indices.

    New interpreters rather than `multiprocessing`, which would run the caller's script once
    more.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search_path}
    bounds = np.linspace(0, count, workers + 1).astype(int)
    parts = [root / f".part-{worker}.txt" for worker in range(workers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import _render_part; _render_part()"]
            + [str(part), str(root), *map(str, (start, stop, seed, *size))],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for part, start, stop in zip(parts, bounds, bounds[1:], strict=False)
    ]
    try:
        done = [0] * workers
        for worker, process in enumerate(processes):
            assert process.stdout is not None
            for line in process.stdout:
                done[worker] = int(line)
                # The others advance alike; what they have told is read when their turn comes.
                report(
                    min(count, sum(done[: worker + 1]) + done[worker] * (workers - worker - 1))
                )
            if process.wait() != 0:
                raise RuntimeError(
                    f"a rendering process ended with status {process.returncode}"
                )
        return [face for part in parts for face in read_face_list(part)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for part in parts:
            part.unlink(missing_ok=True)


def _render_part() -> None:
    """What each process of `_render_in_processes` runs; it prints how many faces are done."""
    part, root, *numbers = sys.argv[1:]
    start, stop, seed, smallest, largest = (int(number) for number in numbers)
    faces = _render_range(
        Path(root),
        range(start, stop),
        seed,
        (smallest, largest),
        lambda done: print(done, flush=True),
    )
    write_face_list(part, faces)


# --- The camera


def _develop(rng: np.random.Generator, colors: np.ndarray) -> Image.Image:
    """A photograph of the lit colours: exposure, contrast, blur, noise, sometimes without
    colour."""
    exposure, contrast = rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.15)
    colors = (colors * np.float32(exposure) - 120) * np.float32(contrast) + 120
    noise = rng.uniform(0, 7) ** 2 / 7
    grain = rng.standard_normal(colors.shape[:2], dtype=np.float32) * np.float32(noise)
    blur = rng.uniform(0, 1.6) if rng.random() < 0.4 else 0.0
    if blur > 0.4:
        sharp = Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))
        colors = np.asarray(sharp.filter(ImageFilter.BoxBlur(blur)), np.float32)
    image = Image.fromarray(np.clip(colors + grain[..., None], 0, 255).astype(np.uint8))
    return image.convert("L").convert("RGB") if rng.random() < 0.1 else image
