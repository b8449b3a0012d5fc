"""A comparison of two entries in words and as rows of tables."""

from __future__ import annotations

import math

from crystalbench.evaluation.comparison import Comparison, Probabilities, decimals_for, p_text, signed
from crystalbench.reports.formatting import MISSING, folds_list, format_spec, metric_title


def sentence(found: Comparison) -> str:
    """The verdict in one line: which entry is better by how much, or that they cannot be told apart."""
    decimals, unit = _decimals(found), _unit(found)
    if found.better is None:
        amount = f"{signed(found.mean, decimals)} ± {found.error:.{decimals}f}{unit}"
        return (
            f"{found.a} and {found.b} cannot be told apart on {found.task}: {found.a} − {found.b} = {amount} "
            f"{found.metric.label} (95 % interval {_interval(found, found.low, found.high)}), {p_text(found.p)}; "
            "not resolved"
        )
    worse = found.b if found.better == found.a else found.a
    low, high = sorted((abs(found.low), abs(found.high)))
    return (
        f"{found.better} is better than {worse} on {found.task} by {abs(found.mean):.{decimals}f} ± "
        f"{found.error:.{decimals}f}{unit} {found.metric.label} (95 % interval {_interval(found, low, high)}), "
        f"{p_text(found.p)}; resolved"
    )


def coverage(found: Comparison, folds_total: int) -> str:
    """The folds and rows that both entries have, and the number of seeds."""
    rows = f"{int(found.table['rows'].sum()):,} common test rows"
    folds = folds_list(map(int, found.table.index))
    part = (
        "" if len(found.table) >= folds_total else f" of {folds_total}: the others are missing for one of the entries"
    )
    return f"{rows} in {folds}{part}; {found.seeds_text} per fold"


def fold_table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table of the folds, with their means in the last row."""
    title = metric_title(found.metric, found.unit)
    titles = ["fold", "rows", f"{found.a}: {title}", f"{found.b}: {title}", f"{found.a} − {found.b}"]
    best_is_one = found.metric.higher_is_better
    scores = found.table[["a", "b"]]
    spec = format_spec(float(scores.abs().to_numpy().max()), best_is_one=best_is_one)
    rows = [
        [str(fold), f"{rows:,}", f"{a:{spec}}", f"{b:{spec}}", _minus(f"{difference:+{spec}}")]
        for fold, rows, a, b, difference in found.table[["rows", "a", "b", "difference"]].itertuples()
    ]
    means = [f"{scores[name].mean():{spec}}" for name in ("a", "b")]
    return titles, [*rows, ["mean", "", *means, _minus(f"{found.mean:+{spec}}")]]


def tests_table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table of the tests, with what each of them is about."""
    chances = found.probabilities
    percent = [f"{name} {chance:.1%}" for name, chance in _named(found, chances)]
    rows = [
        [
            "corrected t-test",
            "other training and test rows",
            f"{_interval(found, found.low, found.high)}, {p_text(found.p)}",
        ],
        [
            "Bayesian correlated t-test",
            f"a difference of more than {found.rope:.2g}{_unit(found)}",
            ", ".join(percent),
        ],
        ["bootstrap", "other test rows, the same fitted models", _bootstrap(found)],
        ["between seeds", "standard deviation of the score of a fold", _seeds(found)],
    ]
    return ["test", "what it is about", "result"], rows


def _named(found: Comparison, chances: Probabilities) -> list[tuple[str, float]]:
    names = (f"{found.a} is better", "practically equal", f"{found.b} is better")
    return list(zip(names, chances, strict=True))


def _decimals(found: Comparison) -> int:
    """Decimals that show two significant digits of the standard error."""
    return decimals_for(2 * found.error)


def _interval(found: Comparison, low: float, high: float) -> str:
    decimals = _decimals(found)
    return f"{signed(low, decimals, plus=False)} to {signed(high, decimals, plus=False)}{_unit(found)}"


def _bootstrap(found: Comparison) -> str:
    drawn = found.row_interval
    if drawn is None:
        return f"{MISSING} (needs predictions and a score that follows from means over rows)"
    clusters = f"{drawn.rows:,} rows of {drawn.clusters:,} compositions" if drawn.by_formula else f"{drawn.rows:,} rows"
    return f"{_interval(found, drawn.low, drawn.high)} ({clusters})"


def _seeds(found: Comparison) -> str:
    texts = [
        f"{name} {MISSING} (one seed)" if math.isnan(std) else f"{name} {std:.2g}{_unit(found)}"
        for name, std in ((found.a, found.seed_std_a), (found.b, found.seed_std_b))
    ]
    return ", ".join(texts)


def _unit(found: Comparison) -> str:
    return f" {found.unit}" if found.metric.has_unit and found.unit else ""


def _minus(text: str) -> str:
    return text.replace("-", "−")
