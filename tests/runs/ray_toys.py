"""Toy models for tests on a cluster, whose processes have not the environment of the test."""

from __future__ import annotations

TOYS = '''
from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from optuna.distributions import FloatDistribution

from crystalbench.data.samples import Predictions
from crystalbench.models import Model, Needs


@dataclass
class Noted(Model):
    """Predicts the training mean plus noise; each fit appends its process id and seed to a file.

    It waits while there is a file ``hold``, and until ``processes`` of them have begun a fit. The fit whose number is
    in a file ``kill`` kills its process.
    """

    needs = Needs.COMPOSITION
    folder: str = ""
    processes: int = 1
    shift: Annotated[float, FloatDistribution(-1.0, 1.0)] = 0.0

    def fit(self, train, valid):
        folder = Path(self.folder)
        with (folder / "fits").open("a") as file:
            file.write(f"{os.getpid()} {self.runtime.seed}\\n")
        number = len((folder / "fits").read_text().splitlines())
        self.runtime.progress(2, 2, loss=0.5)  # the last step is always reported
        begun = time.time()
        while time.time() - begun < 60 and self.must_wait(folder):
            time.sleep(0.02)
        if (folder / "kill").exists() and int((folder / "kill").read_text()) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        self.value = train.targets.mean() + self.shift
        self.value += 0.01 * np.random.default_rng(self.runtime.seed).normal()
        return self

    def must_wait(self, folder):
        pids = {line.split()[0] for line in (folder / "fits").read_text().splitlines()}
        return (folder / "hold").exists() or len(pids) < self.processes

    def predict(self, samples):
        return Predictions(np.full(len(samples), self.value))


@dataclass
class Failing(Noted):
    """Fails in fit."""

    def fit(self, train, valid):
        raise RuntimeError("the oven is cold")
'''
