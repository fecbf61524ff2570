"""Data pipes: data sets put together by methods, `pipe.map(f).shuffle().batch(8)`.

`IterDataPipe` streams, `MapDataPipe` is read by key. `functional_datapipe` gives a class a method's name.
"""

from flambeau.utils.data.datapipes import iter as iter
from flambeau.utils.data.datapipes import map as map
from flambeau.utils.data.datapipes.base import DataChunk as DataChunk
from flambeau.utils.data.datapipes.base import IterDataPipe as IterDataPipe
from flambeau.utils.data.datapipes.base import MapDataPipe as MapDataPipe
from flambeau.utils.data.datapipes.base import functional_datapipe as functional_datapipe

__all__ = ["DataChunk", "IterDataPipe", "MapDataPipe", "functional_datapipe", "iter", "map"]
