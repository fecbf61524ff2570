"""k-means: centres that are the means of the samples nearest to them.

Lloyd's algorithm (Least squares quantization in PCM, 1982), from centres that k-means++ spreads out
(Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, 2007).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

import flambeau
from flambeau.metrics.arrays import as_array, as_weights

#: From so many multiplications on, distances are left to a compiled kernel.
_LARGE = 1 << 20


class KMeans:
    """k-means clustering, with scikit-learn's arguments, attributes and draws.

    Arguments:
        n_clusters: how many clusters to find.
        init: where the centres start: `"k-means++"`, `"random"` (samples), an array (clusters, features), or a
            function of (samples, n_clusters, random_state) that gives one.
        n_init: how many starts are tried; the best result is kept. `"auto"` is 1 for k-means++ and for
            an array, else 10.
        max_iter: the most iterations of a start.
        tol: a start ends when no label changes, or when the centres move (sum of squares) by at most `tol`
            times the mean variance of the features.
        verbose: whether each iteration's inertia is printed.
        random_state: a seed, a `numpy.random.RandomState`, or None for a new one.
        copy_x: accepted; the samples are never changed.
        algorithm: `"lloyd"`.

    Attributes:
        cluster_centers_: (clusters, features).
        labels_: the cluster of each sample, (samples).
        inertia_: the sum of the squared distances of samples to their centre.
        n_iter_: the iterations of the best start.
        n_features_in_: how many features the samples had.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ):
        if algorithm != "lloyd":
            raise NotImplementedError(f"KMeans: algorithm={algorithm!r} is not there; 'lloyd' is")
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Finds the clusters.

        Arguments:
            X: the samples, (samples, features), float32 or float64; other numbers are taken as float64.
            y: ignored, for pipelines.
            sample_weight: the weight of each sample, (samples).

        Raises:
            ValueError: for fewer samples than clusters, numbers that are not finite, a start of another shape.
        """
        samples = self._check(X)
        weights = as_weights(sample_weight, len(samples)).astype(samples.dtype)
        random = _random_state(self.random_state)
        # Distances keep more digits about the mean than far away from it.
        mean = samples.mean(0)
        centred = samples - mean
        tolerance = float(self.tol * np.mean(np.var(samples, axis=0)))
        best: _Result | None = None
        for _ in range(self._starts()):
            start = self._start(centred, mean, weights, random)
            result = self._descend(centred, weights, start, tolerance)
            if best is None or (result.inertia < best.inertia * (1 - 1e-6) and not _same_parts(result.labels, best.labels)):
                best = result
        assert best is not None
        if len(np.unique(best.labels)) < self.n_clusters:
            warnings.warn(
                f"KMeans found {len(np.unique(best.labels))} distinct clusters, fewer than n_clusters "
                f"({self.n_clusters}): samples may be repeated", stacklevel=2,
            )  # fmt: skip
        self.cluster_centers_ = best.centers + mean
        self.labels_ = best.labels
        self.inertia_ = best.inertia
        self.n_iter_ = best.iterations
        self.n_features_in_ = samples.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each sample, (samples)."""
        return _nearest(self._check_new(X), self.cluster_centers_)[0]

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit`, then the cluster of each sample, (samples)."""
        return self.fit(X, y, sample_weight).labels_

    def transform(self, X: Any) -> np.ndarray:
        """The distance of each sample to each centre, (samples, clusters)."""
        return np.sqrt(_squared_distances(self._check_new(X), self.cluster_centers_))

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit`, then `transform`."""
        return self.fit(X, y, sample_weight).transform(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The negative sum of the squared distances of samples to their centre."""
        samples = self._check_new(X)
        weights = as_weights(sample_weight, len(samples))
        labels = _nearest(samples, self.cluster_centers_)[0]
        return -_inertia(samples, weights, self.cluster_centers_, labels)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments by name."""
        names = ("algorithm", "copy_x", "init", "max_iter", "n_clusters", "n_init", "random_state", "tol", "verbose")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **arguments: Any) -> Self:
        """Changes arguments by name."""
        for name, value in arguments.items():
            if name not in self.get_params():
                raise ValueError(f"KMeans has no argument {name!r}; it has {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        default = KMeans().get_params()
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if v is not default[k] and v != default[k]]
        return f"KMeans({', '.join(changed)})"

    # one start -------------------------------------------------------------------------------

    def _starts(self) -> int:
        if self.n_init == "auto":
            return 10 if (isinstance(self.init, str) and self.init == "random") or callable(self.init) else 1
        if not isinstance(self.n_init, int) or self.n_init < 1:
            raise ValueError(f"n_init must be 'auto' or at least 1, got {self.n_init!r}")
        return self.n_init if isinstance(self.init, str) or callable(self.init) else 1

    def _start(
        self, centred: np.ndarray, mean: np.ndarray, weights: np.ndarray, random: np.random.RandomState
    ) -> np.ndarray:
        if isinstance(self.init, str):
            if self.init == "k-means++":
                return _plus_plus(centred, weights, self.n_clusters, random)
            if self.init == "random":
                chosen = random.choice(
                    len(centred), size=self.n_clusters, replace=False, p=weights / weights.sum()
                )
                return centred[chosen].copy()
            raise ValueError(f"init must be 'k-means++', 'random', an array or a function, got {self.init!r}")
        given = self.init(centred + mean, self.n_clusters, random) if callable(self.init) else self.init
        centers = as_array(given).astype(centred.dtype)
        if centers.shape != (self.n_clusters, centred.shape[1]):
            raise ValueError(
                f"init must hold {self.n_clusters} centres of {centred.shape[1]} features, got the shape {centers.shape}"
            )
        return centers - mean

    def _descend(
        self, samples: np.ndarray, weights: np.ndarray, centers: np.ndarray, tolerance: float
    ) -> _Result:
        labels = np.full(len(samples), -1, np.int32)
        settled = False
        iteration = 0
        for iteration in range(1, self.max_iter + 1):
            found, distances = _nearest(samples, centers)
            moved = _means(samples, weights, found, distances, centers)
            if self.verbose:
                print(f"iteration {iteration}: inertia {_inertia(samples, weights, centers, found):.6g}")
            shift = float(((moved - centers) ** 2).sum())
            centers = moved
            settled = np.array_equal(found, labels)
            labels = found
            if settled or shift <= tolerance:
                break
        if not settled:  # the centres have moved since the labels were given
            labels = _nearest(samples, centers)[0]
        return _Result(labels, _inertia(samples, weights, centers, labels), centers, iteration)

    # checks ----------------------------------------------------------------------------------

    def _check(self, X: Any) -> np.ndarray:
        samples = as_array(X)
        if samples.ndim != 2:
            raise ValueError(f"KMeans needs samples as (samples, features), got the shape {samples.shape}")
        if samples.dtype not in (np.float32, np.float64):
            samples = samples.astype(np.float64)
        if not np.isfinite(samples).all():
            raise ValueError("KMeans: the samples hold NaN or infinity")
        if not 1 <= self.n_clusters <= len(samples):
            raise ValueError(f"KMeans: {len(samples)} samples cannot make {self.n_clusters} clusters")
        if self.max_iter < 1 or self.tol < 0:
            raise ValueError(f"KMeans: max_iter must be at least 1 and tol not negative, got {self.max_iter}, {self.tol}")
        return samples

    def _check_new(self, X: Any) -> np.ndarray:
        if not hasattr(self, "cluster_centers_"):
            raise ValueError("this KMeans has no centres yet: call fit first")
        samples = as_array(X)
        if samples.ndim != 2 or samples.shape[1] != self.n_features_in_:
            raise ValueError(f"KMeans was fitted to {self.n_features_in_} features, got the shape {samples.shape}")
        return samples.astype(self.cluster_centers_.dtype, copy=False)


class _Result(NamedTuple):
    labels: np.ndarray
    inertia: float
    centers: np.ndarray
    iterations: int


def _plus_plus(
    samples: np.ndarray, weights: np.ndarray, clusters: int, random: np.random.RandomState
) -> np.ndarray:
    """Centres that are samples, each drawn with a chance that grows with the squared distance to those before.

    Of a few draws each time the one that leaves the smallest sum of distances is kept.
    """
    trials = 2 + int(math.log(clusters))
    centers = np.empty((clusters, samples.shape[1]), samples.dtype)
    chosen = int(random.choice(len(samples), p=weights / weights.sum()))
    centers[0] = samples[chosen]
    closest = _squared_distances(samples[chosen : chosen + 1], samples)[0]
    potential = closest @ weights
    for place in range(1, clusters):
        draws = random.uniform(size=trials) * potential
        candidates = np.searchsorted(np.cumsum(weights * closest, dtype=np.float64), draws)
        candidates = np.minimum(candidates, len(samples) - 1)
        nearer = np.minimum(closest, _squared_distances(samples[candidates], samples))
        potentials = nearer @ weights
        winner = int(potentials.argmin())
        potential, closest = potentials[winner], nearer[winner]
        centers[place] = samples[candidates[winner]]
    return centers


def _means(
    samples: np.ndarray, weights: np.ndarray, labels: np.ndarray, distances: np.ndarray, centers: np.ndarray
) -> np.ndarray:
    """The mean of each cluster's samples. A cluster without any takes the sample farthest from its own centre."""
    count = len(centers)
    masses = np.bincount(labels, weights, count)
    sums = np.zeros((count, samples.shape[1]))
    for feature in range(samples.shape[1]):
        sums[:, feature] = np.bincount(labels, weights * samples[:, feature], count)
    empty = np.flatnonzero(masses == 0)
    if len(empty):
        own = ((samples - centers[labels]) ** 2).sum(1)
        # From the farthest on; a sample that lies on its own centre has no other cluster to make.
        for cluster, sample in zip(empty, np.argsort(-own, kind="stable"), strict=False):
            if own[sample] == 0:
                break
            home = labels[sample]
            sums[home] -= samples[sample] * weights[sample]
            masses[home] -= weights[sample]
            sums[cluster] = samples[sample] * weights[sample]
            masses[cluster] = weights[sample]
    filled = masses > 0
    means = centers.copy()
    means[filled] = (sums[filled] / masses[filled, None]).astype(centers.dtype)
    return means


def _nearest(samples: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each sample (samples), and how far it is, less the sample's own square."""
    if len(samples) * centers.size < _LARGE:
        offsets = _offsets_of(samples, centers)
        labels = offsets.argmin(1)
        return labels.astype(np.int32), offsets[np.arange(len(samples)), labels]
    labels_, smallest = _nearest_compiled()(flambeau.from_numpy(samples), flambeau.from_numpy(centers))
    return labels_.numpy().astype(np.int32), smallest.numpy()


def _offsets_of(samples: Any, centers: Any) -> Any:
    """|c|^2 - 2 x c: the squared distance of each sample to each centre, less |x|^2, which ranks nothing."""
    return (centers * centers).sum(1) - 2.0 * (samples @ centers.T)


def _nearest_tensors(samples: Any, centers: Any) -> tuple[Any, Any]:
    offsets = _offsets_of(samples, centers)
    return offsets.argmin(1), offsets.amin(1)


_compiled: list[Callable[..., Any]] = []


def _nearest_compiled() -> Callable[..., Any]:
    if not _compiled:
        _compiled.append(flambeau.compile(_nearest_tensors))
    return _compiled[0]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The squared distance of each row of `a` to each row of `b`, computed in float64: near rows cancel."""
    wide, other = a.astype(np.float64), b.astype(np.float64)
    squares = (wide * wide).sum(1)[:, None] - 2 * (wide @ other.T) + (other * other).sum(1)
    return np.maximum(squares, 0).astype(a.dtype)


def _inertia(samples: np.ndarray, weights: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> float:
    return float((((samples - centers[labels]) ** 2).sum(1, dtype=np.float64) * weights).sum())


def _same_parts(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labelings put the same samples together, whatever they call the clusters."""
    names: dict[int, int] = {}
    return all(names.setdefault(x, y) == y for x, y in zip(a.tolist(), b.tolist(), strict=True)) and len(
        set(names.values())
    ) == len(names)


def _random_state(seed: Any) -> np.random.RandomState:
    return seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)
