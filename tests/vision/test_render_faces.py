"""Rendered faces, and the way from the renderer through files to samples."""

import filecmp

import numpy as np
import pytest

from flambeau.vision.datasets.face_files import read_face_list
from flambeau.vision.datasets.face_points import eye_distance
from flambeau.vision.datasets.faces import FaceKeypoints
from flambeau.vision.datasets.render_faces import render_face, render_faces


def test_round_trip_through_files(tmp_path):
    """What the renderer drew is what the data set reads."""
    list_file = render_faces(tmp_path, 6, seed=11)
    dataset = FaceKeypoints(tmp_path, list_file.name)
    assert len(dataset) == 6
    for index, face in enumerate(dataset.faces):
        rendered = render_face(11, index)
        np.testing.assert_allclose(face.points, rendered.points, atol=0.006)
        assert face.box == pytest.approx(rendered.box, abs=0.006)
        image, target = dataset[index]
        assert image.shape == (1, 112, 112) and abs(target).max() < 1
        np.testing.assert_allclose(
            dataset.to_image_pixels(target, index), face.points, atol=1e-3
        )


def test_a_seed_gives_the_same_face_and_no_other_does():
    again = [render_face(5, 1) for _ in range(2)]
    assert again[0].image.tobytes() == again[1].image.tobytes()
    np.testing.assert_array_equal(again[0].points, again[1].points)
    different = [render_face(seed, index) for seed in range(3) for index in range(3)]
    assert len({rendered.points.tobytes() for rendered in different}) == 9
    assert len({rendered.image.tobytes() for rendered in different}) == 9


def test_known_points():
    """The points of one face, so that the meaning of a seed does not change unnoticed."""
    points = render_face(0, 0).points
    assert points[[0, 6, 10, 14, 20]].round(1).tolist() == GOLDEN


GOLDEN = [[65.4, 89.0], [72.0, 96.1], [107.5, 120.3], [88.3, 138.5], [108.5, 165.3]]


def test_faces_are_as_annotated():
    for index in range(40):
        image, box, points = render_face(3, index)
        width, height = image.size
        assert min(width, height) >= 160 and max(width, height) <= 200
        assert 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
        assert points.shape == (21, 2) and (abs(points - 90) < 110).all()
        assert eye_distance(points) > 14
        # On an upright head, brows are above eyes above nose above mouth above chin.
        down = points[20] - points[[7, 8]].mean(axis=0)
        levels = [
            points[group].mean(axis=0) @ down
            for group in (range(6), range(6, 10), range(10, 14), range(14, 20), [20])
        ]
        assert levels == sorted(levels)


def test_points_lie_on_visible_features():
    """Around the eyes the picture varies more than on the cheeks below them."""
    eyes, cheeks = [], []
    for index in range(40):
        image, _, points = render_face(8, index)
        grey = np.asarray(image.convert("L"), float)
        left, right = points[[6, 7]].mean(axis=0), points[[8, 9]].mean(axis=0)
        reach = max(3, int(eye_distance(points) / 6))
        for eye, corner in ((left, points[14]), (right, points[16])):
            for place, values in ((eye, eyes), (0.45 * eye + 0.55 * corner, cheeks)):
                x, y = np.clip(place.astype(int), reach, np.array(image.size) - reach)
                values.append(grey[y - reach : y + reach, x - reach : x + reach].std())
    assert np.median(eyes) > 2 * np.median(cheeks)


def test_several_processes_write_the_same_files(tmp_path):
    told = []
    one = render_faces(tmp_path / "one", 9, seed=2)
    two = render_faces(tmp_path / "two", 9, seed=2, workers=2, progress=told.append)
    assert filecmp.cmp(one, two, shallow=False)
    for face in read_face_list(one, ""):
        assert filecmp.cmp(tmp_path / "one" / face.path, tmp_path / "two" / face.path, False)
    assert told[-1] == 9
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["faces.txt", "images"]


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="count must be at least 1"):
        render_faces(tmp_path, 0)
    with pytest.raises(ValueError, match="seed must not be negative"):
        render_faces(tmp_path, 1, seed=-1)


def test_an_interrupted_rendering_leaves_no_list(tmp_path):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_faces(tmp_path, 3, progress=interrupt)
    assert not (tmp_path / "faces.txt").exists()
