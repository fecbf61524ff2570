"""Data sets read from local files."""

from flambeau.vision.datasets.cifar import CIFAR10, CIFAR100
from flambeau.vision.datasets.coco import CocoCaptions, CocoDetection
from flambeau.vision.datasets.digits import DigitAugment, Digits
from flambeau.vision.datasets.errors import DataError, DatasetNotFoundError
from flambeau.vision.datasets.face_augment import FaceAugment
from flambeau.vision.datasets.faces import FaceKeypoints
from flambeau.vision.datasets.fakedata import FakeData
from flambeau.vision.datasets.folder import DatasetFolder, ImageFolder
from flambeau.vision.datasets.imagenet import ImageNet
from flambeau.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST
from flambeau.vision.datasets.render_faces import render_faces
from flambeau.vision.datasets.vision import VisionDataset
