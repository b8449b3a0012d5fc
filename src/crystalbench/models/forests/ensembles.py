"""Tree ensembles on one row of features per crystal: extra trees, random forest and gradient boosting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Interval
from optuna.distributions import FloatDistribution, IntDistribution

from crystalbench.data.samples import Predictions
from crystalbench.models.forests.trees import Trees
from crystalbench.models.model import Model
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

STOPPING_ROUNDS = 50

Floats = npt.NDArray[np.float64]


class TreeEnsemble(Model):
    """Decision trees on features. Subclasses define the features, and how the trees are grown."""

    @abstractmethod
    def _features(self, samples: Samples) -> Floats:
        """Finite features (n, d) of n rows."""

    def _fit_features(self, train: Samples) -> None:
        """Learn what the features need from the rows to fit; called before `_features`. Does nothing by default."""

    @abstractmethod
    def _grow(self, x: Floats, y: npt.NDArray[Any], x_valid: Floats, y_valid: npt.NDArray[Any]) -> int:
        """Grow the trees on features (n, d) and labels (n,) of the rows to fit and of the validation rows.

        Returns:
            The number of trees, or of boosting rounds.
        """

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Grow the trees."""
        self.target = train.target
        self._fit_features(train)
        x, y = self._features(train), self._labels(train.targets)
        steps = self._grow(x, y, self._features(valid), self._labels(valid.targets))
        self.runtime.progress(steps, steps, unit="trees")
        return self

    @property
    def _is_regression(self) -> bool:
        return self.target.kind is Kind.REGRESSION

    def _labels(self, targets: Floats) -> npt.NDArray[Any]:
        return targets if self._is_regression else targets.astype(int)


@dataclass
class AveragedTrees(TreeEnsemble):
    """Trees of scikit-learn that are grown independently of each other, and averaged.

    They do not need validation rows, and are fitted to them as well.

    Attributes:
        trees: number of trees.
        min_samples_leaf: fewest training rows in a leaf.
        max_features: share of the features that each split may choose from.
    """

    regressor: ClassVar[str]
    classifier: ClassVar[str]

    trees: Annotated[int, Ge(1), IntDistribution(100, 1000, step=100)] = 500
    min_samples_leaf: Annotated[int, Ge(1), IntDistribution(1, 20, log=True)] = 1
    max_features: Annotated[float, Interval(gt=0, le=1), FloatDistribution(0.1, 1.0)] = 0.33

    def _grow(self, x: Floats, y: npt.NDArray[Any], x_valid: Floats, y_valid: npt.NDArray[Any]) -> int:
        forest = self._estimator().fit(np.concatenate([x, x_valid]), np.concatenate([y, y_valid]))
        self._trees = Trees.from_sklearn(forest)
        self._classes = np.zeros(0) if self._is_regression else forest.classes_.astype(np.int64)
        return self.trees

    def predict(self, samples: Samples) -> Predictions:
        """Mean over the trees; for regression also their standard deviation, as the predicted one."""
        x = self._features(samples)
        leaves = self._trees.leaves(x)
        if self._is_regression:
            values = self._trees.value[leaves, 0]
            return Predictions(values.mean(0), values.std(0))
        probabilities = np.zeros((len(x), max(len(self.target.classes), 2)))
        for rows in leaves:  # tree by tree, as in scikit-learn: the order of a sum decides its last digits
            probabilities[:, self._classes] += self._trees.value[rows]
        probabilities /= len(leaves)
        return Predictions(probabilities[:, 1] if self.target.kind is Kind.BINARY else probabilities)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees as arrays."""
        return self._trees.to_arrays() | {"classes": self._classes}, {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees."""
        self._trees, self._classes = Trees.from_arrays(arrays), arrays["classes"]

    def _estimator(self) -> Any:
        from sklearn import ensemble

        return getattr(ensemble, self.regressor if self._is_regression else self.classifier)(
            n_estimators=self.trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_jobs=self.runtime.threads,
            random_state=self.runtime.seed % 2**32,
        )


class ExtraTrees(AveragedTrees):
    """Extremely randomised trees (Geurts, Ernst and Wehenkel, Mach. Learn. 63, 3, 2006)."""

    regressor, classifier = "ExtraTreesRegressor", "ExtraTreesClassifier"


class RandomForest(AveragedTrees):
    """A random forest (Breiman, Mach. Learn. 45, 5, 2001)."""

    regressor, classifier = "RandomForestRegressor", "RandomForestClassifier"


@dataclass
class Boosting(TreeEnsemble):
    """Gradient boosting by LightGBM (Ke et al., NeurIPS 2017).

    Validation rows choose the number of rounds: boosting stops after 50 rounds without a better score on them.

    Attributes:
        rounds: largest number of boosting rounds.
        learning_rate: shrinkage of each tree.
        leaves: largest number of leaves of a tree.
        min_samples_leaf: fewest training rows in a leaf.
        max_features: share of the features that each tree may use.
    """

    rounds: Annotated[int, Ge(1), IntDistribution(100, 1000, step=100)] = 500
    learning_rate: Annotated[float, Gt(0), FloatDistribution(0.01, 0.3, log=True)] = 0.05
    leaves: Annotated[int, Ge(2), IntDistribution(7, 127, log=True)] = 31
    min_samples_leaf: Annotated[int, Ge(1), IntDistribution(1, 20, log=True)] = 1
    max_features: Annotated[float, Interval(gt=0, le=1), FloatDistribution(0.1, 1.0)] = 0.33

    def _grow(self, x: Floats, y: npt.NDArray[Any], x_valid: Floats, y_valid: npt.NDArray[Any]) -> int:
        import lightgbm

        train_set, valid_set = lightgbm.Dataset(x, y), lightgbm.Dataset(x_valid, y_valid)
        stop = lightgbm.early_stopping(STOPPING_ROUNDS, verbose=False)
        self._booster = lightgbm.train(
            self._parameters(), train_set, self.rounds, valid_sets=[valid_set], callbacks=[stop]
        )
        return self.rounds

    def predict(self, samples: Samples) -> Predictions:
        """Predict with the rounds up to the best one on the validation rows."""
        values = self._booster.predict(self._features(samples), num_threads=self.runtime.threads)
        return Predictions(np.asarray(values, dtype=np.float64))

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees in LightGBM's text format."""
        return {}, {"lightgbm": self._booster.model_to_string()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees."""
        import lightgbm

        self._booster = lightgbm.Booster(model_str=facts["lightgbm"])

    def _parameters(self) -> dict[str, Any]:
        objectives = {Kind.REGRESSION: "regression", Kind.BINARY: "binary", Kind.MULTICLASS: "multiclass"}
        metrics = {Kind.REGRESSION: "l1", Kind.BINARY: "binary_logloss", Kind.MULTICLASS: "multiclass"}
        kind = self.target.kind
        return {
            "objective": objectives[kind],
            "metric": metrics[kind],
            "num_class": len(self.target.classes) if kind is Kind.MULTICLASS else 1,
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
