"""The registry of importers: each reads one file format and returns a `TruthTable`; its keywords are its options."""

from raynas.registry import Registry
from raynas.truth.table import TruthTable

IMPORTERS: Registry[TruthTable] = Registry("truth format")
