"""Which runs in a folder of results belong together: a model with its hyperparameters, whatever it may see."""

from __future__ import annotations

import hashlib
import json

import pandas as pd

from crystalbench.evaluation.entries import title_of

VERSIONS = ("version", "view_version")
"""Settings of which only the newest is used."""

_SHORT = 8
"""Characters that tell configurations of one name apart."""


def newest(runs: pd.DataFrame) -> pd.DataFrame:
    """Name the models of runs, and leave out runs of former versions.

    Runs of one name, protocol and hyperparameters belong together, under whatever view. Of these, runs of former
    versions of the model, and of former versions of a view, are left out.

    Args:
        runs: frame with the columns ``task``, ``model``, ``protocol``, ``view``, ``fold_scheme``, ``rows`` and
            ``settings`` of `crystalbench.results.frames.scores_frame`.

    Returns:
        The remaining rows with another column ``entry``: the name of the model, ``cgcnn (tuned)`` if it is tuned. If
        models with different hyperparameters have one name on the same rows of a task, a part of a digest of theirs
        follows, as in ``cgcnn 1a2b3c4d``.
    """
    if runs.empty:
        return runs.assign(entry=pd.Series(dtype=object))
    settings = [json.loads(text) for text in runs["settings"]]
    bare = [{name: value for name, value in one.items() if name not in VERSIONS} for one in settings]
    found = runs.assign(
        entry=[title_of(*row, "full") for row in zip(runs["model"], runs["protocol"], strict=True)],
        _digest=[hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:_SHORT] for one in bare],
        **{f"_{name}": [int(one.get(name, 1)) for one in settings] for name in VERSIONS},
    )
    same_model = ["task", "fold_scheme", "rows", "entry", "_digest"]
    found = found[found["_version"] == found.groupby(same_model)["_version"].transform("max")]
    same_view = [*same_model, "view"]
    found = found[found["_view_version"] == found.groupby(same_view)["_view_version"].transform("max")]
    several = found.groupby(same_model[:-1])["_digest"].transform("nunique") > 1
    found["entry"] = found["entry"].where(~several, found["entry"] + " " + found["_digest"])
    return found.drop(columns=["_digest", *(f"_{name}" for name in VERSIONS)])
