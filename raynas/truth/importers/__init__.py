"""Truth from the official files of the field's benchmarks: one format a module, all in `IMPORTERS`. Numpy only."""

from raynas.truth.importers import darts_random as darts_random
from raynas.truth.importers import nasbench101 as nasbench101
from raynas.truth.importers import nasbench301 as nasbench301
from raynas.truth.importers import nasbench_macro as nasbench_macro
from raynas.truth.importers import nats_bench as nats_bench
from raynas.truth.importers import nds as nds
from raynas.truth.importers import npz_nasbench201 as npz_nasbench201
from raynas.truth.importers import own_results as own_results
from raynas.truth.importers.importing import import_to_file, import_truth, parse_options
from raynas.truth.importers.registry import IMPORTERS

__all__ = ["IMPORTERS", "import_to_file", "import_truth", "parse_options"]
