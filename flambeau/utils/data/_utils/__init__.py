"""The parts of the loader, where programs look for them."""

from flambeau.utils.data import collate as collate
from flambeau.utils.data import fetch as fetch
from flambeau.utils.data import worker as worker
