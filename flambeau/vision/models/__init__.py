"""Networks for pictures, with torchvision's names where torchvision has them."""

from typing import Any

from flambeau.vision.models import feature_extraction
from flambeau.vision.models.alexnet import *
from flambeau.vision.models.convnext import *
from flambeau.vision.models.densenet import *
from flambeau.vision.models.efficientnet import *
from flambeau.vision.models.features import FeatureMaps, features_only
from flambeau.vision.models.googlenet import *
from flambeau.vision.models.inception import *
from flambeau.vision.models.keypoints import FaceKeypointNet
from flambeau.vision.models.lenet import LeNet
from flambeau.vision.models.maxvit import *
from flambeau.vision.models.mnasnet import *
from flambeau.vision.models.mobilenetv2 import *
from flambeau.vision.models.mobilenetv3 import *
from flambeau.vision.models.registry import get_model, get_model_builder, list_models
from flambeau.vision.models.regnet import *
from flambeau.vision.models.resnet import *
from flambeau.vision.models.shufflenetv2 import *
from flambeau.vision.models.squeezenet import *
from flambeau.vision.models.summary import LayerRow, Summary, summary
from flambeau.vision.models.swin_transformer import *
from flambeau.vision.models.vgg import *
from flambeau.vision.models.vision_transformer import *
from flambeau.vision.models.weights import (
    Weights,
    WeightsEnum,
    get_model_weights,
    get_weight,
    weights_enum,
)


def __getattr__(name: str) -> Any:
    """The names of published weights, as `ResNet18_Weights`."""
    found = weights_enum(name)
    if found is None:
        raise AttributeError(f"module 'flambeau.vision.models' has no attribute '{name}'")
    return found
