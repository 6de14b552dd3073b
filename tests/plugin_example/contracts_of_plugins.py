"""The contracts of all tables on the plugins of this package. `tests/test_plugin_example.py` runs this file."""

from hybrid_search_example.block import Plain
from hybrid_search_example.chart import SECONDS
from hybrid_search_example.checkpoint_store import Shelf
from hybrid_search_example.logger import LinesLogger
from hybrid_search_example.objective import TRAIN_LOSS
from hybrid_search_example.operator import Shift
from hybrid_search_example.pruner import low_accuracy
from hybrid_search_example.sampler import sobol
from hybrid_search_example.stem import Patches

from hybrid_search.records import Settings
from hybrid_search.testing import (
    BlockContract,
    ChartContract,
    CheckpointStoreContract,
    DatasetContract,
    EngineContract,
    ExportFormatContract,
    LoggerContract,
    ObjectiveContract,
    OperatorContract,
    PrunerContract,
    SamplerContract,
    StemContract,
)


class TestShift(OperatorContract):
    name, operator, width = "shift", Shift, 10
    cases = ({}, {"reach": 2})
    illegal = (({"reach": 0}, 10, "reach must be a whole number"), ({"reach": 1}, 3, "width of at least 4"))


class TestPlain(BlockContract):
    name, block = "plain", Plain
    cases = ({}, {"norm": False})
    illegal = (({"norm": 1}, 16, "norm of block plain must be true or false"),)


class TestPatches(StemContract):
    stem = Patches
    cases = ({"width": 8}, {"width": 8, "stride": 4})
    illegal = (({"width": 0}, "width must be a whole number"), ({"stride": 3}, "stride of stem patches"))


class TestStripes(DatasetContract):
    name, classes = "stripes", ("rows", "columns")

    def write(self, folder):
        return Settings(data="stripes")


class TestTrainLoss(ObjectiveContract):
    objective = TRAIN_LOSS


class TestSobol(SamplerContract):
    factory = staticmethod(sobol)


class TestLowAccuracy(PrunerContract):
    factory = staticmethod(low_accuracy)


class TestSerial(EngineContract):
    engine = "serial"
    has_worker_processes = False


class TestShelf(CheckpointStoreContract):
    def new_store(self, tmp_path):
        return Shelf(f"shelf://{tmp_path}")


class TestLines(LoggerContract):
    def new_logger(self, tmp_path, run):
        return LinesLogger(str(tmp_path / "lines.txt"), run)


class TestArrays(ExportFormatContract):
    name, files = "arrays", ("weights.npz",)


class TestSeconds(ChartContract):
    chart = SECONDS
