"""Tree ensembles on one row of features per crystal: extra trees, random forest and gradient boosting."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Interval
from optuna.distributions import FloatDistribution, IntDistribution

from crystalbench.data.samples import Predictions
from crystalbench.models.forests.labels import Standardisation
from crystalbench.models.forests.trees import Trees
from crystalbench.models.model import Model
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.data.samples import Samples

log = logging.getLogger(__name__)

STOPPING_ROUNDS = 50
LEAF_SIZES = (1, 2, 5, 10)
"""The sizes of the smallest leaf that are compared on the validation rows."""
COMPARED_TREES = 100
"""The largest number of trees in such a comparison."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


class TreeEnsemble(Model):
    """Decision trees on features. Subclasses define the features, and how the trees are grown.

    Regression targets are standardised. The validation rows choose what the rows to fit cannot tell (the number of
    boosting rounds, the size of the leaves); then the trees are grown on all rows.
    """

    version: ClassVar[int] = 2  # standardised targets, median over trees, choice of the leaf size

    @abstractmethod
    def _features(self, samples: Samples) -> Floats:
        """Finite features (n, d) of n rows."""

    def _fit_features(self, *parts: Samples) -> None:
        """Learn what the features need from all rows; called before `_features`. Does nothing by default."""

    @abstractmethod
    def _grow(self, x: Floats, y: Labels, x_valid: Floats, y_valid: Labels) -> int:
        """Grow the trees on features (n, d) and labels (n,) of the rows to fit and of the validation rows.

        Returns:
            The number of trees, or of boosting rounds.
        """

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Choose on the validation rows, and grow the trees on the rows of both parts."""
        self.target = train.target
        self._fit_features(train, valid)
        if self._is_regression:
            self._standardisation = Standardisation.fit(np.concatenate([train.targets, valid.targets]))
        x, y = self._features(train), self._labels(train.targets)
        steps = self._grow(x, y, self._features(valid), self._labels(valid.targets))
        self.runtime.progress(steps, steps, unit="trees")
        return self

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Mean and standard deviation of the targets of a regression. Subclasses add the trees."""
        return {}, self._standardisation.to_facts() if self._is_regression else {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore mean and standard deviation of the targets."""
        if self._is_regression:
            self._standardisation = Standardisation.from_facts(facts)

    @property
    def _is_regression(self) -> bool:
        return self.target.kind is Kind.REGRESSION

    def _labels(self, targets: Floats) -> Labels:
        return self._standardisation(targets) if self._is_regression else targets.astype(int)


@dataclass
class AveragedTrees(TreeEnsemble):
    """Trees of scikit-learn that are grown independently of each other.

    A regression predicts the median over the trees, which fits the mean absolute error, the main metric of regression
    tasks; the mean would fit the squared error. A classification predicts the mean of the frequencies in the leaves.

    Fully grown trees return the targets of single training rows. Where rows share their features but not their
    targets, as polymorphs described by their composition do, larger leaves are better. So the validation rows choose
    the smallest leaf. Forests of 100 trees (or ``trees``, if fewer) are grown on the rows to fit, one for each size.
    The best one is used if it lowers the error of leaves with single rows by more than one standard error of the
    paired differences; the error is the absolute one, or the log loss for classification. Then the forest is grown on
    all rows.

    Attributes:
        trees: number of trees.
        min_samples_leaf: fewest training rows in a leaf; None to choose 1, 2, 5 or 10 on the validation rows.
        max_features: share of the features that each split may choose from.
        aggregate: what a regression predicts, the ``median`` or the ``mean`` over the trees.
        leaf_size: fewest training rows in a leaf of the fitted trees; not a hyperparameter.
    """

    regressor: ClassVar[str]
    classifier: ClassVar[str]

    trees: Annotated[int, Ge(1), IntDistribution(100, 1000, step=100)] = 500
    min_samples_leaf: Annotated[int, Ge(1)] | None = None
    max_features: Annotated[float, Interval(gt=0, le=1), FloatDistribution(0.1, 1.0)] = 0.33
    aggregate: Literal["median", "mean"] = "median"

    def _grow(self, x: Floats, y: Labels, x_valid: Floats, y_valid: Labels) -> int:
        self.leaf_size = self.min_samples_leaf or self._chosen_leaf_size(x, y, x_valid, y_valid)
        self._fit_trees(np.concatenate([x, x_valid]), np.concatenate([y, y_valid]), self.trees, self.leaf_size)
        return self.trees

    def predict(self, samples: Samples) -> Predictions:
        """Median or mean over the trees, or class probabilities.

        For regression, the predicted standard deviation is that of the trees' predictions (about their mean).
        """
        x = self._features(samples)
        if self._is_regression:
            values, spread = self._aggregated(x)
            return Predictions(self._standardisation.inverse(values), spread * self._standardisation.scale)
        probabilities = self._probabilities(x)
        return Predictions(probabilities[:, 1] if self.target.kind is Kind.BINARY else probabilities)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees as arrays, and the size of their leaves."""
        arrays, facts = super().state()
        return arrays | self._trees.to_arrays() | {"classes": self._classes}, facts | {"leaf_size": self.leaf_size}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees."""
        super().restore(arrays, facts)
        self.leaf_size = facts["leaf_size"]
        self._trees, self._classes = Trees.from_arrays(arrays), arrays["classes"]

    def _chosen_leaf_size(self, x: Floats, y: Labels, x_valid: Floats, y_valid: Labels) -> int:
        """The leaf size for features and labels of the rows to fit and of the validation rows."""
        errors = {}
        for size in LEAF_SIZES:
            self._fit_trees(x, y, min(self.trees, COMPARED_TREES), size)
            errors[size] = self._errors(x_valid, y_valid)
        best = min(LEAF_SIZES, key=lambda size: float(errors[size].mean()))
        gains = errors[LEAF_SIZES[0]] - errors[best]
        # With a single row there is no standard error, and the comparison with NaN is false.
        chosen = best if len(gains) > 1 and gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)) else LEAF_SIZES[0]
        means = ", ".join(f"{size}: {error.mean():.4g}" for size, error in errors.items())
        log.info("smallest leaf: %d rows (errors on %d validation rows: %s)", chosen, len(gains), means)
        return chosen

    def _errors(self, x: Floats, y: Labels) -> Floats:
        """Errors (n,) on rows with features and labels: absolute ones, or the negative logarithms of probabilities."""
        if self._is_regression:
            return np.asarray(np.abs(self._aggregated(x)[0] - y))
        # A forest that has never seen a class in a leaf has not excluded it.
        return np.asarray(-np.log(np.maximum(self._probabilities(x)[np.arange(len(y)), y], 0.5 / len(self._trees))))

    def _aggregated(self, x: Floats) -> tuple[Floats, Floats]:
        """Median or mean over the trees (n,), and their standard deviation, both of standardised targets."""
        values = self._trees.value[self._trees.leaves(x), 0]
        centre = np.median(values, axis=0) if self.aggregate == "median" else values.mean(0)
        return np.asarray(centre), values.std(0)

    def _probabilities(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        probabilities = np.zeros((len(x), max(len(self.target.classes), 2)))
        for rows in self._trees.leaves(x):  # tree by tree, as in scikit-learn: the order decides a sum's last digits
            probabilities[:, self._classes] += self._trees.value[rows]
        return probabilities / len(self._trees)

    def _fit_trees(self, x: Floats, y: Labels, trees: int, leaf_size: int) -> None:
        forest = self._estimator(trees, leaf_size).fit(x, y)
        self._trees = Trees.from_sklearn(forest)
        self._classes = np.zeros(0) if self._is_regression else forest.classes_.astype(np.int64)

    def _estimator(self, trees: int, leaf_size: int) -> Any:
        from sklearn import ensemble

        return getattr(ensemble, self.regressor if self._is_regression else self.classifier)(
            n_estimators=trees,
            min_samples_leaf=leaf_size,
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

    Validation rows choose the number of rounds: boosting stops after 50 rounds without a better score on them. Then the
    trees are grown anew on all rows, in as many rounds.

    For regression, the score is the mean absolute error, but each round fits squared errors: on inner folds of phonons
    and jdft2d, LightGBM's L1 loss gave larger absolute errors, and its Huber loss did not give smaller ones.

    Attributes:
        rounds: largest number of boosting rounds.
        learning_rate: shrinkage of each tree.
        leaves: largest number of leaves of a tree.
        min_samples_leaf: fewest training rows in a leaf.
        max_features: share of the features that each tree may use.
    """

    rounds: Annotated[int, Ge(1)] = 500
    learning_rate: Annotated[float, Gt(0), FloatDistribution(0.01, 0.3, log=True)] = 0.05
    leaves: Annotated[int, Ge(2), IntDistribution(7, 127, log=True)] = 31
    min_samples_leaf: Annotated[int, Ge(1), IntDistribution(1, 20, log=True)] = 1
    max_features: Annotated[float, Interval(gt=0, le=1), FloatDistribution(0.1, 1.0)] = 0.33

    def _grow(self, x: Floats, y: Labels, x_valid: Floats, y_valid: Labels) -> int:
        import lightgbm

        parameters = self._parameters()
        stop = lightgbm.early_stopping(STOPPING_ROUNDS, verbose=False)
        chosen = lightgbm.train(
            parameters,
            lightgbm.Dataset(x, y),
            self.rounds,
            valid_sets=[lightgbm.Dataset(x_valid, y_valid)],
            callbacks=[stop],
        ).best_iteration
        log.info("rounds of boosting: %d of at most %d", chosen, self.rounds)
        everything = lightgbm.Dataset(np.concatenate([x, x_valid]), np.concatenate([y, y_valid]))
        self._booster = lightgbm.train(parameters, everything, chosen)
        return self.rounds

    def predict(self, samples: Samples) -> Predictions:
        """Predict with all rounds."""
        values = self._booster.predict(self._features(samples), num_threads=self.runtime.threads)
        values = np.asarray(values, dtype=np.float64)
        return Predictions(self._standardisation.inverse(values) if self._is_regression else values)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The trees in LightGBM's text format."""
        arrays, facts = super().state()
        return arrays, facts | {"lightgbm": self._booster.model_to_string()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Restore the trees."""
        import lightgbm

        super().restore(arrays, facts)
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
