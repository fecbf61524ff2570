"""What outputs mean: one class out of several, points on faces."""

from flambeau.train.tasks.base import Chart, Question, Task
from flambeau.train.tasks.classification import Classification
from flambeau.train.tasks.keypoints import Keypoints

__all__ = ["Chart", "Classification", "Keypoints", "Question", "Task"]
