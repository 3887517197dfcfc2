"""Benchmarks: ratios of contenders that run side by side; ``make bench`` runs all and writes ``benchmarks/results``."""
