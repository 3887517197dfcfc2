"""The README's section on performance, from what the benchmarks wrote.

python benchmarks/table.py     (after ``make bench``, which ends with it)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
README = _ROOT / "README.md"
MARKERS = ("<!-- results: benchmarks/table.py -->", "<!-- end of results -->")


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Args:
        text: What is compared.
        benchmark: Where: the name of the benchmark.
        ratio: The ratio's name there.
    """

    text: str
    benchmark: str
    ratio: str


AGAINST_ALONE = (
    Row("training step", "step", "step fp32 / bare fp32"),
    Row("training step in bfloat16", "step", "step bf16 / bare fp32"),
    Row("training step, the bare network channels-last too", "step", "step fp32 / bare channels_last"),
    Row("training step, both channels-last in bfloat16", "step", "step bf16 / bare channels_last bf16"),
    Row("fixed cost: a step on 2 images of 8x8", "step", "fixed cost / bare"),
    Row("score", "scoring", "score fp32 / bare fp32"),
    Row("score in bfloat16", "scoring", "score bf16 / bare fp32"),
    Row("score, the bare network channels-last too", "scoring", "score fp32 / bare channels_last"),
    Row("score, both channels-last in bfloat16", "scoring", "score bf16 / bare channels_last bf16"),
    Row(
        "1,000 scores in one call, a third of them equal to others (estimated)",
        "scoring",
        "long list fp32 / bare fp32 (estimated)",
    ),
)

GAINS = (
    Row("weights channels-last (training step of the bare network)", "step", "bare channels_last / bare fp32"),
    Row("all of raynas's kernels on top (training step)", "step", "step fp32 / bare channels_last"),
    Row("all of raynas's kernels on top (score)", "scoring", "score fp32 / bare channels_last"),
    Row("- average pooling as a depthwise convolution", "kernels", "pooling as depthwise convolution / torch's, fp32"),
    Row("- the same in bfloat16", "kernels", "pooling as depthwise convolution / torch's, bf16"),
    Row("- 1x1 convolution as a matrix product", "kernels", "1x1 convolution as product / torch's"),
    Row(
        "- small 3x3 convolution as a matrix product, 16 images of 8x8 and less",
        "kernels",
        "3x3 convolution of 16 images as product / torch's",
    ),
    Row("- the same, 2 images", "kernels", "3x3 convolution of 2 images as product / torch's"),
    Row(
        "- all blocks as one node of the graph, with these products (64 images of 32x32)",
        "kernels",
        "one node / module by module, batch 64, 32x32",
    ),
    Row("- the same, 2 images of 8x8", "kernels", "one node / module by module, 2 images of 8x8"),
    Row("bfloat16 on top (training step)", "step", "step bf16 / step fp32"),
    Row("bfloat16 on top (score)", "scoring", "score bf16 / score fp32"),
    Row("freed memory kept by the process (score)", "scoring", "memory kept / default malloc"),
    Row("64 architectures a call, 256 images", "scoring", "one call / one by one, n=64, 256 images"),
    Row("64 architectures a call, 16 images", "scoring", "one call / one by one, n=64, 16 images"),
    Row(
        "equal under shared weights, evaluated once: fewer evaluations of 1,000 random cells (counted)",
        "scoring",
        "long list: evaluations / paths",
    ),
    Row("the same, of all 15,625 cells (counted)", "scoring", "whole space: evaluations / cells"),
    Row("shared prefixes: 81 encodings of NAS-Bench-Macro", "prefix", "one call / one by one, 81 encodings"),
    Row(
        "all 6,561 encodings: fewer layers run (counted)", "prefix", "layers run, all encodings: one call / one by one"
    ),
    Row("all 6,561 encodings: time (estimated)", "prefix", "one call / one by one, all encodings (estimated)"),
    Row("fused optimizer instead of torch's loop (its part of a step)", "not_taken", "SGD fused / SGD loop"),
)

METHODS_HEAD = "time of what a method does over a plain training step's"
METHOD_SIZES = ("C=16, N=5, 32x32", "C=8, N=1, 16x16")
"""What `benchmarks/methods.py` trains: the published size of NAS-Bench-201, and a reduced one."""

_ADDED = (
    ("GreedyNAS: an image scored", "image scored / image trained"),
    ("landmarks: the term of a pair", "landmark pair / step"),
    *((f"CLOSE: a step with {n} block{'s' * (n > 1)}", f"CLOSE with {n} blocks / step") for n in range(1, 6)),
    ("CLOSE: a step with 5 blocks, all of them run, as released", "CLOSE with 5 blocks, all run / step"),
)
METHODS = tuple(
    Row(f"{text}, {size}", "methods", f"{ratio}, {size}") for size in METHOD_SIZES for text, ratio in _ADDED
)

NOT_TAKEN = (
    Row("torch.compile of one operation, compilation not counted", "not_taken", "compiled operation / eager operation"),
    Row("convolutions that leave one node merged into one", "not_taken", "merged convolutions / separate"),
    Row(
        "bfloat16 in torch's default layout, against channels-last", "not_taken", "contiguous bf16 / channels_last bf16"
    ),
    Row(
        "16 architectures as one batch on a CPU, 2 images of 8x8 (GPUs run them so)",
        "kernels",
        "16 architectures as one batch / one after another, 2 images of 8x8",
    ),
    Row(
        "the same, 16 images of 32x32",
        "kernels",
        "16 architectures as one batch / one after another, 16 images of 32x32",
    ),
)

Results = dict[str, dict[str, Any]]


def read_results(folder: Path = RESULTS) -> Results:
    """Return what the benchmarks wrote, by benchmark.

    Raises:
        ValueError: A result is of a quick run.
    """
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    wanted = {row.benchmark for row in (*AGAINST_ALONE, *METHODS, *GAINS, *NOT_TAKEN)}
    results = {name: found[name] for name in wanted if name in found}
    for name, result in results.items():
        if result["quick"]:
            raise ValueError(f"{folder / name}.json is of a --quick run; the README shows full ones")
    return results


def markdown(results: Results) -> str:
    """Return the tables and what was measured where; what methods add is left out where it was not measured."""
    alone = [(row, _times(results, row), _median(results, row)) for row in AGAINST_ALONE if row.benchmark in results]
    methods = [(row, _times(results, row), _median(results, row)) for row in METHODS if row.benchmark in results]
    gains = [(row, _gain(results, row)) for row in GAINS if row.benchmark in results]
    not_taken = [(row, _times(results, row)) for row in NOT_TAKEN if row.benchmark in results]
    return "\n\n".join(
        [
            _table(("time of raynas over the bare network's", "all paths", "median path (quartiles)"), alone),
            *([_table((METHODS_HEAD, "all paths", "median path (quartiles)"), methods)] if methods else []),
            _table(("what is done for it", "times as fast"), gains),
            _table(("what is not used", "its time over that of what is used"), not_taken),
            *_compilation(results),
            *_origins(results),
        ]
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[Row, *tuple[str, ...]]]) -> str:
    lines = [head, ("---",) * len(head), *((row.text, *cells) for row, *cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _times(results: Results, row: Row) -> str:
    return _cell(results, row, lambda ratio: ratio)


def _gain(results: Results, row: Row) -> str:
    return _cell(results, row, lambda ratio: 1 / ratio)


def _cell(results: Results, row: Row, shown: Callable[[float], float]) -> str:
    result = results[row.benchmark]
    if row.ratio in result["skipped"]:
        return f"not run ({result['skipped'][row.ratio]})"
    return f"{shown(result['ratios'][row.ratio]):.2f}"


def _median(results: Results, row: Row) -> str:
    for comparison in results[row.benchmark]["comparisons"]:
        ratio = comparison["ratios"].get(row.ratio, {})
        if "median" in ratio:
            low, high = ratio["quartiles"]
            return f"{ratio['median']:.2f} ({low:.2f} to {high:.2f})"
    return ""


def _compilation(results: Results) -> Iterator[str]:
    for name, seconds in results.get("not_taken", {"figures": {}})["figures"].items():
        yield f"({name[0].upper()}{name[1:]}: {seconds:.0f}.)"


def _origins(results: Results) -> Iterator[str]:
    """Yield a sentence for every machine and setting that results are from; usually all are from one."""
    described: dict[str, list[str]] = {}
    for name, result in sorted(results.items()):
        loads = [one["others"] for one in result["comparisons"] if one["others"] is not None]
        busy = f"others used at most {max(loads):.0%}" if loads else "load of others unknown"
        described.setdefault(_machine(result["environment"]), []).append(f"`{name}` ({busy})")
    for machine, names in described.items():
        yield f"{machine}: {', '.join(names)}."


def _machine(where: dict[str, Any]) -> str:
    instructions = ", ".join(where["instructions"])
    return (
        f"{where['processor']} ({where['cpus']} cores; {instructions}), {where['threads']} threads, "
        f"torch {where['versions']['torch']}, malloc {where['malloc']}, {where['date'][:10]}"
    )


def main() -> None:
    """Write the tables between the README's markers."""
    before, _, rest = README.read_text().partition(MARKERS[0])
    _, _, after = rest.partition(MARKERS[1])
    README.write_text(f"{before}{MARKERS[0]}\n{markdown(read_results())}\n{MARKERS[1]}{after}")


if __name__ == "__main__":
    main()
