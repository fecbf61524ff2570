"""Face key points: list files, `.pts` files, crops, augmentation, and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import flambeau
from flambeau.vision import transforms
from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.face_augment import FaceAugment
from flambeau.vision.datasets.face_crops import Crop, standardize
from flambeau.vision.datasets.face_files import (
    Face,
    read_coco_keypoints,
    read_face_list,
    read_pts,
    read_wflw,
    write_face_list,
    write_pts,
)
from flambeau.vision.datasets.face_points import (
    EYE_CORNERS,
    EYES_OF,
    FLIP_PAIRS,
    FLIP_PAIRS_68,
    FLIP_PAIRS_OF,
    POINT_NAMES,
    POINTS_OF_68,
    eye_distance,
    flip_points,
)
from flambeau.vision.datasets.faces import FaceKeypoints

BOX = (40.0, 30.0, 100.0, 110.0)


def spots(points, size=(160, 140)):
    """A dark picture with a bright 3x3 spot in the pixel of each point."""
    pixels = np.full((size[1], size[0]), 20, np.uint8)
    for x, y in np.floor(points).astype(int):
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 250
    return Image.fromarray(pixels)


@pytest.fixture
def points():
    """21 points within BOX, no two near each other."""
    grid = np.stack(np.meshgrid(np.linspace(46, 94, 3), np.linspace(36, 104, 7)), axis=-1)
    return np.floor(grid.reshape(-1, 2)) + 0.5


@pytest.fixture
def folder(tmp_path, points):
    """Three good faces."""
    for name in ("a.png", "b.png", "c d.png"):
        spots(points).save(tmp_path / name)
    faces = [Face(tmp_path / name, BOX, points, "") for name in ("a.png", "b.png", "c d.png")]
    relative = [Face(face.path.relative_to(tmp_path), BOX, points, "") for face in faces]
    write_face_list(tmp_path / "faces.txt", relative)
    return tmp_path


def line(path="a.png", box=BOX, points=None, count=42, separator=" "):
    numbers = [*box, *(np.full(count, 50.0) if points is None else np.ravel(points))]
    return separator.join([path, *map(str, numbers)])


def write_list(folder, *lines):
    (folder / "faces.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# --- Good input


def test_samples(folder, points):
    dataset = FaceKeypoints(folder, "faces.txt")
    assert len(dataset) == 3 and dataset.skipped == 0
    image, target = dataset[0]
    assert image.shape == (1, 112, 112) and image.dtype == np.float32
    assert target.shape == (42,) and target.dtype == np.float32
    assert abs(image.mean()) < 1e-5 and abs(image.std() - 1) < 1e-5
    assert dataset.faces[2].path.name == "c d.png" and dataset.faces[2].box == BOX
    assert dataset.faces[1].source.endswith("faces.txt:2")
    np.testing.assert_allclose(dataset.to_image_pixels(target, 0), points, atol=1e-4)
    np.testing.assert_array_equal(dataset[-1][1], dataset[2][1])
    with pytest.raises(IndexError):
        dataset[3]


def test_points_lie_where_they_are_seen(folder):
    """The bright spots of the picture are at the points of the crop."""
    crops, targets = FaceKeypoints(folder, "faces.txt").raw_batch([0])
    places = np.floor((targets[0] + 1) / 2 * 112).astype(int)
    assert (crops[0, places[:, 1], places[:, 0]] > 150).all()
    assert np.median(crops) < 40


def test_a_crop_beyond_the_border_is_padded_with_black(tmp_path, points):
    Image.new("L", (64, 64), 255).save(tmp_path / "a.png")
    write_list(tmp_path, line(box=(0, 0, 64, 64)))
    crops, _ = FaceKeypoints(tmp_path, "faces.txt", widen=0.5, size=128).raw_batch([0])
    assert (crops[0, :30] == 0).all() and (crops[0, 34:94, 34:94] == 255).all()


@pytest.mark.parametrize("separator", [" ", ",", ", ", "\t"])
def test_separators_comments_and_quotes(folder, points, separator):
    lines = ["# a comment", "", line('"c d.png"', points=points, separator=separator)]
    (face,) = read_face_list(write_list(folder, *lines) / "faces.txt", folder)
    assert face.path == folder / "c d.png" and face.box == BOX
    np.testing.assert_array_equal(face.points, points)


def test_the_list_may_come_from_windows(folder, points):
    (folder / "faces.txt").write_bytes(b"\xef\xbb\xbf" + line(points=points).encode() + b"\r\n")
    assert len(FaceKeypoints(folder, "faces.txt")) == 1


def test_colour_pictures_become_grey(folder, points):
    spots(points).convert("RGB").save(folder / "a.png")
    np.testing.assert_array_equal(*(FaceKeypoints(folder, "faces.txt")[i][0] for i in (0, 1)))


def test_cached_and_batched_samples_are_the_same(folder):
    plain = FaceKeypoints(folder, "faces.txt")
    cached = FaceKeypoints(folder, "faces.txt", cache=True)
    for one, other in zip(plain.__getitems__([2, 0]), [cached[2], cached[0]], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    (folder / "a.png").unlink()
    cached[0]


def test_transforms_get_the_crop_and_the_points(folder):
    dataset = FaceKeypoints(
        folder,
        "faces.txt",
        size=48,
        transform=lambda image: (image.mode, image.size),
        target_transform=np.shape,
    )
    assert dataset[0] == (("L", (48, 48)), (42,))
    assert "Points: 21, crops: 48x48" in repr(dataset)


def test_normalized_errors(folder, points):
    dataset = FaceKeypoints(folder, "faces.txt")
    truth = np.stack([target for _, target in dataset])
    assert dataset.normalized_errors(truth).max() < 1e-6
    moved = dataset.crops[0].to_crop(points + (3, 4)).reshape(1, 42)
    (error,) = dataset.normalized_errors(moved, [1])
    assert error == pytest.approx(5 / eye_distance(points))
    with pytest.raises(ValueError, match="1 predictions for 3 samples"):
        dataset.normalized_errors(moved)


def test_eye_distance_is_between_the_centres():
    points = np.zeros((2, 21, 2))
    points[:, [6, 7]] = [(0, 0), (4, 2)]
    points[:, [8, 9]] = [(4, 5), (6, 5)]
    np.testing.assert_allclose(eye_distance(points, EYE_CORNERS), 5)


# --- 300-W


def test_pts_files(tmp_path):
    written = np.random.default_rng(0).uniform(10, 90, (68, 2)).round(3)
    write_pts(tmp_path / "face.pts", written)
    spots(written, (120, 120)).save(tmp_path / "face.png")
    np.testing.assert_allclose(read_pts(tmp_path / "face.pts", 68), written, atol=1e-3)

    whole = FaceKeypoints(tmp_path, n_points=68)
    assert whole[0][1].shape == (136,)
    np.testing.assert_allclose(
        whole.faces[0].box, [*written.min(0), *written.max(0)], atol=1e-3
    )
    reduced = FaceKeypoints(tmp_path)
    np.testing.assert_allclose(reduced.faces[0].points, written[list(POINTS_OF_68)], atol=1e-3)
    assert reduced.faces[0].box == whole.faces[0].box


def test_pts_coordinates_count_pixel_centres_from_one(tmp_path):
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 1\n{\n1.0 2.0\n}\n")
    np.testing.assert_array_equal(read_pts(tmp_path / "a.pts"), [[0.5, 1.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "not a .pts file"),
        ("n_points: 2\n{\n1 2\n3 4\n", "not a .pts file"),
        ("n_points: 2\n{\n1 2\n3\n}", "announces 2 points but holds 3 numbers, wanted 4"),
        ("n_points: 1\n{\n1 x\n}", "'x' is not a number"),
        ("n_points: 1\n{\n1 2\n}", "1 points, wanted 68"),
    ],
)
def test_bad_pts_files(tmp_path, text, message):
    (tmp_path / "bad.pts").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_pts(tmp_path / "bad.pts", 68)
    assert "bad.pts" in str(caught.value)


def test_a_pts_file_without_its_image(tmp_path, points):
    write_pts(tmp_path / "lonely.pts", points)
    with pytest.raises(DataError, match=r"lonely\.pts: no image beside it"):
        FaceKeypoints(tmp_path)


# --- Bad input


def spoil_truncated(folder):
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])


def spoil_text(folder):
    (folder / "a.png").write_text("this is no picture")


def spoil_empty(folder):
    (folder / "a.png").write_bytes(b"")


def spoil_missing(folder):
    (folder / "a.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing, r"a\.png: no such image file"),
        (spoil_truncated, r"a\.png: a damaged or truncated image"),
        (spoil_text, r"a\.png: not an image file of a known format"),
        (spoil_empty, r"a\.png: an empty file"),
    ],
)
def test_bad_image_files(folder, spoil, message):
    spoil(folder)
    with pytest.raises(DataError, match=message):
        FaceKeypoints(folder, "faces.txt")[0]
    with pytest.raises(DataError, match=message):
        FaceKeypoints(folder, "faces.txt", cache=True)
    dataset = FaceKeypoints(folder, "faces.txt", skip_bad=True)
    assert len(dataset) == 2 and dataset.skipped == 1 and "a.png" in dataset.problems[0]
    assert "Skipped: 1" in repr(dataset)
    dataset.__getitems__([0, 1])


def test_a_truncated_jpeg(folder, points):
    spots(points).save(folder / "a.png", "JPEG")
    spoil_truncated(folder)
    with pytest.raises(DataError, match="truncated"):
        FaceKeypoints(folder, "faces.txt")[0]


NAN_POINTS = np.full((21, 2), 50.0)
NAN_POINTS[6, 1] = np.nan


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line(count=41), r"faces\.txt:2: 45 numbers after the path, wanted 46"),
        (line(count=44), r"faces\.txt:2: 48 numbers after the path, wanted 46"),
        ("a.png", r"faces\.txt:2: 0 numbers after the path"),
        (line("c d.png", count=41), r"faces\.txt:2: 'd\.png' is not a number.*double quotes"),
        ('"c d.png 1 2 3', r"faces\.txt:2: a quote that is not closed"),
        (line(points=NAN_POINTS), r"faces\.txt:2: point 7 of 21 is \(50, nan\)"),
        (line(box=(0, 0, "inf", 9)), r"faces\.txt:2: the box .* not finite"),
        (line(box=(50, 20, 40, 60)), r"faces\.txt:2: the box \(50, 20, 40, 60\) is empty"),
        (
            line(box=(40, 30, 200, 90)),
            r"faces\.txt:2: the box \(40, 30, 200, 90\) reaches outside",
        ),
        (line(box=(-9, 30, 60, 90)), r"reaches outside .*a\.png, an image of 160 x 140 pixels"),
    ],
)
def test_bad_lines(folder, bad, message):
    write_list(folder, line("b.png"), bad)
    with pytest.raises(DataError, match=message):
        FaceKeypoints(folder, "faces.txt")
    dataset = FaceKeypoints(folder, "faces.txt", skip_bad=True)
    assert len(dataset) == 1 and dataset.skipped == 1


def test_lists_without_faces(folder, tmp_path):
    with pytest.raises(DataError, match=r"faces\.txt: holds no faces"):
        FaceKeypoints(write_list(folder, "# nothing"), "faces.txt")
    with pytest.raises(DataError, match=r"none of 2 faces can be used; the first: .*txt:2"):
        FaceKeypoints(
            write_list(folder, line("gone.png"), "a.png 1"), "faces.txt", skip_bad=True
        )
    with pytest.raises(DataError, match=r"no\.txt: no such list of faces"):
        FaceKeypoints(folder, "no.txt")
    with pytest.raises(DataError, match="no such folder"):
        FaceKeypoints(folder / "nowhere")
    (folder / "faces.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        FaceKeypoints(folder, "faces.txt")


# --- Geometry

coordinates = st.floats(-1000, 1000)
lengths = st.floats(1, 1000)
crops = st.builds(Crop, coordinates, coordinates, lengths, lengths)
few_points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5).map(np.array)


@given(crops, few_points)
def test_the_way_back_from_a_crop(crop, points):
    back = crop.to_image_pixels(crop.to_crop(points))
    np.testing.assert_allclose(back, points, atol=1e-6, rtol=1e-9)


@given(crops)
def test_edges_of_a_crop_are_one(crop):
    corners = np.array(
        [(crop.left, crop.top), (crop.left + crop.width, crop.top + crop.height)]
    )
    np.testing.assert_allclose(crop.to_crop(corners), [(-1, -1), (1, 1)], atol=1e-9)


@given(coordinates, coordinates, lengths, lengths, st.floats(0, 2))
def test_widening_keeps_the_middle(x, y, width, height, widen):
    crop = Crop.around((x, y, x + width, y + height), widen)
    assert crop.width == pytest.approx(width * (1 + 2 * widen))
    assert crop.left + crop.width / 2 == pytest.approx(x + width / 2, abs=1e-6)
    assert crop.top + crop.height / 2 == pytest.approx(y + height / 2, abs=1e-6)


@settings(max_examples=40)
@given(
    st.tuples(st.floats(12, 85), st.floats(12, 85)),
    st.tuples(st.floats(-20, 40), st.floats(-20, 40), st.floats(45, 90), st.floats(45, 90)),
)
def test_what_is_seen_moves_like_the_points(point, place):
    """A blurred spot anywhere, cut by any crop, has its middle at the point on the crop."""
    y, x = np.mgrid[:100, :100] + 0.5
    pixels = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 18)
    crop = Crop(*place)
    u, v = crop.to_crop(np.array(point))
    if max(abs(u), abs(v)) > 0.7:
        return
    seen = np.asarray(crop.cut(Image.fromarray(pixels.astype(np.uint8)), 112), float)
    rows, columns = (np.arange(112) + 0.5) / 56 - 1, (np.arange(112) + 0.5) / 56 - 1
    assert (seen.sum(0) @ columns) / seen.sum() == pytest.approx(u, abs=0.03)
    assert (seen.sum(1) @ rows) / seen.sum() == pytest.approx(v, abs=0.03)


# --- Augmentation


def test_flipping_twice_changes_nothing():
    points = np.random.default_rng(0).normal(size=(4, 21, 2))
    np.testing.assert_array_equal(flip_points(flip_points(points)), points)
    assert not np.array_equal(flip_points(points), points)


def test_the_tables_name_partners():
    swapped = {"left": "right", "right": "left"}
    partners = dict(FLIP_PAIRS) | {right: left for left, right in FLIP_PAIRS}
    for index, name in enumerate(POINT_NAMES):
        mirrored = " ".join(swapped.get(word, word) for word in name.split(" "))
        assert POINT_NAMES[partners.get(index, index)] == mirrored
    assert len(set(POINTS_OF_68)) == 21
    partners_68 = dict(FLIP_PAIRS_68) | {right: left for left, right in FLIP_PAIRS_68}
    for index, of_68 in enumerate(POINTS_OF_68):
        assert POINTS_OF_68[partners.get(index, index)] == partners_68.get(of_68, of_68)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_an_augmented_picture_agrees_with_its_points(seed, u, v):
    size, margin = 112, 14
    y, x = (np.mgrid[: size + 2 * margin, : size + 2 * margin] + 0.5 - margin) * 2 / size - 1
    spot = (255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 0.01)).astype(np.uint8)
    augment = FaceAugment(flip_pairs=())
    image, points = augment(spot, np.array([[u, v]]), size, np.random.default_rng(seed))
    assert image.shape == (size, size)
    middles, weight = (np.arange(size) + 0.5) * 2 / size - 1, image.astype(float)
    found = (weight.sum(0) @ middles, weight.sum(1) @ middles) / weight.sum()
    np.testing.assert_allclose(found, points[0], atol=0.012)


def test_augmentation_depends_on_seed_epoch_and_place_alone(folder):
    def dataset(seed=0, cache=False):
        return FaceKeypoints(folder, "faces.txt", augment=FaceAugment(), seed=seed, cache=cache)

    one, other = dataset(), dataset(cache=True)
    first = one[1]
    one.__getitems__([2, 0])
    np.testing.assert_array_equal(one[1][0], first[0])
    np.testing.assert_array_equal(other.__getitems__([0, 1])[1][0], first[0])
    assert not np.array_equal(one[0][1], first[1])  # the same picture at another place
    one.set_epoch(1)
    assert not np.array_equal(one[1][1], first[1])
    assert not np.array_equal(dataset(seed=1)[1][1], first[1])


def test_augmentation_turned_off_changes_nothing(folder):
    still = FaceKeypoints(folder, "faces.txt", augment=FaceAugment(flip=0, warp=0))
    plain = FaceKeypoints(folder, "faces.txt")
    np.testing.assert_array_equal(still[0][1], plain[0][1])
    assert abs(still[0][0] - plain[0][0]).max() < 0.6  # resized from a wider cut


def test_standardize_survives_an_even_crop():
    assert np.array_equal(standardize(np.full((2, 8, 8), 7, np.uint8)), np.zeros((2, 8, 8)))


# --- WFLW and COCO


def wflw_line(name="a b.jpg", change=None):
    words = [f"{number:g}" for number in range(196)] + ["5", "5", "60", "50"] + ["0", "1", "0", "0", "0", "1", name]
    for place, word in (change or {}).items():
        words[place] = word
    return " ".join(words) + "\n"


def test_wflw(tmp_path):
    Image.new("L", (70, 60), 9).save(tmp_path / "a b.jpg")
    (tmp_path / "list.txt").write_text(wflw_line())
    (face,) = read_wflw(tmp_path / "list.txt", tmp_path)
    assert face.path == tmp_path / "a b.jpg" and face.box == (5, 5, 60, 50)
    np.testing.assert_array_equal(face.points.ravel(), np.arange(196))
    data = FaceKeypoints(tmp_path, "list.txt", size=16, format="wflw")
    assert data.n_points == 98 and data[0][1].shape == (196,) and data.eyes == EYES_OF[98]
    assert data.normalized_errors(data[0][1][None])[0] < 1e-6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3 a.jpg\n", "list.txt:2: 4 words, wanted 207"),
        (wflw_line(change={3: "x"}), "list.txt:2: 'x' is not a number"),
        (wflw_line(change={198: "1"}), "list.txt:2: the box .* is empty"),
    ],
    ids=["count", "number", "box"],
)
def test_wrong_lines_of_wflw(tmp_path, line, message):
    (tmp_path / "list.txt").write_text(wflw_line() + line)
    with pytest.raises(DataError, match=message):
        read_wflw(tmp_path / "list.txt", tmp_path)
    told = []
    assert len(read_wflw(tmp_path / "list.txt", tmp_path, told.append)) == 1 and len(told) == 1


def coco_file(folder, **changes):
    points = [number for i in range(17) for number in (10 + i, 20 + i, 2)]
    person = {"id": 5, "image_id": 1, "bbox": [4, 6, 40, 50], "iscrowd": 0, "keypoints": points, **changes}
    others = [
        {"id": 6, "image_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1, "keypoints": points},
        {"id": 7, "image_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0, "keypoints": [0] * 51},
        {"id": 8, "image_id": 1, "bbox": [0, 0, 1, 1]},
    ]
    Image.new("L", (70, 60), 9).save(folder / "a.jpg")
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [person, *others]}
    (folder / "people.json").write_text(json.dumps(content))
    return folder / "people.json"


def test_coco_keypoints(tmp_path):
    (face,) = read_coco_keypoints(coco_file(tmp_path), tmp_path)
    assert face.box == (4, 6, 44, 56) and face.points[3].tolist() == [13.5, 23.5]
    data = FaceKeypoints(tmp_path, "people.json", size=16)
    assert data.format == "coco" and data.n_points == 17 and len(data) == 1
    flipped = flip_points(data.crops[0].to_crop(face.points))
    np.testing.assert_allclose(flipped[1], data.crops[0].to_crop(face.points[2]) * (-1, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [3, 4, 2]}, "annotation 5: 1 key points, wanted 17"),
        ({"keypoints": [3, 4, 2] * 16 + [0, 0, 0]}, "annotation 5: point 17 of 17 is not labelled"),
        ({"bbox": [1, 2]}, "annotation 5: wanted 'keypoints'"),
        ({"keypoints": 3}, "annotation 5: wanted 'keypoints'"),
        ({"id": [3]}, r"annotations\[0\]: 'id' is of type list"),
        ({"bbox": [1, 2, 0, 4]}, "annotation 5: the box .* is empty"),
    ],
    ids=["count", "hidden", "box", "points", "id", "empty"],
)
def test_wrong_coco_keypoints(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_coco_keypoints(coco_file(tmp_path, **changes), tmp_path)


@pytest.mark.parametrize("n_points", [17, 21, 68, 98])
def test_every_scheme_mirrors_to_itself(n_points):
    """Each point is in one pair at most, and mirroring twice changes nothing."""
    members = [point for pair in FLIP_PAIRS_OF[n_points] for point in pair]
    assert len(members) == len(set(members)) and max(members) < n_points
    points = np.random.default_rng(0).standard_normal((n_points, 2))
    np.testing.assert_array_equal(flip_points(flip_points(points)), points)
    left, right = EYES_OF[n_points]
    mirrored = {other for pair in FLIP_PAIRS_OF[n_points] for other in pair if set(pair) & set(left)}
    assert mirrored == {*left, *right}


def test_schemes_and_formats_that_are_not_known(tmp_path):
    with pytest.raises(ValueError, match="which of 5 points change places"):
        flip_points(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="format must be one of list, pts, wflw, coco, not 'csv'"):
        FaceKeypoints(tmp_path, "a.csv", format="csv")
    with pytest.raises(ValueError, match="give list_file"):
        FaceKeypoints(tmp_path, format="wflw")


# --- Transforms of samples


def one_face(folder):
    pixels = np.random.default_rng(1).integers(0, 255, (120, 130), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    points = np.stack([np.linspace(45, 95, 21), np.linspace(35, 100, 21)], 1)
    write_face_list(folder / "faces.txt", [Face(Path("a.png"), BOX, points, "")])


def test_a_transform_moves_crop_and_points_together(tmp_path):
    one_face(tmp_path)
    plain = FaceKeypoints(tmp_path, "faces.txt", size=40)
    crop, points = (part[0] for part in plain.raw_batch([0]))
    for pairs in (FLIP_PAIRS, ()):  # the data set's table, where the flip has none
        flip = transforms.RandomHorizontalFlip(1.0, flip_pairs=pairs)
        flipped = FaceKeypoints(tmp_path, "faces.txt", size=40, augment=flip)
        new_crop, new_points = (part[0] for part in flipped.raw_batch([0]))
        np.testing.assert_allclose(new_points, flip_points(points), atol=1e-12)
    # The crop has a margin that is cut, so it is resized with its surroundings.
    assert abs(new_crop.astype(float) - crop[:, ::-1]).mean() < 12
    resized = FaceKeypoints(tmp_path, "faces.txt", size=40, augment=transforms.Resize((40, 40)))
    assert resized.raw_batch([0])[0].shape == (1, 40, 40)
    assert np.abs(resized.raw_batch([0])[1]).max() < np.abs(points).max()  # the margin is in the picture now


def test_a_transform_draws_by_seed_epoch_and_place(tmp_path):
    one_face(tmp_path)
    turn = transforms.RandomAffine(20, translate=(0.1, 0.1))
    data = FaceKeypoints(tmp_path, "faces.txt", size=40, augment=turn, seed=3)
    first = data.raw_batch([0])
    flambeau.manual_seed(5)
    state = flambeau.get_rng_state()
    again = data.raw_batch([0])
    assert (flambeau.get_rng_state() == state).all()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    data.set_epoch(1)
    assert (data.raw_batch([0])[1] != first[1]).any()
    small = FaceKeypoints(tmp_path, "faces.txt", size=40, augment=transforms.Resize((20, 20)))
    with pytest.raises(DataError, match="augment gives an image of 20 x 20; wanted a picture of at least 40 x 40"):
        small.raw_batch([0])
