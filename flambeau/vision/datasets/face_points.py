"""Schemes of points on faces: their names, which are mirror images of each other, where the eyes are.

Numbers count from 0. Left and right are those of the picture, not of the person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pairs = Sequence[tuple[int, int]]
#: The points whose mean is the centre of the left eye, and those of the right eye.
Eyes = tuple[Sequence[int], Sequence[int]]

#: The 21 points of Flambeau's own list files, in their order.
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

#: The 98 points of WFLW (W. Wu et al., "Look at Boundary", CVPR 2018, figure 3).
FLIP_PAIRS_98 = (
    *((i, 32 - i) for i in range(16)),
    *((33, 46), (34, 45), (35, 44), (36, 43), (37, 42), (38, 50), (39, 49), (40, 48), (41, 47)),
    *((55, 59), (56, 58)),
    *((60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73)),
    *((76, 82), (77, 81), (78, 80), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95)),
    (96, 97),
)
EYE_CORNERS_98 = ((60, 64), (68, 72))

#: The 17 points of persons in COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
FLIP_PAIRS_17 = tuple((i, i + 1) for i in range(1, 17, 2))
EYES_17 = ((2,), (1,))

#: What is known of schemes by their number of points.
FLIP_PAIRS_OF: dict[int, Pairs] = {
    21: FLIP_PAIRS, 68: FLIP_PAIRS_68, 98: FLIP_PAIRS_98, 17: FLIP_PAIRS_17
}  # fmt: skip
EYES_OF: dict[int, Eyes] = {21: EYE_CORNERS, 68: EYE_CORNERS_68, 98: EYE_CORNERS_98, 17: EYES_17}


def flip_pairs_of(n_points: int) -> Pairs:
    """The pairs of points that change places in a mirror.

    Raises:
        ValueError: for a scheme that is not known.
    """
    if n_points not in FLIP_PAIRS_OF:
        raise ValueError(
            f"which of {n_points} points change places in a mirror? give flip_pairs (known are the schemes of "
            f"{', '.join(map(str, sorted(FLIP_PAIRS_OF)))} points)"
        )
    return FLIP_PAIRS_OF[n_points]


def flip_points(points: np.ndarray, flip_pairs: Pairs | None = None) -> np.ndarray:
    """Points (…, n, 2) on a crop after it was mirrored; left and right points change names.

    `flip_pairs` are those of the scheme of n points by default.
    """
    order = np.arange(points.shape[-2])
    for left, right in flip_pairs_of(len(order)) if flip_pairs is None else flip_pairs:
        order[[left, right]] = order[[right, left]]
    return points[..., order, :] * (-1, 1)


def eye_distance(points: np.ndarray, eyes: Eyes = EYE_CORNERS) -> np.ndarray:
    """The distance between the centres of the two eyes of faces with points (…, n, 2)."""
    left, right = (points[..., list(corners), :].mean(axis=-2) for corners in eyes)
    return np.linalg.norm(right - left, axis=-1)
