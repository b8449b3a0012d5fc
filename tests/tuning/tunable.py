"""Cheap models with a search space, named by their file: ``tests/tuning/tunable.py:Bowl``."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from crystalbench.data.samples import Predictions
from crystalbench.models import Model, Needs


@dataclass
class Bowl(Model):
    """Predicts the training mean plus an error that is smallest for x = 1 and shape = round.

    Each fit appends its process id and seed to the file named by the environment variable ``TUNE_LOG``. It waits until
    ``TUNE_PROCESSES`` processes have done so, and hangs once the file has ``TUNE_HANGS_AT`` lines.
    """

    needs: ClassVar[Needs] = Needs.COMPOSITION

    x: Annotated[float, FloatDistribution(-3.0, 3.0)] = 2.0
    depth: Annotated[int, IntDistribution(1, 100, log=True)] = 10
    shape: Annotated[str, CategoricalDistribution(("round", "square"))] = "square"
    fixed: int = 1

    def fit(self, train: Any, valid: Any) -> Bowl:
        if log := os.environ.get("TUNE_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()} {self.runtime.seed}\n")
            begun = time.time()
            while self.must_wait(Path(log).read_text().splitlines()) and time.time() - begun < 60:
                time.sleep(0.02)
        self.off = (self.x - 1) ** 2 + (self.shape == "square") + 0.001 * self.depth
        self.mean = float(train.targets.mean())
        return self

    def must_wait(self, lines: list[str]) -> bool:
        too_few = len({line.split()[0] for line in lines}) < int(os.environ.get("TUNE_PROCESSES", "1"))
        return too_few or len(lines) >= int(os.environ.get("TUNE_HANGS_AT", "100000"))

    def predict(self, samples: Any) -> Predictions:
        return Predictions(np.full(len(samples), self.mean + 10 * self.off))
