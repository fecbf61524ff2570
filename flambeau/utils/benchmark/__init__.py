"""Timing small pieces of code: `torch.utils.benchmark`."""

from flambeau.utils.benchmark.measurement import Measurement as Measurement
from flambeau.utils.benchmark.measurement import select_unit as select_unit
from flambeau.utils.benchmark.timer import Timer as Timer
from flambeau.utils.benchmark.timer import timer as timer
