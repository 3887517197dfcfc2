"""The table of a comparison as Markdown, and the page in which it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comparison import Method, Scale, Table

PAGES = (Path("README.md"), Path("docs/methods.md"), Path("docs/search.md"), Path("docs/sweeps.md"))
END = "<!-- end of results -->"
COLUMNS = {
    "kendall_tau": ("tau", 3),
    "kendall_tau_sparse": ("sparse tau", 3),
    "p_at_top5": ("P@top5%", 2),
    "kendall_tau_top10": ("tau in the true top 10 %", 2),
    "best_rank": ("rank found", 0),
    "found_accuracy": ("accuracy found, %", 2),
}


def start_mark(name: str, scale: str) -> str:
    """Return the line after which a table stands in a page."""
    return f"<!-- results: experiments/compare.py {name} {scale} -->"


def write_tables(table: Table, scale: Scale, result: dict[str, Any]) -> str:
    """Put the table into every page that has its marks, and return it."""
    text = markdown(table, scale, result)
    put_into_pages(start_mark(table.name, scale), text)
    return text


def put_into_pages(mark: str, text: str) -> None:
    """Put a text into every page that has its mark, between that and the end of results."""
    for page in (Path(__file__).resolve().parents[1] / page for page in PAGES):
        if not page.exists() or mark not in page.read_text():
            continue
        before, _, rest = page.read_text().partition(mark)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{mark}\n{text}\n{END}{after}")


def markdown(table: Table, scale: Scale, result: dict[str, Any]) -> str:
    """Return the table: a row a method, mean and deviation over seeds, and whether it beats every control."""
    comparison = table.comparison
    rows, summary = comparison.rows(scale), result["summary"]
    reported = any(rows[name].reported for name in summary)
    heads = ["method", *(head for head, _ in COLUMNS.values()), "beats the controls in", "budget"]
    alone = any(of["standalone"] for of in summary.values())
    heads += ["beside it, trained stand-alone"] if alone else []
    heads += ["reported by the paper"] if reported else []
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, of in summary.items():
        cells = [f"{name}: {rows[name].about}"]
        cells += [_mean(of[one], digits) for one, (_, digits) in COLUMNS.items()]
        cells += [_beaten(of, comparison.controls, name), f"{of['budget'] / 1000:,.0f}k"]
        cells += [f"{of['standalone'] / 1000:,.0f}k"] if alone else []
        cells += [_reported(rows[name])] if reported else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(of: dict[str, Any] | None, digits: int) -> str:
    if of is None:
        return "-"
    spread = "" if of["std"] is None else f" ± {of['std']:.{digits}f}"
    return f"{of['mean']:.{digits}f}{spread}"


def _beaten(of: dict[str, Any], controls: list[str], name: str) -> str:
    """Return the measures in which every seed is better than every seed of each control."""
    if name in controls:
        return "(control)"
    gains = of["gains"]
    others = [control for control in controls if control != name]
    missing = [control for control in others if control not in gains]
    if missing:
        return f"({', '.join(missing)} not run)"
    better = [head for one, (head, _) in COLUMNS.items() if all(gains[control][one]["separate"] for control in others)]
    return ", ".join(better) or "nothing"


def _reported(method: Method) -> str:
    return "; ".join(f"{measure} {value}" for measure, value in method.reported.items())
