"""The transforms under the name that torchvision's newer interface has, for programs that look
for `MixUp`, `CutMix` and others there. What has no place in it yet is absent by its name."""

from flambeau.vision.transforms import *  # noqa: F403
from flambeau.vision.transforms import functional as functional
