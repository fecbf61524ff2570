"""Mistakes that people make, and the message that each of them reads.

`docs/mistakes.md` is this table; `python tests/cli/test_mistakes.py` writes it. Each mistake is made in this process,
in a folder of its own that holds `FILES`. A message is compared word for word; `…` stands for what differs between
machines and versions.
"""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flambeau

DOCUMENT = Path(__file__).parents[2] / "docs" / "mistakes.md"


@dataclass(frozen=True)
class Mistake:
    """What went wrong in a word or two, what the person did, and what they read.

    `did` is a command, or Python after `>>>`. `given` are the files that matter and are not in `FILES`, shown with the
    command.
    """

    what: str
    did: str
    reads: str
    given: tuple[tuple[str, str], ...] = ()


POINTS = " ".join(f"{20 + 4 * (i % 7)} {30 + 6 * (i // 7)}" for i in range(21))
GOOD = f"face.jpg 10 10 70 70 {POINTS}"
EAGER = "trainer.compile=false"
FACES = "flambeau train keypoints data.train.args.root=. data.validation=null checkpoint.monitor=loss"
PTS = FACES.replace("root=.", "root=pts") + " data.train.args.list_file=null"
SKIP = ". To count bad samples and go on without them: --skip-bad"
BIRDS = (
    "target: flambeau.vision.datasets.ImageFolder, args: {root: birds, transform: {target: flambeau.vision.transforms.ToTensor}}"
)
SETS = ">>> from flambeau.vision.datasets import *; "
NET = (
    "mynet.py",
    "from flambeau import nn\n\nclass Net(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n"
    "        self.body = nn.Linear(width, 10)\n\n    def forward(self, x):\n        return self.body(x.flatten(1))\n\n"
    "def width(): return 3\n",
)


def yaml(name: str, *lines: str) -> tuple[tuple[str, str], ...]:
    return ((name, "\n".join(lines) + "\n"),)


def face(line: str) -> tuple[tuple[str, str], ...]:
    return (("faces.txt", line + "\n"),)


COMMAND_LINE = [
    Mistake("a misspelt command", "flambeau trian digits", "No such command 'trian'. Did you mean 'train'?"),
    Mistake("no config named", "flambeau train", "Missing argument 'config'."),
    Mistake("no pictures to predict", "flambeau predict --out out", "Missing argument 'images'."),
    Mistake("an option for a key", "flambeau train digits --epochs 3", "No such option: --epochs error: settings are keys, not options: write trainer.epochs=… for --epochs"),
    Mistake("another program's option", "flambeau train digits --learning-rate=0.1",
            "No such option: --learning-rate error: settings are keys, not options: write optimizer.args.lr=… for --learning-rate"),
    Mistake("a value without =", "flambeau train digits trainer.epochs 3",
            "argument 'trainer.epochs': write key=value, as trainer.epochs=20"),
    Mistake("a value that is no YAML", "flambeau train digits 'trainer.epochs=[1'",
            "argument 'trainer.epochs=[1' cannot be read as YAML: …"),
    Mistake("a single fold", "flambeau train digits --folds 1", "--folds 1: cross-validation needs at least 2"),
    Mistake("folds resumed as one", "flambeau train digits --folds 3 --resume",
            "--folds and --resume: resume the run of a fold by its own folder"),
    Mistake("a run folder where a file is", "flambeau train digits folder=face.jpg",
            "cannot make the run folder face.jpg/digits: Not a directory"),
    Mistake("a misspelt run", "flambeau test digitz", "there is no run 'digitz' in runs; did you mean 'digits'?"),
    Mistake("a folder that is no run", "flambeau test pts", "pts is no run folder: it has no config.yaml"),
    Mistake("one run to compare", "flambeau compare digits", "a comparison needs at least two runs"),
    Mistake("a box with three numbers", "flambeau predict face.jpg --out out --box 1,2,3",
            "--box 1,2,3: write four numbers, left,top,right,bottom"),
    Mistake("a box upside down", "flambeau predict face.jpg --out out --box 5,5,2,2",
            "--box 5,5,2,2: left must be less than right, and top less than bottom"),
    Mistake("a box outside the picture to predict", "flambeau predict face.jpg --out out --box 5,5,200,90",
            f"face.jpg: the box 5,5,200,90 is not inside the picture, which has 80 x 80 pixels{SKIP}"),
    Mistake("results into a file", "flambeau predict face.jpg --out text.jpg", "cannot make the folder text.jpg: File exists"),
    Mistake("a program that is not there", "flambeau run trian.py", "there is no program trian.py"),
    Mistake("a plot where none can be", "flambeau find learning-rate digits --steps 10 --plot text.txt/rates.png trainer.compile=false",
            "text.txt/rates.png: Not a directory; FLAMBEAU_TRACEBACK=1 shows where it happened", (("text.txt", "text\n"),)),
    Mistake("batches of no samples", "flambeau find batch-size digits --smallest 0",
            "sizes begin at 1 sample, with at least 1 step, in a share of the memory up to 1: --smallest 0 --steps 10 --share 0.8"),
    Mistake("rates that fall", "flambeau find learning-rate digits --lowest 5 --highest 1",
            "the rate must rise in at least 10 steps: from 5.0 to 1.0 in 100 it does not"),
]

CONFIG = [
    Mistake("a misspelt config", "flambeau train digit",
            "there is no config 'digit': it is neither a YAML file nor one of digits, keypoints; did you mean 'digits'?"),
    Mistake("a misspelt file", "flambeau train mine.yml",
            "there is no config 'mine.yml': it is neither a YAML file nor one of digits, keypoints; did you mean 'mine.yaml'?",
            yaml("mine.yaml", "base: digits")),
    Mistake("a misspelt key", "flambeau train digits trainer.epoch=3",
            "argument 'trainer.epoch=3': unknown key 'trainer.epoch'; did you mean 'trainer.epochs'?"),
    Mistake("a key without its section", "flambeau train digits epochs=3",
            "argument 'epochs=3': unknown key 'epochs'; did you mean 'trainer.epochs'?"),
    Mistake("another program's name for a key", "flambeau train mine.yaml",
            "mine.yaml, line 3: unknown key 'trainer.learning_rate'; did you mean 'optimizer.args.lr'?",
            yaml("mine.yaml", "base: digits", "trainer:", "  learning_rate: 0.1")),
    Mistake("a key of no section", "flambeau train digits trainer.colour=red",
            "argument 'trainer.colour=red': unknown key 'trainer.colour'; valid keys are trainer.epochs, trainer.compile, …"),
    Mistake("a word for a number", "flambeau train digits trainer.epochs=many",
            "argument 'trainer.epochs=many': trainer.epochs = 'many' must be a whole number"),
    Mistake("a word for a number in a file", "flambeau train mine.yaml",
            "mine.yaml, line 3: data.batch_size = 'big' must be a whole number",
            yaml("mine.yaml", "base: digits", "data:", "  batch_size: big")),
    Mistake("part of an epoch", "flambeau train digits trainer.epochs=1.5",
            "argument 'trainer.epochs=1.5': trainer.epochs = 1.5 must be a whole number"),
    Mistake("a value out of range", "flambeau train digits data.batch_size=0",
            "argument 'data.batch_size=0': data.batch_size = 0 must be at least 1"),
    Mistake("a share above one", "flambeau train digits trainer.average.kind=ema trainer.average.decay=1.5",
            "argument 'trainer.average.decay=1.5': trainer.average.decay = 1.5 must lie between 0 and 1"),
    Mistake("a choice that is none", "flambeau train digits checkpoint.mode=largest",
            "argument 'checkpoint.mode=largest': checkpoint.mode = 'largest' must be one of min, max"),
    Mistake("tabs in YAML", "flambeau train mine.yaml",
            "mine.yaml, line 2: not YAML that can be read: a character that cannot stand here; lines are indented with blanks, not with tabs",
            yaml("mine.yaml", "trainer:", "\tepochs: 3")),
    Mistake("a colon in a text", "flambeau train mine.yaml",
            "mine.yaml, line 2: not YAML that can be read: mapping values are not allowed … (put a text that holds ': ' in quotes)",
            yaml("mine.yaml", "base: digits", "name: second: wide")),
    Mistake("a key twice", "flambeau train mine.yaml",
            "mine.yaml, line 3: not YAML that can be read: found duplicate key seed",
            yaml("mine.yaml", "base: digits", "seed: 1", "seed: 2")),
    Mistake("a list for keys", "flambeau train mine.yaml", "mine.yaml must hold `key: value` lines",
            yaml("mine.yaml", "- base: digits")),
    Mistake("a base that is not there", "flambeau train mine.yaml",
            "mine.yaml: base = digit: there is no config 'digit': it is neither a YAML file nor one of digits, keypoints; "
            "did you mean 'digits'?", yaml("mine.yaml", "base: digit")),
    Mistake("bases in a circle", "flambeau train mine.yaml", "mine.yaml: base = mine.yaml leads back to itself",
            yaml("mine.yaml", "base: mine.yaml")),
    Mistake("a config of nothing", "flambeau train mine.yaml",
            "mine.yaml: no value for data.train.target, loss.target, model.target, optimizer.target, task.target",
            yaml("mine.yaml", "trainer: {epochs: 3}")),
    Mistake("an environment variable not set", "flambeau train mine.yaml",
            "mine.yaml, line 2: folder: the environment variable MY_RUNS_FOLDER is not set; a default is written "
            "${oc.env:MY_RUNS_FOLDER,default}", yaml("mine.yaml", "base: digits", "folder: ${oc.env:MY_RUNS_FOLDER}")),
    Mistake("a reference to no key", "flambeau train mine.yaml",
            "mine.yaml, line 2: name: ${trainer.epoch} is no key of the config; did you mean 'trainer.epochs'?",
            yaml("mine.yaml", "base: digits", "name: run-${trainer.epoch}")),
    Mistake("a class without its module", "flambeau train digits model.target=LeNet",
            "model.target = 'LeNet' is no dotted name, as flambeau.vision.models.LeNet"),
    Mistake("a misspelt class", "flambeau train digits model.target=flambeau.vision.models.LeNett",
            "model.target = 'flambeau.vision.models.LeNett': flambeau.vision.models has no 'LeNett'; did you mean 'LeNet'?"),
    Mistake("a misspelt module", "flambeau train digits model.target=mynett.Net",
            "model.target = 'mynett.Net': there is no module 'mynett'", (NET,)),
    Mistake("a module that lacks a package", "flambeau train digits model.target=mylost.Net",
            "model.target = 'mylost.Net': mylost needs nosuchpackage", (("mylost.py", "import nosuchpackage\n"),)),
    Mistake("a module with a typing error", "flambeau train digits model.target=mytypo.Net",
            "model.target = 'mytypo.Net': importing mytypo failed: SyntaxError: … (mytypo.py, line 1)",
            (("mytypo.py", "class Net(:\n"),)),
    Mistake("a function for a network", "flambeau train digits model.target=mynet.width",
            "model.target = 'mynet.width' gives a int, not an nn.Module", (NET,)),
    Mistake("a misspelt argument", "flambeau train digits model.args.classes=5",
            "model.args.classes: flambeau.vision.models.LeNet has no such argument; did you mean 'num_classes'?"),
    Mistake("a missing argument", "flambeau train digits model.target=mynet.Net", "model.args: mynet.Net needs width", (NET,)),
    Mistake("an argument of another type", "flambeau train digits model.args.num_classes=ten",
            "model.args.num_classes = 'ten': flambeau.vision.models.LeNet wants int"),
    Mistake("fewer classes than the data has", f"flambeau train digits model.args.num_classes=5 {EAGER}",
            "the first training step failed. flambeau.vision.models.LeNet was given inputs of shape (32, 3, 32, 32), "
            "flambeau.nn.CrossEntropyLoss targets of shape (32,) and dtype int64. IndexError: Target … is out of bounds. "
            "Change model.args, loss or data so that they fit each other; FLAMBEAU_TRACEBACK=1 shows where it happened"),
    Mistake("a network of another size", f"flambeau train digits model.target=mynet.Net model.args.width=784 {EAGER}",
            "the first training step failed. mynet.Net was given inputs of shape (32, 3, 32, 32), flambeau.nn.CrossEntropyLoss "
            "targets of shape (32,) and dtype int64. RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x3072 and 784x10). "
            "Change model.args, loss or data so that they fit each other; FLAMBEAU_TRACEBACK=1 shows where it happened", (NET,)),
    Mistake("a loss for something else", f"flambeau train digits loss.target=flambeau.nn.L1Loss {EAGER}",
            "the first training step failed. flambeau.vision.models.LeNet was given inputs of shape (32, 3, 32, 32), "
            "flambeau.nn.L1Loss targets of shape (32,) and dtype int64. RuntimeError: The size of tensor a (10) must match the "
            "size of tensor b (32) at non-singleton dimension 1. Change model.args, loss or data so that they fit each other; "
            "FLAMBEAU_TRACEBACK=1 shows where it happened"),
    Mistake("an optimizer's argument by another name", "flambeau train digits optimizer.args.learning_rate=0.1",
            "optimizer.args.learning_rate: flambeau.optim.SGD has no such argument; did you mean 'lr'?"),
    Mistake("a learning rate below zero", "flambeau train digits optimizer.args.lr=-0.1",
            "optimizer: flambeau.optim.SGD refused its arguments: Invalid learning rate: -0.1"),
    Mistake("a learning rate in words", "flambeau train digits optimizer.args.lr=fast",
            "optimizer.args.lr = 'fast': flambeau.optim.SGD wants float | …"),
    Mistake("a group of no parameters", "flambeau train digits 'optimizer.groups=[{names: [head.*], args: {lr: 0.1}}]'",
            "optimizer.groups[0]: no parameter fits names ['head.*']; the network has the layers Conv2d, Linear, and parameters "
            "from 'features.0.weight' to 'classifier.4.bias'"),
    Mistake("a warm-up longer than the run", "flambeau train digits schedule.warmup=5000",
            "schedule.warmup = 5000 must lie between 0 and the 780 steps of the run"),
    Mistake("a last batch of one sample", "flambeau train digits data.batch_size=74 data.drop_last=false trainer.compile=false model.target=mynorm.Net",
            "a training step failed. mynorm.Net was given inputs of shape (1, 3, 32, 32), flambeau.nn.CrossEntropyLoss targets of shape "
            "(1,) and dtype int64. ValueError: Expected more than 1 value per channel when training, got input size [1, 10]. "
            "data.drop_last=true leaves out a last batch that is too small for batch normalisation; FLAMBEAU_TRACEBACK=1 shows where it happened",
            (("mynorm.py", "from flambeau import nn\n\ndef Net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10), nn.BatchNorm1d(10))\n"),)),
    Mistake("a misspelt placeholder", "flambeau train digits 'schedule.args.T_max=$step'",
            "schedule.args.T_max = '$step': there is no such placeholder; did you mean '$steps'? (known here: $epochs, "
            "$steps_per_epoch, $steps, $seed, $optimizer)"),
    Mistake("initial values for no layer", "flambeau train digits 'init=[{target: flambeau.nn.init.zeros_, layers: [Conv3d]}]'",
            "init[0].layers = ['Conv3d']: the network has no such layer; it has Conv2d, Linear"),
    Mistake("a score that is not there", "flambeau train digits checkpoint.monitor=acc",
            "checkpoint.monitor = 'acc': there is no such score; did you mean 'accuracy'? (known: loss, accuracy)"),
]

CHECKPOINTS = [
    Mistake("a checkpoint that is not there", "flambeau finetune digits --from best.pt", "there is no checkpoint best.pt"),
    Mistake("a checkpoint cut short", "flambeau finetune digits --from cut.pt",
            "the checkpoint cut.pt cannot be read: cut.pt is cut short or damaged: its table of contents, which stands at the end "
            "of the file, cannot be read (…)"),
    Mistake("an empty checkpoint", "flambeau finetune digits --from empty.pt",
            "the checkpoint empty.pt cannot be read: empty.pt is empty: there is nothing to load"),
    Mistake("a picture for a checkpoint", "flambeau finetune digits --from face.jpg",
            "the checkpoint face.jpg cannot be read: face.jpg is no checkpoint: it is neither a zip archive nor a PyTorch pickle"),
    Mistake("a checkpoint without weights", "flambeau finetune digits --from notes.pt",
            "notes.pt holds no weights: expected names with tensors, or a key `model` or `state_dict` with them, found the keys epoch"),
    Mistake("a checkpoint that would run code", ">>> flambeau.load('evil.pth')",
            "UnpicklingError: … posix.system …"),
    Mistake("weights of another network", "flambeau test digits --from linear.pt",
            "the checkpoint linear.pt is of another network. Missing keys: features.0.weight, … Unexpected keys: weight, bias"),
    Mistake("weights of another size", ">>> flambeau.nn.Linear(3, 5).load_state_dict(flambeau.load('linear.pt'))",
            "RuntimeError: Error(s) in loading state_dict for Linear: size mismatch for weight: copying a param with shape "
            "torch.Size([4, 3]) from checkpoint, the shape in current model is torch.Size([5, 3]). …"),
    Mistake("weights without a run", "flambeau predict face.jpg --out out --from linear.pt",
            "linear.pt holds weights, but not the state of a run; start from it with `flambeau finetune --from linear.pt`"),
    Mistake("a layer frozen that is not there", "flambeau finetune digits --from runs/digits --freeze featuers",
            "--freeze featuers: no parameter has such a name; did you mean 'features'?"),
    Mistake("everything frozen", "flambeau finetune digits --from runs/digits --freeze '*'",
            "--freeze *: this leaves nothing to train"),
    Mistake("a run resumed with another network", "flambeau train runs/digits --resume model.args.num_classes=12",
            "the checkpoint runs/digits/last.pt is of another network. Shapes: classifier.4.weight is 10x84 in the file, 12x84 in the "
            "network; classifier.4.bias is 10 in the file, 12 in the network"),
    Mistake("a run resumed with another optimizer", "flambeau train runs/digits --resume optimizer.target=flambeau.optim.Adam",
            "runs/digits/last.pt is of a run with flambeau.optim.SGD; it cannot be resumed with flambeau.optim.Adam. Start a new run "
            "from its weights: flambeau finetune --from runs/digits/last.pt"),
]

DATA = [
    Mistake("a list that is not there", FACES, "faces.txt: no such list of faces; it belongs beside the pictures, a line for each face. `flambeau demo` renders faces into "
            "data/faces; the folders of your own are data.train.args.root and those of data.validation and data.test"),
    Mistake("a list of nothing", FACES, "faces.txt: holds no faces", face("# no face yet")),
    Mistake("a picture that is not there", FACES, f"none.jpg: no such image file{SKIP}", face(GOOD.replace("face", "none"))),
    Mistake("a picture cut short", FACES, f"cut.jpg: a damaged or truncated image (…){SKIP}", face(GOOD.replace("face", "cut"))),
    Mistake("a text for a picture", FACES, f"text.jpg: not an image file of a known format{SKIP}", face(GOOD.replace("face", "text"))),
    Mistake("an empty picture", FACES, f"empty.jpg: an empty file, not an image{SKIP}", face(GOOD.replace("face", "empty"))),
    Mistake("points left out", FACES,
            f"faces.txt:1: 3 numbers after the path, wanted 46: a box x1 y1 x2 y2 and 21 points x y{SKIP}", face("face.jpg 1 2 3")),
    Mistake("a box outside the picture", FACES,
            f"faces.txt:1: the box (10, 10, 70, 700) reaches outside face.jpg, an image of 80 x 80 pixels{SKIP}",
            face(GOOD.replace(" 70 70 ", " 70 700 "))),
    Mistake("an empty box", FACES,
            f"faces.txt:1: the box (80, 10, 70, 70) is empty; wanted x1 y1 x2 y2 with x1 < x2, y1 < y2{SKIP}",
            face(GOOD.replace(" 10 10 ", " 80 10 "))),
    Mistake("a point that is no number", FACES, f"faces.txt:1: point 1 of 21 is (nan, 30), not a finite position{SKIP}",
            face(GOOD.replace(" 20 30 ", " nan 30 "))),
    Mistake("a word among the numbers", FACES,
            f"faces.txt:1: 'left' is not a number (a path with blanks must be in double quotes){SKIP}",
            face(GOOD.replace(" 20 30 ", " left 30 "))),
    Mistake("a quote left open", FACES, f"faces.txt:1: a quote that is not closed, in '\"face.jpg 10 10 70 70 …'{SKIP}",
            face('"' + GOOD)),
    Mistake("a .pts file cut short", PTS, f"pts/a.pts: announces 21 points but holds 2 numbers, wanted 42{SKIP}",
            (("pts/a.pts", "version: 1\nn_points: 21\n{\n1 2\n}\n"),)),
    Mistake("points without a picture", PTS,
            f"pts/a.pts: no image beside it (tried .jpg, .png, .jpeg, .bmp, .JPG, .PNG){SKIP}",
            (("pts/a.pts", "version: 1\nn_points: 21\n{\n" + "1 2\n3 4\n5 7\n" * 7 + "}\n"),)),
    Mistake("bad samples left out of a set that cannot",
            "flambeau train digits data.train.target=flambeau.vision.datasets.Digits --skip-bad",
            "data.train: flambeau.vision.datasets.Digits cannot skip bad samples (no `skip_bad`)"),
    Mistake("a picture to predict that is not there", "flambeau predict none.jpg --out out", f"none.jpg: no such image file{SKIP}"),
    Mistake("MNIST not fetched", SETS + "MNIST('data')",
            "DatasetNotFoundError: MNIST: data/MNIST/raw/train-images-idx3-ubyte is missing (also with .gz). Flambeau does not download; "
            "fetch https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz (MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873) … "
            "and put it into data/MNIST/raw"),
    Mistake("an MNIST file that is none", SETS + "MNIST('mnist')",
            "DataError: mnist/MNIST/raw/train-images-idx3-ubyte: not an IDX file: it starts with the bytes 68 65 6c 6c, expected 00 00, "
            "an element type of 08, 09, 0b..0e and a number of dimensions"),
    Mistake("CIFAR-10 not fetched", SETS + "CIFAR10('data', download=True)",
            "DatasetNotFoundError: CIFAR10: data/cifar-10-python.tar.gz is missing. Flambeau does not download; fetch "
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz (MD5 c58f30108f718f92721af3b95e74349a) and put it into data; "
            "download=True then unpacks it"),
    Mistake("a damaged batch of CIFAR-10", SETS + "CIFAR10('cifar')",
            "DatasetNotFoundError: CIFAR10: cifar/cifar-10-batches-py/data_batch_1 is damaged or not the published file (MD5 "
            "5eb63bbbe01eeed093cb22bb8f5acdc3, published c99cafc152244af753f735de768cd75f). …"),
    Mistake("a folder of images that is not there", SETS + "ImageFolder('pictures')",
            "MissingFilesError: pictures: no such folder; it should hold a folder of images for each class"),
    Mistake("images without class folders", SETS + "ImageFolder('pts')", "MissingFilesError: Couldn't find any class folder in pts."),
    Mistake("a class without images", SETS + "ImageFolder('animals')",
            "MissingFilesError: Found no valid file for the classes dog. Supported extensions are: .jpg, .jpeg, … (in animals)"),
    Mistake("a text among images, read by a worker process", f"flambeau train mine.yaml data.num_workers=1 {EAGER}",
            f"photos/dog/notes.png: not an image file of a known format{SKIP}",
            (("mine.yaml", "base: digits\ndata:\n  train: {target: flambeau.vision.datasets.ImageFolder, args: {root: photos}}\n"
              "  validation:\n"), ("photos/dog/notes.png", "no image"))),
    Mistake("validation that lacks a class", "flambeau train mine.yaml",
            "data.validation has 2 classes, the training data 3: it lacks dog, so their numbers would not mean the same. Give both "
            "the same folders; one may be empty with args.allow_empty: true",
            yaml("mine.yaml", "base: digits", "data:", f"  train: {{{BIRDS}}}", f"  validation: {{{BIRDS.replace('birds', 'fewer')}}}")),
    Mistake("pictures of several sizes", "flambeau train mine.yaml trainer.compile=false",
            "data.train: a batch could not be made. RuntimeError: stack expects each tensor to be equal size, but got … Samples must be "
            "tensors of one size: transforms such as Resize and ToTensor bring pictures there; FLAMBEAU_TRACEBACK=1 shows where it happened",
            yaml("mine.yaml", "base: digits", "data:", f"  train: {{{BIRDS}}}", "  validation:")),
    Mistake("pictures that are no tensors", "flambeau train mine.yaml trainer.compile=false",
            "data.train: a batch could not be made. TypeError: default_collate: batch must contain tensors, numpy arrays, numbers, dicts "
            "or lists; found <class 'PIL.Image.Image'>. Samples must be tensors of one size: transforms such as Resize and ToTensor "
            "bring pictures there; FLAMBEAU_TRACEBACK=1 shows where it happened",
            yaml("mine.yaml", "base: digits", "data:",
                 "  train: {target: flambeau.vision.datasets.ImageFolder, args: {root: birds}}", "  validation:")),
    Mistake("annotations without images", SETS + "CocoDetection('.', 'coco.json')",
            "DataError: coco.json: no list 'images', as a COCO file has; it has 'annotations'"),
]

PARTS = {"Command line": COMMAND_LINE, "Config": CONFIG, "Checkpoints": CHECKPOINTS, "Data": DATA}
CASES = [pytest.param(m, id=f"{part}: {m.what}".lower()) for part, table in PARTS.items() for m in table]


class Command:
    """Unpickled, it would run a command."""

    def __reduce__(self) -> Any:
        import os

        return (os.system, ("true",))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that people have: pictures, a trained run, checkpoints that are whole and not."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "pts").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "face.jpg")
    whole = (folder / "face.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.jpg").write_bytes(b"")
    for name in ("mnist/MNIST/raw/train-labels-idx1-ubyte", "cifar/cifar-10-batches-py/data_batch_1"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("hello world")
    (folder / "mnist/MNIST/raw/train-images-idx3-ubyte").write_text("hello world")
    (folder / "photos" / "dog").mkdir(parents=True)
    for name in ("cat", "dog"):
        (folder / "animals" / name).mkdir(parents=True)
    shutil.copy(folder / "face.jpg", folder / "animals" / "cat")
    for name in ("cat", "dog", "owl"):  # of several sizes
        (folder / "birds" / name).mkdir(parents=True)
        Image.fromarray(pixels[:, : 40 + len(list(folder.glob("birds/*")))]).save(folder / "birds" / name / "1.png")
    shutil.copytree(folder / "birds", folder / "fewer", ignore=shutil.ignore_patterns("dog"))
    (folder / "coco.json").write_text(json.dumps({"annotations": []}))

    flambeau.save(flambeau.nn.Linear(3, 4).state_dict(), folder / "linear.pt")
    flambeau.save({"epoch": 3}, folder / "notes.pt")
    whole = (folder / "linear.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pt").write_bytes(b"")
    evil(folder / "evil.pth")
    trained(folder / "runs")
    return folder


def evil(path: Path) -> None:
    """A checkpoint in PyTorch's format whose pickle names a function of the operating system."""
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"weight": Command()}, protocol=2))
        archive.writestr("evil/version", "3\n")


def trained(runs: Path) -> None:
    """A run of the packaged digits of a single step."""
    from flambeau.train.config_files import load_config
    from flambeau.train.run_folder import RunFolder
    from flambeau.train.trainer import Trainer

    settings = [f"folder={runs}", "trainer.epochs=1", "trainer.compile=false", "trainer.overfit_batches=1"]
    config = load_config("digits", settings)
    Trainer(config, RunFolder.create(config)).fit()


def words(text: str) -> str:
    """A text without the frames, colours and line breaks of the terminal."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


def said(mistake: Mistake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the person reads."""
    if mistake.did.startswith(">>> "):
        with pytest.raises(Exception) as caught:
            exec(mistake.did[4:], {"flambeau": flambeau})
        return f"{type(caught.value).__name__}: {caught.value}"
    from flambeau.cli.app import run

    monkeypatch.setattr(sys, "argv", shlex.split(mistake.did))
    assert run() != 0
    return capsys.readouterr().err


@pytest.mark.parametrize("mistake", CASES)
def test_what_a_person_reads(
    mistake: Mistake,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    for name, content in mistake.given:
        (folder / name).write_text(content)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("MY_RUNS_FOLDER", raising=False)
    monkeypatch.delenv("FLAMBEAU_TRACEBACK", raising=False)
    for name in ("mynet", "mynorm", "mylost", "mytypo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = words(said(mistake, monkeypatch, capsys))
    expected = ".*".join(re.escape(part.strip()) for part in words(mistake.reads).split("…"))
    assert re.search(rf"(^|error: | Error ){expected}$", found), found


def test_there_are_many() -> None:
    names = [mistake.what for table in PARTS.values() for mistake in table]
    assert len(names) == len(set(names)) >= 60


# --- The document


def document() -> str:
    lines = [
        "# Mistakes, and what you read",
        "",
        "Every message names the place and says what would be right. This table is tested word for word "
        "(`tests/cli/test_mistakes.py`, which also writes it); `…` stands for what differs.",
        "With `FLAMBEAU_TRACEBACK=1` in the environment, a command ends with the whole traceback instead.",
    ]
    for part, table in PARTS.items():
        lines += ["", f"## {part}", "", "| mistake | what was done | what is read |", "| --- | --- | --- |"]
        for mistake in table:
            given = "".join(f"<br>{name}: {_code(_short(content))}" for name, content in mistake.given)
            lines.append(f"| {mistake.what} | {_code(mistake.did)}{given} | {_text(mistake.reads)} |")
    return "\n".join(lines) + "\n"


def _short(content: str) -> str:
    line = "⏎ ".join(content.rstrip("\n").split("\n")).replace("\t", "⇥")
    return line if len(line) <= 120 else line[:117].rstrip() + "…"


def _code(text: str) -> str:
    quote = "``" if "`" in text else "`"
    return f"{quote}{text}{quote}".replace("|", "\\|")


def _text(text: str) -> str:
    for mark in "\\*_<>[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run python tests/cli/test_mistakes.py"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
