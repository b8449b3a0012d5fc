"""How many crystals of a task a network of elements and distances cannot tell apart, as a frame."""

from __future__ import annotations

import pandas as pd

from crystalbench.evaluation.columns import require_columns

COLUMNS = (
    *("task", "neighbours", "tolerance", "pairs", "crystals", "examples"),
    *("identical", "other_space_group", "rows", "rows_total", "fold_scheme"),
)


def refinement(answers: pd.DataFrame) -> pd.DataFrame:
    """A row per task, number of neighbours and tolerance.

    Args:
        answers: rows with the columns `COLUMNS`, from several runs perhaps.

    Returns:
        A frame with the columns `COLUMNS`:

        * ``neighbours``, ``tolerance``: of the graphs; distances are rounded to multiples of the tolerance, in Å
        * ``pairs``: pairs of different crystals with the same graph; ``crystals``: crystals in such pairs
        * ``examples``: some of the pairs, with formula and space group
        * ``identical``: all pairs with the same graph, those of one crystal in two rows included
        * ``other_space_group``: those of ``pairs`` whose space groups, within 0.1 Å, differ; the others differ in the
          distance of layers, for instance, which may be vacuum
        * ``rows``, ``rows_total``, ``fold_scheme``: of the task

    Raises:
        DataError: a column is missing.
    """
    if answers.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    require_columns(answers, COLUMNS, "answers")
    order = ["task", "rows", "fold_scheme", "neighbours", "tolerance"]
    found = answers.sort_values([*order, "key"], kind="stable").drop_duplicates(order, keep="last")
    return found[list(COLUMNS)].reset_index(drop=True)
