"""Networks for pictures, with torchvision's names where torchvision has them."""

from flambeau.vision.models.keypoints import FaceKeypointNet
from flambeau.vision.models.lenet import LeNet
from flambeau.vision.models.summary import LayerRow, Summary, summary

__all__ = ["FaceKeypointNet", "LayerRow", "LeNet", "Summary", "summary"]
