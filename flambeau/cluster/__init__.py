"""Clustering: scikit-learn's estimators."""

from flambeau.cluster.kmeans import KMeans

__all__ = ["KMeans"]
