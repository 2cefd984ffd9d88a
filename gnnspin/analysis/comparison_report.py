"""A comparison of architectures from its configuration to tables and figures."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gnnspin.analysis.comparison import ComparisonConfig, by_data, compare, front, over_seeds, table
from gnnspin.core.errors import InvalidInput
from gnnspin.plotting.comparison import accuracy_against_cost, learning_curves
from gnnspin.runs import replaced, write_text


def run_comparison(
    config: ComparisonConfig,
    output: str | Path,
    *,
    models: Sequence[str] = (),
    data: Sequence[str] = (),
    seeds: Sequence[int] = (),
    n_workers: int = 1,
    progress: bool = True,
) -> str:
    """Run a comparison, or the part of it that is asked for, and write its tables and figures.

    Leaves ``results.csv``, ``table.md``, ``table.tex``, and for every set of labels ``DATA_cost.png`` and, with several
    sizes of the training set, ``DATA_learning.png`` in `output`, beside one folder per training.

    Parameters
    ----------
    config : ComparisonConfig
    output : path
        What is there already is not computed again.
    models, data, seeds : sequences
        Restrict the comparison; empty: everything.
    n_workers : int
        Trainings at a time.
    progress : bool

    Returns
    -------
    str
        The table in Markdown, followed by the front of accuracy against cost of each set.

    Raises
    ------
    InvalidInput
        If a name is not in the configuration, or labels and models do not fit together.
    """
    config = _restricted(config, models, data, seeds)
    output = Path(output)
    rows = compare(config, output, n_workers=n_workers, progress=progress)
    _write_csv(rows, output / "results.csv")
    text = table(rows)
    for name, own in by_data(rows):
        arena = config.data[name]
        largest = over_seeds([row for row in own if row["n_training"] == max(r["n_training"] for r in own)])
        known = [(k.name, k.torque_rmse, k.microseconds_per_site) for k in arena.known]
        figure = name.replace("/", "_")
        accuracy_against_cost(largest, output / f"{figure}_cost.png", known=known, floors=arena.floors)
        if len({row["n_training"] for row in own}) > 1:
            learning_curves(own, output / f"{figure}_learning.png", signal=own[0]["test_torque_rms"])
        text += f"\nfront of accuracy and cost on {name}: {', '.join(row['model'] for row in front(largest))}\n"
    write_text(output / "table.md", text)
    write_text(output / "table.tex", latex_table(rows))
    return text


#: Columns of the LaTeX table: key, title, and what the number is multiplied with.
_LATEX_COLUMNS = (
    ("parameters", "parameters", 1.0),
    ("test_torque_rmse", r"torque RMSE ($10^{-3}t$)", 1e3),
    ("test_torque_r2", "$R^2$", 1.0),
    ("torque_receptive_radius", "radius ($a$)", 1.0),
    ("microseconds_per_site", r"\textmu s per site", 1.0),
)


def latex_table(rows: Sequence[Mapping[str, Any]]) -> str:
    r"""Rows of a comparison as a LaTeX table for a paper.

    One ``tabular`` with the rules of the package booktabs; means over seeds with their standard deviation in brackets
    (in units of the last digit), of the largest number of training labels; the most accurate model first within each
    set of labels, and the models that no other beats in both accuracy and cost in bold.

    Parameters
    ----------
    rows : sequence of mappings
        As `compare` returns them.

    Returns
    -------
    str

    Raises
    ------
    InvalidInput
        If there are no rows.
    """
    if not rows:
        raise InvalidInput("no results for a table")
    titles = ["model", *(title for _, title, _ in _LATEX_COLUMNS)]
    lines = [rf"\begin{{tabular}}{{l{'r' * len(_LATEX_COLUMNS)}}}", r"\toprule", " & ".join(titles) + r" \\"]
    for name, own in by_data([dict(row) for row in rows]):
        largest = over_seeds([row for row in own if row["n_training"] == max(r["n_training"] for r in own)])
        best = [row["model"] for row in front(largest)]
        heading = rf"{_escaped(name)}, {largest[0]['n_training']} labels"
        lines += [r"\midrule", rf"\multicolumn{{{len(titles)}}}{{l}}{{\emph{{{heading}}}}} \\"]
        for row in sorted(largest, key=lambda each: each["test_torque_rmse"]):
            model = _escaped(row["model"])
            cells = [rf"\textbf{{{model}}}" if row["model"] in best else model]
            for key, _, factor in _LATEX_COLUMNS:
                spread = row["test_torque_rmse_spread"] if key == "test_torque_rmse" else None
                cells.append(_latex_number(row.get(key), factor, spread))
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_number(value: Any, factor: float, spread: float | None) -> str:
    """Three digits, or those that the spread leaves, with the spread of the last digit in brackets; a dash for none."""
    if value is None:
        return "--"
    if isinstance(value, int):
        return f"{value:,}".replace(",", r"\,")
    number = value * factor
    if not spread or not math.isfinite(spread):
        exponent = math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0
        return f"{number:.{max(0, 2 - exponent)}f}" if math.isfinite(number) else "--"
    digits = max(0, -math.floor(math.log10(spread * factor)))
    return f"{number:.{digits}f}({round(spread * factor * 10**digits)})"


def _escaped(text: str) -> str:
    """Text with the characters that LaTeX reads as commands."""
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text)


def _restricted(
    config: ComparisonConfig, models: Sequence[str], data: Sequence[str], seeds: Sequence[int]
) -> ComparisonConfig:
    for kind, asked, known in (("model", models, config.models), ("set of labels", data, config.data)):
        for name in asked:
            if name not in known:
                raise InvalidInput(f"{name!r} is no {kind} of the configuration; there are {', '.join(known)}")
    chosen_models = {name: config.models[name] for name in (models or config.models)}
    chosen_data = {name: config.data[name] for name in (data or config.data)}
    only = {
        name: tuple(m for m in members if m in chosen_models)
        for name, members in config.only.items()
        if name in chosen_data
    }
    return config.model_copy(
        update={"models": chosen_models, "data": chosen_data, "only": only, "seeds": tuple(seeds) or config.seeds}
    )


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, list)))
    with replaced(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
