"""Data sets read from local files."""

from flambeau.vision.datasets.digits import DigitAugment as DigitAugment
from flambeau.vision.datasets.digits import Digits as Digits
from flambeau.vision.datasets.errors import DataError as DataError
from flambeau.vision.datasets.errors import DatasetNotFoundError as DatasetNotFoundError
from flambeau.vision.datasets.faces import FaceAugment as FaceAugment
from flambeau.vision.datasets.faces import FaceKeypoints as FaceKeypoints
from flambeau.vision.datasets.mnist import KMNIST as KMNIST
from flambeau.vision.datasets.mnist import MNIST as MNIST
from flambeau.vision.datasets.mnist import FashionMNIST as FashionMNIST
from flambeau.vision.datasets.render_faces import render_faces as render_faces
from flambeau.vision.datasets.vision import VisionDataset as VisionDataset
