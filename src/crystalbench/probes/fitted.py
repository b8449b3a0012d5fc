"""Fitted: the models of one run, ready to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.samples import Samples
from crystalbench.models.model import Embeds, Model, Needs
from crystalbench.representations import Arrays, Representation
from crystalbench.representations.cache import represent
from crystalbench.runs.ensemble import combine
from crystalbench.runs.plan import Run


@dataclass(frozen=True, eq=False)
class Fitted:
    """The fitted models of a run.

    Attributes:
        run: the run, with its task.
        members: the fitted models, one for each member of the ensemble.
        processes: number of processes that may compute a representation.
    """

    run: Run
    members: tuple[Model, ...]
    processes: int = 1

    @property
    def test(self) -> Inputs:
        """The n crystals or compositions of the test part, before any view."""
        return self.run.task.inputs[self._rows]

    @property
    def targets(self) -> npt.NDArray[np.float64]:
        """(n,) true values of the test part, or numbers of the classes."""
        return np.asarray(self.run.task.targets[self._rows])

    def predict(self, inputs: Inputs) -> npt.NDArray[np.float64]:
        """Predictions for any crystals or compositions, under the view of the run.

        Args:
            inputs: m crystals, or compositions if the model needs no more.

        Returns:
            (m,) values in the unit of the target, or probabilities of class 1; (m, classes) probabilities of a
            multiclass target.

        Raises:
            DataError: a prediction is not valid, or a crystal cannot be represented; names the id.
        """
        target, samples = self.run.task.target, self.samples(inputs)
        found = [member.predict(samples).checked(target, samples.ids) for member in self.members]
        return combine(found, target.kind).values

    def embeddings(self) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Embeddings of all n rows of the task, under the view of the run, for each member of the ensemble.

        Returns:
            Embeddings (n, d) of the fitted member, and of the same model before training; empty if the models have no
            embeddings (see `crystalbench.models.Embeds`).
        """
        task = self.run.task
        samples = self.samples(task.inputs, np.asarray(task.targets))
        train, every = samples[task.split(self.run.spec.fold)[0]], samples.to_predict()
        return [
            (np.asarray(member.embed(every)), np.asarray(member.untrained(train).embed(every)))
            for member in self.members
            if isinstance(member, Embeds)
        ]

    def samples(self, inputs: Inputs, targets: npt.NDArray[np.float64] | None = None) -> Samples:
        """Crystals or compositions as the models get them: under the view of the run.

        Representations are computed once for all rows.

        Args:
            inputs: m crystals, or compositions if the model needs no more.
            targets: (m,) targets; without them, the samples can only be predicted.
        """
        if isinstance(inputs, Crystals):
            inputs = self.run.view(inputs)
            if self.run.model.needs is Needs.COMPOSITION:
                inputs = inputs.compositions()
        known: dict[str, Arrays] = {}

        def represented(representation: Representation, rows: npt.NDArray[np.int64]) -> Arrays:
            if representation.key not in known:
                known[representation.key] = represent(representation, inputs, self.processes)[0]
            return known[representation.key][rows]

        return Samples(inputs, self.run.task.target, targets, represent=represented)

    @property
    def _rows(self) -> npt.NDArray[Any]:
        return self.run.task.split(self.run.spec.fold)[1]
