"""MS COCO: images with a JSON file of annotations (boxes, outlines, key points, captions)."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.images import open_rgb
from flambeau.vision.datasets.vision import Transform, VisionDataset

Ids = int | Iterable[int]
#: What entries hold that is no id.
_KINDS = {"file_name": str, "name": str}


class CocoAnnotations:
    """A file of annotations and what it says of what; the queries of `pycocotools.coco.COCO`.

    `imgs`, `anns` and `cats` hold the entries by their id, `imgToAnns` the annotations of an image, `catToImgs` the
    images of a category, `dataset` the file as it is.

    Raises:
        DatasetNotFoundError: if there is no such file.
        DataError: for a file of another format, with the place.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file).expanduser()
        self.dataset = _read_json(self.file)
        self.imgs = self._by_id("images", ("id", "file_name"))
        self.cats = self._by_id("categories", ("id", "name"), required=False)
        self.anns = self._by_id("annotations", ("id", "image_id"))
        self.imgToAnns: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.catToImgs: dict[int, list[int]] = defaultdict(list)
        for annotation in self.anns.values():
            if annotation["image_id"] not in self.imgs:
                raise DataError(
                    f"{self.file}: annotation {annotation['id']} is of image {annotation['image_id']}, "
                    "which is not in 'images'"
                )
            self.imgToAnns[annotation["image_id"]].append(annotation)
            if "category_id" in annotation:
                self.catToImgs[annotation["category_id"]].append(annotation["image_id"])

    def getAnnIds(self, imgIds: Ids = (), catIds: Ids = (), iscrowd: bool | None = None) -> list[int]:
        """The ids of the annotations of these images and categories (of all where none are named)."""
        images, categories = _listed(imgIds), set(_listed(catIds))
        found = [a for i in images for a in self.imgToAnns.get(i, [])] if images else self.anns.values()
        return [
            annotation["id"]
            for annotation in found
            if (not categories or annotation.get("category_id") in categories)
            and (iscrowd is None or bool(annotation.get("iscrowd")) == iscrowd)
        ]

    def getCatIds(self, catNms: str | Iterable[str] = (), supNms: str | Iterable[str] = ()) -> list[int]:
        """The ids of the categories of these names and of these names above them (all by default)."""
        names = {catNms} if isinstance(catNms, str) else set(catNms)
        above = {supNms} if isinstance(supNms, str) else set(supNms)
        return [
            number
            for number, category in self.cats.items()
            if (not names or category["name"] in names)
            and (not above or category.get("supercategory") in above)
        ]

    def getImgIds(self, imgIds: Ids = (), catIds: Ids = ()) -> list[int]:
        """The ids of the images that have annotations of all these categories (all by default)."""
        found = set(_listed(imgIds) or self.imgs)
        for category in _listed(catIds):
            found &= set(self.catToImgs.get(category, []))
        return sorted(found)

    def loadAnns(self, ids: Ids = ()) -> list[dict[str, Any]]:
        """The annotations of these ids."""
        return [self.anns[number] for number in _listed(ids)]

    def loadImgs(self, ids: Ids = ()) -> list[dict[str, Any]]:
        """The entries of the images of these ids."""
        return [self.imgs[number] for number in _listed(ids)]

    def loadCats(self, ids: Ids = ()) -> list[dict[str, Any]]:
        """The categories of these ids."""
        return [self.cats[number] for number in _listed(ids)]

    def annToMask(self, ann: dict[str, Any]) -> Any:
        """Not there: outlines are given as they lie in the file."""
        raise NotImplementedError("CocoAnnotations.annToMask; the outline is in annotation['segmentation']")

    def _by_id(self, name: str, keys: tuple[str, ...], required: bool = True) -> dict[int, dict[str, Any]]:
        if name not in self.dataset and not required:
            return {}
        entries = self.dataset.get(name)
        if not isinstance(entries, list):
            known = ", ".join(map(repr, self.dataset))
            raise DataError(f"{self.file}: no list '{name}', as a COCO file has; it has {known or 'nothing'}")
        for place, entry in enumerate(entries):
            for key in keys:
                if not isinstance(entry, dict) or key not in entry:
                    raise DataError(f"{self.file}: {name}[{place}] has no '{key}'")
                wanted = _KINDS.get(key, int | str)
                if not isinstance(entry[key], wanted):
                    kind = type(entry[key]).__name__
                    raise DataError(f"{self.file}: {name}[{place}]: '{key}' is of type {kind}, expected a name or a whole number")
        return {entry["id"]: entry for entry in entries}


class CocoDetection(VisionDataset):
    """COCO images with their annotations, torchvision's `CocoDetection`.

    A sample is a PIL image of mode "RGB" and the list of its annotations, dictionaries as they lie in the file. `ids`
    are the images' ids in order, `coco` answers queries.

    Args:
        root: the folder of the images.
        annFile: the file of annotations, as `instances_val2017.json`.
        transform, target_transform, transforms: see `VisionDataset`.

    Raises:
        DatasetNotFoundError: if the file is missing.
        DataError: for a file of another format.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        annFile: str | os.PathLike[str],
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self.coco = CocoAnnotations(annFile)
        self.ids = sorted(self.coco.imgs)

    def _load_image(self, id: int) -> Image.Image:
        return open_rgb(self.folder / self.coco.imgs[id]["file_name"])

    def _load_target(self, id: int) -> list[Any]:
        return list(self.coco.imgToAnns.get(id, []))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        number = self.ids[index]
        return self._apply(self._load_image(number), self._load_target(number))

    def __len__(self) -> int:
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """COCO images with the list of their captions; see `CocoDetection`."""

    def _load_target(self, id: int) -> list[str]:
        for annotation in self.coco.imgToAnns.get(id, []):
            if "caption" not in annotation:
                raise DataError(f"{self.coco.file}: annotation {annotation['id']} has no 'caption'")
        return [annotation["caption"] for annotation in super()._load_target(id)]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetNotFoundError(
            f"{path}: no such file of annotations. COCO's are in annotations_trainval2017.zip "
            "(http://images.cocodataset.org/annotations/annotations_trainval2017.zip)"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected an object with 'images'")
    return content


def _listed(ids: Ids) -> list[int]:
    return [ids] if isinstance(ids, int) else list(ids)
