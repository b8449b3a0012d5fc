"""Final models: fitted to all rows of a task, saved in a folder, and used for prediction.

The protocol is that of a run: every member of the ensemble is validated on another inner fold of the rows. There is no
test part, so a final model has no score; the leaderboard of the task says how good the model is.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pymatgen.core import Structure

from crystalbench._files import new_folder
from crystalbench._validation import first_problem
from crystalbench.data.checks import first_ids
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.elements import SYMBOLS
from crystalbench.data.samples import Predictions, Samples
from crystalbench.data.views import FULL, View, get_view
from crystalbench.errors import ConfigError, DataError, SavingError
from crystalbench.models import Model, Needs, get_model, load_model, save_model
from crystalbench.models.model import Progress, silent
from crystalbench.results.sealed import seal, unseal
from crystalbench.results.spec import ProtocolSpec, RunSpec
from crystalbench.runs.ensemble import combine, new_member, release
from crystalbench.runs.environment import environment
from crystalbench.runs.fit_checkpoints import FitCheckpoints
from crystalbench.runs.numbers import LARGEST_SEED, MOST_PROCESSES, whole_number
from crystalbench.runs.protocol import inner_splits
from crystalbench.runs.resources import Resources
from crystalbench.runs.visible import VisibleTask
from crystalbench.targets import Kind, Target
from crystalbench.tasks.inputs import as_inputs
from crystalbench.tasks.task import Task

log = logging.getLogger(__name__)

ALL_ROWS = -1
"""Number of the fold in the specification of a final model: it has no test part."""

DESCRIPTION = "final.json"
FORMAT = 4
"""Format of ``final.json``; format 1 had no digest, format 2 no elements, format 3 no spread."""


class FinalDescription(BaseModel):
    """Content of ``final.json``.

    Attributes:
        format: version of the format.
        task: name of the task.
        data: digest of its rows.
        rows: number of rows fitted.
        model: name or place of the model class.
        view: name or place of the view.
        members: number of ensemble members.
        spec: specification from which the seeds follow.
        columns: names of the columns of the task's table, as in a task file; empty for other tasks.
        elements: symbols of the elements in these rows; None in files of formats before 3.
        spread: standard deviation of the targets of these rows; None for classification and in formats before 4.
        environment: versions, processor, git commit.
        finished: UTC time, ISO 8601.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    task: str
    data: str
    rows: int
    model: str
    view: str
    members: int = Field(ge=1)
    spec: RunSpec
    columns: dict[str, Any] = {}
    elements: tuple[str, ...] | None = None
    spread: float | None = None
    environment: dict[str, Any]
    finished: str


@dataclass(frozen=True, repr=False)
class FinalModel:
    """A model fitted to all rows of a task.

    Attributes:
        members: fitted models; their mean is the prediction.
        description: what they were fitted to.
    """

    members: tuple[Model, ...]
    description: FinalDescription

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.members[0].target

    @property
    def needs(self) -> Needs:
        """What the model needs."""
        return self.members[0].needs

    def __repr__(self) -> str:
        """One line: what was fitted to what."""
        what = self.description
        members = f", {what.members} members" if what.members > 1 else ""
        view = "" if what.view == FULL else f", view {what.view}"
        return f"<FinalModel: {what.model} fitted to {what.rows:,} rows of {what.task}{view}{members}>"

    def predict(self, inputs: Inputs | str | Structure | Iterable[str | Structure]) -> Predictions:
        """Predict crystals or compositions, under the view of the fit.

        Args:
            inputs: n crystals or compositions, pymatgen structures, or chemical formulas.

        Returns:
            Predictions of n rows; of an ensemble's regression with standard deviations. A warning names the rows with
            elements that the model has never seen.

        Raises:
            DataError: an input is invalid, the model needs structures, or a prediction is not finite; names the id.
        """
        inputs = as_inputs(inputs)
        if new := self.new_elements(inputs):
            log.warning("%s", _new_elements_text(new, self.description))
        if isinstance(inputs, Crystals):
            inputs = get_view(self.description.view)(inputs)
            inputs = inputs.compositions() if self.needs is Needs.COMPOSITION else inputs
        elif self.needs is Needs.STRUCTURE:
            raise DataError(f"the model {self.description.model} needs structures; these are compositions")
        samples = Samples(inputs, self.target)
        predictions = [member.predict(samples).checked(self.target, samples.ids) for member in self.members]
        return combine(predictions, self.target.kind)

    def new_elements(self, inputs: Inputs) -> dict[str, tuple[str, ...]]:
        """Elements of inputs that occur in no row that the model was fitted to.

        Args:
            inputs: n crystals or compositions.

        Returns:
            The symbols of these elements by id, for the ids that have any; nothing if the elements of the rows are not
            known, or if the view hides them.
        """
        if self.description.elements is None:
            return {}
        known = set(self.description.elements)
        found = {}
        for row, elements in enumerate(_elements_of(inputs)):
            if elements <= known:
                continue
            if isinstance(inputs, Crystals):
                one = inputs[row : row + 1]
                if _elements_of(get_view(self.description.view)(one)) != [elements]:
                    continue  # the view hides the elements
            found[str(inputs.ids[row])] = tuple(sorted(elements - known))
        return found

    def save(self, folder: Path | str) -> None:
        """Write the model to a new folder, atomically.

        Raises:
            SavingError: the folder exists or cannot be written, or the model cannot be saved.
        """
        folder = Path(folder)
        if folder.exists():
            raise SavingError(f"{folder}: exists already; give the name of a new folder")
        text = seal(self.description.model_dump(mode="json"))
        try:
            with new_folder(folder) as scratch:
                for number, member in enumerate(self.members):
                    save_model(member, scratch / _member(number))
                (scratch / DESCRIPTION).write_text(text, encoding="utf-8")
        except OSError as error:
            raise SavingError(f"{folder}: cannot be written ({error})") from error

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu", threads: int = 1) -> FinalModel:
        """Read what `save` wrote. A model class from a file must still be where it was.

        Raises:
            SavingError: there is no such folder, it is damaged, or was written by another version of the model.
            ConfigError: the model class or the view cannot be found.
        """
        folder = Path(folder)
        file = folder / DESCRIPTION
        if not file.is_file():
            what = f"is not a final model: it has no {DESCRIPTION}" if folder.is_dir() else "there is no such folder"
            raise SavingError(f"{folder}: {what}; crystalbench fit writes one")
        description = _described(file)
        model = get_model(description.model)
        places = [folder / _member(number) for number in range(description.members)]
        members = [load_model(place, device=device, threads=threads, model=model) for place in places]
        return cls(tuple(members), description)


def _described(file: Path) -> FinalDescription:
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        written_by = body["format"]
        if written_by not in range(1, FORMAT + 1):
            raise SavingError(
                f"{file}: has format {written_by}, and this version of CrystalBench reads formats up to {FORMAT}; "
                "update CrystalBench, or fit the model again"
            )
        unchanged = True
        if written_by > 1:
            body, unchanged = unseal(json.dumps(body))
        description = FinalDescription.model_validate(body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise SavingError(f"{file}: is damaged ({first_problem(error)}); fit the model again") from error
    if not unchanged:
        raise SavingError(f"{file}: is damaged: it was changed after it was written; fit the model again")
    return description


def _elements_of(inputs: Inputs) -> list[set[str]]:
    """The symbols of the elements of each row."""
    compositions = inputs.compositions() if isinstance(inputs, Crystals) else inputs
    return [set(compositions.amounts_of(row)) for row in range(len(compositions))]


def _new_elements_text(new: Mapping[str, tuple[str, ...]], description: FinalDescription) -> str:
    ids: dict[str, list[str]] = {}
    for name, symbols in new.items():
        for symbol in symbols:
            ids.setdefault(symbol, []).append(name)
    listed = "; ".join(f"{symbol} in {first_ids(np.array(names))}" for symbol, names in sorted(ids.items()))
    return f"elements in none of the {description.rows:,} rows that {description.model} was fitted to: {listed}"


def _member(number: int) -> str:
    return f"member-{number}"


def fit_final(
    model: str | type[Model],
    task: Task,
    parameters: Mapping[str, Any] | None = None,
    *,
    view: str = "full",
    protocol: ProtocolSpec | None = None,
    seed: int = 0,
    resources: Resources | None = None,
    columns: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    checkpoints: FitCheckpoints | None = None,
) -> FinalModel:
    """Fit a model to all rows of a task.

    Args:
        model: registered name, ``package.module:Class``, ``path/to/file.py:Class``, or a class.
        task: the task.
        parameters: hyperparameters other than the defaults.
        view: name or place of a view.
        protocol: number of inner folds, and of ensemble members.
        seed: number of the repetition.
        resources: device and threads.
        columns: names of the columns of the task's table, to read tables for prediction.
        progress: called with progress.
        checkpoints: where long fits are saved from time to time, to go on after an interruption; the caller removes
            them.

    Raises:
        UnknownNameError: there is no such model, view or hyperparameter.
        ConfigError: the model cannot predict this kind of target, or a hyperparameter is wrong.
        DataError: the model needs structures and the task has none.
    """
    found = get_model(model) if isinstance(model, str) else model
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise ConfigError(f"model {model!r} is not a name and not a subclass of crystalbench.models.Model")
    if not isinstance(task, Task):
        raise ConfigError(f"task = {task!r}: give a task of load_task(...), or its name")
    seed = whole_number("seed", seed, 0, LARGEST_SEED)
    name = model if isinstance(model, str) else f"{model.__module__}:{model.__qualname__}"
    protocol, resources, seen = protocol or ProtocolSpec(), resources or Resources(), get_view(view)
    whole_number("threads", resources.threads, 1, MOST_PROCESSES)
    configuration = _configuration(found, name, parameters or {}, task)
    spec = _spec(found, name, configuration, task, seen, protocol, seed)
    members = _fitted_members(found, spec, task, seen, resources, progress, checkpoints)
    description = FinalDescription(
        format=FORMAT,
        task=task.name,
        data=task.digest,
        rows=len(task),
        model=name,
        view=view,
        members=len(members),
        spec=spec,
        columns=dict(columns or {}),
        elements=tuple(SYMBOLS[z] for z in np.unique(task.inputs.numbers)),
        spread=float(task.targets.std()) if task.target.kind is Kind.REGRESSION else None,
        environment=environment(resources.device),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    return FinalModel(members, description)


def _configuration(model: type[Model], name: str, parameters: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """All hyperparameters of a model that can be fitted to a task.

    Raises:
        UnknownNameError: the model has no such hyperparameter.
        ConfigError: a hyperparameter is wrong.
        DataError: the model does not predict this kind of target.
    """
    made = model.from_configuration(parameters)
    if reason := made.unsupported(task.target.kind):
        raise DataError(f"{task.name}: {name} {reason}")
    made.check_places()
    return made.configuration()


def _spec(
    model: type[Model],
    name: str,
    configuration: Mapping[str, Any],
    task: Task,
    view: View,
    protocol: ProtocolSpec,
    seed: int,
) -> RunSpec:
    """The specification from which the seeds of a final model follow; its model is named without the folder."""
    return RunSpec(
        task=task.name,
        data=task.digest,
        fold=ALL_ROWS,
        model=name.replace("\\", "/").rpartition("/")[2],
        model_version=model.version,
        parameters=dict(configuration),
        view=view.name,
        view_version=view.version,
        seed=seed,
        protocol=protocol,
    )


def _fitted_members(
    model: type[Model],
    spec: RunSpec,
    task: Task,
    view: View,
    resources: Resources,
    progress: Progress,
    checkpoints: FitCheckpoints | None,
) -> tuple[Model, ...]:
    """The members of the ensemble, each fitted to all rows but those of its inner fold, by which it is validated."""
    visible = VisibleTask.of(task, view, model.needs, resources.threads)
    progress = visible.follow(progress)
    splits = inner_splits(task.name, ALL_ROWS, task.targets, task.target.kind, spec.protocol)
    members = []
    for number, split in enumerate(splits):
        member = new_member(model, spec.parameters, spec, number, len(splits), resources, progress, checkpoints)
        member.runtime.progress(0, 0)
        train, valid = (visible.samples(np.asarray(part), with_targets=True) for part in split)
        member.fit(train, valid)
        release(member)
        members.append(member)
    return tuple(members)
