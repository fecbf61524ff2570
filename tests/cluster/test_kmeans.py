"""k-means: scikit-learn's results, empty clusters, both stopping rules, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import flambeau
from flambeau.cluster import KMeans

RANDOM = np.random.default_rng(0)
BLOBS = np.concatenate([RANDOM.normal(size=(40, 3)) + centre for centre in (0, 6, 12)])


def case(seed: int) -> tuple[np.ndarray, np.ndarray | None, int, dict]:
    """Samples, weights, clusters and arguments: one cluster, as many as samples, float32, each way to start.

    In every fifth case the samples are whole numbers, so that many repeat and many lie between two centres.
    """
    random = np.random.default_rng(seed)
    samples = int(random.integers(2, 40))
    clusters = min(int(random.integers(1, 7)), samples)
    data = random.normal(size=(samples, int(random.integers(1, 5)))) * 3
    if seed % 5 == 0:
        data = np.round(data)
    if seed % 7 == 0:
        data = data.astype(np.float32)
    weights = random.random(samples) + 0.1 if seed % 3 == 0 else None
    init = [data[random.permutation(samples)[:clusters]], "k-means++", "random"][seed % 3]
    starts = 1 + seed % 2 if isinstance(init, str) else 1
    return data, weights, clusters, {"init": init, "n_init": starts, "tol": [1e-4, 0.0, 0.1][seed % 3], "random_state": seed}


def test_equals_scikit_learn_on_a_thousand_cases() -> None:
    """The same labels, centres and iterations; where rounding decides between equal distances, as good ones."""
    sklearn = pytest.importorskip("sklearn.cluster")
    equal_of_tied = 0
    for seed in range(1000):
        data, weights, clusters, given = case(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = KMeans(clusters, **given).fit(data, sample_weight=weights)
            theirs = sklearn.KMeans(clusters, **given).fit(data, sample_weight=weights)
        close = {"rtol": 1e-4, "atol": 1e-3} if data.dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-6}
        if seed % 5 == 0:
            distances = ((data[:, None] - ours.cluster_centers_[None]) ** 2).sum(2)
            own = distances[np.arange(len(data)), ours.labels_]
            np.testing.assert_allclose(own, distances.min(1), err_msg=f"seed {seed}", atol=1e-4)
            equal_of_tied += np.array_equal(ours.labels_, theirs.labels_)
            continue
        np.testing.assert_allclose(ours.inertia_, theirs.inertia_, err_msg=f"seed {seed}", **close)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_, err_msg=f"seed {seed}")
        np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, **close)
        assert ours.n_iter_ == theirs.n_iter_
        np.testing.assert_array_equal(ours.predict(data), theirs.predict(data))
        np.testing.assert_allclose(ours.transform(data), theirs.transform(data), **close)
        np.testing.assert_allclose(ours.score(data), theirs.score(data), **close)
    assert equal_of_tied >= 180


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finds_blobs(dtype: type) -> None:
    model = KMeans(3, random_state=0).fit(flambeau.from_numpy(BLOBS.astype(dtype)))
    assert len(set(model.labels_[:40])) == len(set(model.labels_[40:80])) == len(set(model.labels_[80:])) == 1
    assert model.cluster_centers_.dtype == dtype
    np.testing.assert_allclose(
        sorted(model.cluster_centers_.mean(1)), [BLOBS[i : i + 40].mean() for i in (0, 40, 80)], rtol=1e-5
    )


def test_large_data_goes_through_the_compiled_kernel() -> None:
    data = RANDOM.normal(size=(4000, 32)).astype(np.float32)
    start = data[:16]
    large = KMeans(16, init=start, max_iter=5, tol=0).fit(data)
    distances = ((data[:, None] - large.cluster_centers_[None]) ** 2).sum(2)
    nearest = np.sort(distances, axis=1)
    sure = nearest[:, 1] - nearest[:, 0] > 1e-3
    np.testing.assert_array_equal(large.labels_[sure], distances.argmin(1)[sure])
    np.testing.assert_allclose(large.inertia_, nearest[:, 0].sum(), rtol=1e-4)


def test_an_empty_cluster_takes_the_farthest_sample() -> None:
    data = np.array([[0.0], [1.0], [2.0], [100.0]])
    model = KMeans(2, init=np.array([[1.0], [1000.0]])).fit(data)
    assert sorted(model.cluster_centers_.ravel()) == [1.0, 100.0]


def test_both_stopping_rules() -> None:
    start = BLOBS[:3]
    exact = KMeans(3, init=start, tol=0).fit(BLOBS)
    assert KMeans(3, init=start, tol=1e3).fit(BLOBS).n_iter_ == 1
    assert 1 < exact.n_iter_ < 300
    np.testing.assert_array_equal(exact.predict(BLOBS), exact.labels_)


def test_repeated_samples_warn() -> None:
    with pytest.warns(UserWarning, match="1 distinct clusters"):
        KMeans(2, random_state=0).fit(np.ones((5, 2)))


@pytest.mark.parametrize(
    ("make", "data", "message"),
    [
        (lambda: KMeans(9), np.ones((3, 2)), "3 samples cannot make 9 clusters"),
        (lambda: KMeans(2), np.array([[1.0], [np.nan]]), "NaN or infinity"),
        (lambda: KMeans(2), np.ones(5), r"\(samples, features\)"),
        (lambda: KMeans(2, init=np.ones((3, 2))), np.ones((5, 2)), "2 centres of 2 features"),
        (lambda: KMeans(2, init="far"), np.ones((5, 2)), "k-means\\+\\+"),
        (lambda: KMeans(2, n_init=0), np.ones((5, 2)), "n_init"),
    ],
    ids=["few", "nan", "shape", "start", "name", "starts"],
)
def test_errors(make, data, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().fit(data)


def test_before_fit_and_other_features() -> None:
    with pytest.raises(ValueError, match="call fit first"):
        KMeans().predict(BLOBS)
    with pytest.raises(ValueError, match="fitted to 3 features"):
        KMeans(2).fit(BLOBS).predict(np.ones((2, 4)))
    assert repr(KMeans(3, tol=0.1)) == "KMeans(n_clusters=3, tol=0.1)"
