"""Notes that a reader of a board needs."""

from __future__ import annotations

from crystalbench.evaluation.board import OURS, Board
from crystalbench.reports.boards import DEFAULTS_CHOSEN_HERE, NOT_BETTER_THAN_DUMMY, TIER, counterparts, marks
from crystalbench.reports.common_folds import common_folds
from crystalbench.reports.formatting import (
    difference_text,
    entry_title,
    folds_list,
    full_title,
    metric_title,
    rows_text,
    short_digest,
)
from crystalbench.reports.timing import timing_notes
from crystalbench.targets import METRICS


def notes(board: Board) -> list[str]:
    """Notes that a reader of the board needs, one line each."""
    return [
        *_on_folds(board),
        *_on_data(board),
        *_on_tiers(board),
        *_on_tuning(board),
        *_on_entries(board),
        *timing_notes(board),
    ]


def _on_folds(board: Board) -> list[str]:
    if board.is_official:
        return []
    return [
        f"The folds are not the official ones but those of {board.fold_scheme}. Each score is computed once over the "
        "test samples of all folds together and is no mean over folds, which differ in size; it cannot be compared "
        "with scores on other folds, published ones among them."
    ]


def _on_data(board: Board) -> list[str]:
    found = []
    if board.is_partial:
        found.append(
            f"Only {rows_text(board)} were used: scores are on the task's folds restricted to these rows and cannot be "
            "compared with published ones, which are of all rows; where there are any, they follow ours, unranked."
        )
    if not board.is_only:
        found.append(
            f"These results have runs on other data of this task with the same number of rows: other rows, targets or "
            f"structures. Data {short_digest(board.data)} is that of this table; scores on different data are not "
            "comparable."
        )
    if board.metric == "rocauc":
        found.append(
            "Matbench's `rocauc` is computed on thresholded labels and equals the balanced accuracy; the true ROC-AUC "
            "of our runs stands beside it."
        )
    return found


def _on_tiers(board: Board) -> list[str]:
    if not board.has_tiers:
        return []
    tiers = [place.tier for place in board.standings if place is not None]
    return [
        f"Entries of one {TIER} cannot be told from its best one by the corrected t-test over the folds; "
        f"{tiers.count(1)} of {len(tiers)} ranked entries are in tier 1."
    ]


def _on_tuning(board: Board) -> list[str]:
    found = []
    if board.has_tuned:
        found.append(
            "Trials and their seconds are those of all folds' studies together; rows without them were run with "
            "the hyperparameters that are given."
        )
    failed = [f"{entry_title(e)}: {e.failed_trials:,} of {e.trials:,}" for e in board.entries if e.failed_trials]
    if failed:
        found.append(f"Trials that failed: {'; '.join(failed)}. `crystalbench studies` lists their errors.")
    if any(e.protocol.startswith("tuned on") for e in board.entries):
        found.append(
            "What was tuned on one fold for all has seen, in the search alone, the test rows of the other folds."
        )
    return found


def _on_entries(board: Board) -> list[str]:
    found = []
    if pairs := counterparts(board):
        listing = "; ".join(f"{name} of {', '.join(models)}" for name, models in pairs.items())
        found.append(f"Published counterparts: {listing}.")
    if any(DEFAULTS_CHOSEN_HERE in marks(board, entry) for entry in board.entries):
        found.append(
            f"{DEFAULTS_CHOSEN_HERE} rows of this task were used in choosing the model's defaults, from which tuning "
            "starts as well: the score may be too good."
        )
    if board.dummy is not None:
        worse = []
        for entry in board.entries:
            difference = board.minus_dummy(entry)
            if difference is not None and not board.is_better(difference):
                text = difference_text(difference, entry, METRICS[board.metric])
                common = difference.folds
                folds = "all folds" if len(common) == board.folds_total else folds_list(common)
                worse.append(f"{full_title(entry)} ({text}, {folds})")
        if worse:
            title = metric_title(METRICS[board.metric], board.unit)
            found.append(
                f"{NOT_BETTER_THAN_DUMMY} not better than {board.dummy.model}, which ignores its inputs; {title} minus "
                f"that of {board.dummy.model}, {common_folds(board)}: {'; '.join(worse)}."
            )
    ours = [e for e in board.entries if e.source == OURS]
    if incomplete := [f"{full_title(e)} ({folds_list(e.fold_numbers)})" for e in ours if not board.is_complete(e)]:
        found.append(f"Not all folds done, so not ranked: {', '.join(incomplete)}.")
    if undefined := [full_title(e) for e in ours if board.metric not in e.scores]:
        found.append(
            f"{METRICS[board.metric].label} is undefined on at least one fold, so not ranked: {', '.join(undefined)}. "
            "Rank them by another metric, or use more rows or fewer folds, so that each test part has all classes."
        )
    if refused := [f"{full_title(e)} ({e.refused})" for e in board.entries if e.refused]:
        found.append(f"Not ranked, since a pretrained part has seen the labels: {'; '.join(refused)}.")
    if flagged := [f"{full_title(e)} ({e.flagged})" for e in board.entries if e.flagged]:
        found.append(f"Pretraining to know of: {'; '.join(flagged)}.")
    if doubtful := [f"{e.model}: {e.note}" for e in board.entries if e.note]:
        found.append(f"Entries to read with care: {'; '.join(doubtful)}.")
    return found
