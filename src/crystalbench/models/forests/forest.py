"""Forest: tree ensembles on one row of features for each crystal, whatever the features are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from crystalbench.data.samples import Predictions
from crystalbench.errors import ConfigError
from crystalbench.models.forests.trees import Trees
from crystalbench.models.model import Model
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

STOPPING_ROUNDS = 50
ALGORITHMS = ("random_forest", "extra_trees", "lightgbm")


@dataclass
class Forest(Model):
    """Trees on features that a subclass gives.

    Forests need no validation part, so both parts are fitted; LightGBM uses it to choose the number of rounds.

    Attributes:
        algorithm: ``extra_trees``, ``random_forest`` (scikit-learn) or ``lightgbm``.
        trees: number of trees; for LightGBM the largest number of rounds.
        min_samples_leaf: fewest training rows in a leaf.
        max_features: share of features that a split may choose from.
        learning_rate: of LightGBM.
        leaves: leaves of each LightGBM tree.
    """

    algorithm: Annotated[str, CategoricalDistribution(ALGORITHMS)] = "extra_trees"
    trees: Annotated[int, IntDistribution(100, 1000, step=100)] = 500
    min_samples_leaf: Annotated[int, IntDistribution(1, 20, log=True)] = 1
    max_features: Annotated[float, FloatDistribution(0.1, 1.0)] = 0.33
    learning_rate: Annotated[float, FloatDistribution(0.01, 0.3, log=True)] = 0.05
    leaves: Annotated[int, IntDistribution(7, 127, log=True)] = 31

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(f"{type(self).__name__}: algorithm {self.algorithm!r} is none of {', '.join(ALGORITHMS)}")
        for name, least in (("trees", 1), ("min_samples_leaf", 1), ("leaves", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} = {getattr(self, name)}; it must be at least {least}")
        if not 0 < self.max_features <= 1:
            raise ConfigError(f"max_features = {self.max_features}; it must be in (0, 1]")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate = {self.learning_rate}; it must be positive")

    @abstractmethod
    def _features(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Finite features (n, d) of n rows."""

    def _fit_features(self, train: Samples) -> None:
        """Learn what the features need from the rows to fit, before they are first asked for; nothing by default."""

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Grow the trees."""
        self.target = train.target
        self._fit_features(train)
        x, y = self._features(train), self._labels(train.targets)
        x_valid, y_valid = self._features(valid), self._labels(valid.targets)
        if self.algorithm == "lightgbm":
            self._booster = self._boosted(x, y, x_valid, y_valid)
        else:
            forest = self._forest().fit(np.concatenate([x, x_valid]), np.concatenate([y, y_valid]))
            self._trees = Trees.of(forest)
            self._seen = np.zeros(0) if self._regression else forest.classes_.astype(np.int64)
        self.runtime.progress(self.trees, self.trees)
        return self

    def predict(self, samples: Samples) -> Predictions:
        """Mean over the trees, and for forests their spread as the predicted standard deviation."""
        x = self._features(samples)
        if self.algorithm == "lightgbm":
            values = self._booster.predict(x, num_threads=self.runtime.threads)
            return Predictions(np.asarray(values, dtype=np.float64))
        leaves = self._trees.leaves(x)
        if self._regression:
            trees = self._trees.value[leaves, 0]
            return Predictions(trees.mean(0), trees.std(0))
        shares = np.zeros((len(x), max(len(self.target.classes), 2)))
        for ends in leaves:  # one by one: the order of a sum decides its last digits
            shares[:, self._seen] += self._trees.value[ends]
        shares /= len(leaves)
        return Predictions(shares[:, 1] if self.target.kind is Kind.BINARY else shares)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees as arrays, or LightGBM's as its own text."""
        if self.algorithm == "lightgbm":
            return {}, {"lightgbm": self._booster.model_to_string()}
        return self._trees.to_arrays() | {"classes": self._seen}, {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Take the trees."""
        if self.algorithm == "lightgbm":
            import lightgbm

            self._booster = lightgbm.Booster(model_str=facts["lightgbm"])
        else:
            self._trees, self._seen = Trees.from_arrays(arrays), arrays["classes"]

    @property
    def _regression(self) -> bool:
        return self.target.kind is Kind.REGRESSION

    def _labels(self, targets: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        return targets if self._regression else targets.astype(int)

    def _forest(self) -> Any:
        from sklearn import ensemble

        family = "RandomForest" if self.algorithm == "random_forest" else "ExtraTrees"
        suffix = "Regressor" if self._regression else "Classifier"
        return getattr(ensemble, family + suffix)(
            n_estimators=self.trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_jobs=self.runtime.threads,
            random_state=self.runtime.seed % 2**32,
        )

    def _boosted(
        self, x: npt.NDArray[Any], y: npt.NDArray[Any], x_valid: npt.NDArray[Any], y_valid: npt.NDArray[Any]
    ) -> Any:
        import lightgbm

        objective = {Kind.REGRESSION: "regression", Kind.BINARY: "binary", Kind.MULTICLASS: "multiclass"}[
            self.target.kind
        ]
        parameters = {
            "objective": objective,
            "metric": "l1" if self._regression else objective.replace("binary", "binary_logloss"),
            "num_class": len(self.target.classes) if self.target.kind is Kind.MULTICLASS else 1,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_samples_leaf,
            "feature_fraction": self.max_features,
            "num_threads": self.runtime.threads,
            "seed": self.runtime.seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        fitted, judged = lightgbm.Dataset(x, y), lightgbm.Dataset(x_valid, y_valid)
        stop = lightgbm.early_stopping(STOPPING_ROUNDS, verbose=False)
        return lightgbm.train(parameters, fitted, self.trees, valid_sets=[judged], callbacks=[stop])
