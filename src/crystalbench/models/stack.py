"""Stacks: models made of registered models, whose weights come from predictions of rows that no member has seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from crystalbench._words import counted
from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, DataError
from crystalbench.models.combining import MemberPredictions, Uncertainty, classification_weights, regression_weights
from crystalbench.models.members import parse_members
from crystalbench.models.model import Invariance, Model, Needs, Runtime, Sees, silent
from crystalbench.models.stack_checkpoints import SavedMember, SavedPredictions
from crystalbench.results.seeds import derived_seed
from crystalbench.sees import together
from crystalbench.targets import Kind

if TYPE_CHECKING:
    from crystalbench.models.members import Member
    from crystalbench.models.model import Progress

log = logging.getLogger(__name__)

STEPS = 100
"""Steps of progress of one fit of a member."""

Floats = npt.NDArray[np.float64]


@dataclass
class Stack(Model):
    """A combination of registered models, weighted by what each of them is worth on rows that it was not fitted to.

    The rows of the training part are divided into ``inner`` folds. Every member predicts each of them after a fit to
    the others, so every row has out-of-fold predictions. From these alone come the weights of the members, which are
    not negative and sum to 1: they minimise the absolute errors of a regression (a linear program) or the log loss of a
    classification. Then each member is fitted like any model, to all rows. A stack costs (``inner`` + 1) fits of
    every member. The median or the mean needs no weights; with ``inner = 0`` it costs one fit of every member.

    The standard deviation σ of a regression is calibrated on the out-of-fold predictions as well:
    σ² = a + b · (spread of the members)² + c · (mean variance that members predict themselves). a, b and c are not
    negative and minimise the continuous ranked probability score. Members have learned from fewer rows there than in
    the end, which makes σ larger. Without inner folds, σ is not calibrated: a = 0 and b = c = 1, by the law of total
    variance.

    Attributes:
        members: registered models, separated by ``+``, each with the hyperparameters that differ from its defaults:
            ``descriptor_forest + hybrid_sen(epochs=50)``. A name may occur several times; each member has a seed of its
            own. The stack completes the text with the versions of the members and all hyperparameters.
        combination: ``weights``, or the ``median`` or ``mean`` over the members, for which no weights are learned.
        inner: folds of the training part for the out-of-fold predictions, at least two; 0 for none, if no weights are
            learned.
        weights: (m,) of the members of a fitted stack; None for the median. Not a hyperparameter.
    """

    needs: ClassVar[Needs] = Needs.STRUCTURE
    # The members were chosen on training parts of these tasks.
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset({"matbench_phonons", "matbench_jdft2d"})

    members: str = "descriptor_forest + hybrid_sen"
    combination: Literal["weights", "median", "mean"] = "weights"
    inner: Annotated[int, Ge(0)] = 3

    weights: Floats | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner == 1 or (self.inner == 0 and self.combination == "weights"):
            also = "" if self.combination == "weights" else ", or 0 for no out-of-fold predictions"
            raise ConfigError(f"inner = {self.inner}: combination = {self.combination!r} needs at least 2{also}")
        self._members = parse_members(self.members)
        for member in self._members:
            if issubclass(member.model, Stack):
                raise ConfigError(f"members: {member.name} is a stack itself; list its members instead")
            if self.needs is Needs.COMPOSITION and member.model.needs is Needs.STRUCTURE:
                raise ConfigError(f"members: {member.name} needs structures; use the model stack for it")
        self.members = " + ".join(map(str, self._members))

    def check_places(self) -> None:
        """Import the objects that hyperparameters of members name by their place."""
        for member in self._members:
            member.new().check_places()

    @property
    def parts(self) -> tuple[type[Model], ...]:
        """The classes of the members, without duplicates."""
        return tuple(dict.fromkeys(member.model for member in self._members))

    @property
    def invariances(self) -> frozenset[Invariance]:
        """Those of all members."""
        return frozenset.intersection(*(member.new().invariances for member in self._members))

    @property
    def sees(self) -> Sees:
        """What the members see together."""
        return together([member.new().sees for member in self._members])

    @property
    def pretrained_on(self) -> frozenset[str]:
        """What any of the members has seen."""
        return frozenset().union(*(member.new().pretrained_on for member in self._members))

    def supports(self, kind: Kind) -> bool:
        """Whether all members predict this kind of target."""
        return not self.unsupported(kind)

    def unsupported(self, kind: Kind) -> str:
        """Which member does not predict this kind of target; empty if all do."""
        for member in self._members:
            if reason := member.new().unsupported(kind):
                return f"has the member {member.name}, which {reason}"
        return ""

    def fit(self, train: Samples, valid: Samples) -> Self:
        """Learn the weights from out-of-fold predictions, and fit the members to the rows of both parts."""
        self.target = train.target
        count = len(self._members)
        self.weights = np.full(count, 1 / count) if self.combination == "mean" else None
        self._uncertainty = Uncertainty(0.0, 1.0, 1.0) if self.target.kind is Kind.REGRESSION else None
        if self.inner:
            rows = Samples.concatenated([train, valid])
            unseen = self._out_of_fold(rows, len(valid) / len(rows))
            self._learn_combination(unseen, rows.targets)
        places = enumerate(self._members, start=self.inner * count)
        self._fitted = [self._final_member(member, place, train, valid) for place, member in places]
        return self

    def predict(self, samples: Samples) -> Predictions:
        """Combine the predictions of the members, with a calibrated standard deviation for regression."""
        found = MemberPredictions.of([member.predict(samples) for member in self._fitted])
        std = None if self._uncertainty is None else self._uncertainty.std(found, self.weights)
        return Predictions(found.combined(self.weights), std)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """What the members have learned, their weights, and how their spread is scaled."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        facts: dict[str, Any] = {
            "weights": None if self.weights is None else self.weights.tolist(),
            "uncertainty": None if self._uncertainty is None else asdict(self._uncertainty),
            "members": [],
        }
        for place, model in enumerate(self._fitted):
            learned, known = model.state()
            arrays |= {f"{place}.{name}": array for name, array in learned.items()}
            facts["members"].append(known)
        return arrays, facts

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Make the members and restore them."""
        self.weights = None if facts["weights"] is None else np.array(facts["weights"])
        self._uncertainty = None if facts["uncertainty"] is None else Uncertainty(**facts["uncertainty"])
        self._fitted = []
        for place, (member, known) in enumerate(zip(self._members, facts["members"], strict=True)):
            start = f"{place}."
            learned = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
            self._fitted.append(self._restored(member, learned, known))

    @property
    def n_parameters(self) -> int | None:
        """Sum over the fitted members that count theirs; None before `fit`, and if no member does."""
        known = [n for model in getattr(self, "_fitted", ()) if (n := model.n_parameters) is not None]
        return sum(known) if known else None

    def _learn_combination(self, unseen: MemberPredictions, targets: Floats) -> None:
        """Learn the weights, and how to scale the spread, from predictions of rows that no member was fitted to."""
        regression = self.target.kind is Kind.REGRESSION
        if self.combination == "weights":
            learn = regression_weights if regression else _class_weights
            self.weights = learn(unseen.values, targets)
            listed = ", ".join(f"{m.name} {w:.3f}" for m, w in zip(self._members, self.weights, strict=True))
            log.info("weights of the members: %s", listed)
        self._uncertainty = Uncertainty.fit(unseen, self.weights, targets) if regression else None

    def _out_of_fold(self, rows: Samples, share: float) -> MemberPredictions:
        """Predictions of all rows by members that were fitted to others.

        Args:
            rows: n rows of the training part.
            share: of the rows to fit, for validation.
        """
        saved = SavedPredictions(self.runtime)
        of_folds: list[MemberPredictions] = []
        order: list[npt.NDArray[np.int64]] = []
        for fold, (rest, held_out) in enumerate(self._splits(rows)):
            seen, chooses = _divided(rest, share, derived_seed(self.runtime.seed, "validation", fold))
            predicted: list[Predictions] = []
            for number, member in enumerate(self._members):
                place = fold * len(self._members) + number
                if (known := saved.get(place)) is None:
                    model = self._fit_member(member, place, rows[seen], rows[chooses])
                    known = model.predict(rows[held_out].to_predict()).checked(self.target, rows.ids[held_out])
                    saved.add(place, known)
                predicted.append(known)
            of_folds.append(MemberPredictions.of(predicted))
            order.append(held_out)
        back = np.argsort(np.concatenate(order))
        return MemberPredictions(
            np.concatenate([part.values for part in of_folds], axis=1)[:, back],
            np.concatenate([part.variances for part in of_folds])[back],
        )

    def _splits(self, rows: Samples) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Rows to fit and rows to predict of each fold; classes are stratified if each of them has enough rows."""
        from sklearn.model_selection import KFold, StratifiedKFold  # here, because it is slow to import

        if len(rows) < 2 * self.inner:
            raise DataError(
                f"{counted(len(rows), 'training row')}, too few for {self.inner} inner folds of a stack; give more "
                "rows, or a smaller inner"
            )
        stratify = (
            self.target.kind is not Kind.REGRESSION
            and np.unique(rows.targets, return_counts=True)[1].min() >= self.inner
        )
        seed = derived_seed(self.runtime.seed, "folds")
        folds = (StratifiedKFold if stratify else KFold)(self.inner, shuffle=True, random_state=seed)
        yield from folds.split(np.zeros(len(rows)), rows.targets if stratify else None)

    def _restored(self, member: Member, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> Model:
        """A fitted member from what it has learned."""
        model = member.new()
        model.runtime = Runtime(device=self.runtime.device, threads=self.runtime.threads)
        model.target = self.target
        model.restore(arrays, facts)
        return model

    def _final_member(self, member: Member, place: int, train: Samples, valid: Samples) -> Model:
        """A member fitted to all rows; if an interrupted fit of the stack has saved it, it is not fitted again."""
        saved = SavedMember(self.runtime, place)
        if (learned := saved.get()) is not None:
            return self._restored(member, *learned)
        model = self._fit_member(member, place, train, valid)
        saved.add_if_worthwhile(model)
        return model

    def _fit_member(self, member: Member, place: int, train: Samples, valid: Samples) -> Model:
        """Fit a new member; the place counts all fits of the stack."""
        model, checkpoint = member.new(), self.runtime.checkpoint
        progress = _progress_of_fit(self.runtime.progress, place, (self.inner + 1) * len(self._members))
        model.runtime = Runtime(
            seed=derived_seed(self.runtime.seed, place),
            device=self.runtime.device,
            threads=self.runtime.threads,
            progress=progress,
            checkpoint=None if checkpoint is None else checkpoint.stage(f"fit{place}"),
        )
        model.fit(train, valid)
        progress(1, 1)  # not every model reports its progress
        model.runtime.progress, model.runtime.checkpoint = silent, None
        return model


@dataclass
class CompositionStack(Stack):
    """A stack of models that see the composition only."""

    needs: ClassVar[Needs] = Needs.COMPOSITION
    defaults_chosen_on: ClassVar[frozenset[str]] = frozenset(
        {"matbench_phonons", "matbench_jdft2d", "matbench_steels", "matbench_expt_gap"}
    )

    members: str = "composition_forest + composition_attention"


def _class_weights(values: Floats, targets: Floats) -> Floats:
    return classification_weights(values, targets.astype(np.int64))


def _divided(
    rows: npt.NDArray[np.int64], share: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows to fit and rows to validate, at least one of each, drawn at random; both ascending."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    chooses = min(max(1, round(share * len(rows))), len(rows) - 1)
    return np.sort(shuffled[chooses:]), np.sort(shuffled[:chooses])


def _progress_of_fit(progress: Progress, place: int, fits: int) -> Progress:
    """A callback for one of the fits of a stack, each of which counts as `STEPS` steps."""

    def report(done: int, total: int, **details: Any) -> None:
        share = done / total if total else 0.0
        progress(place * STEPS + round(share * STEPS), fits * STEPS, **{**details, "unit": "steps"})

    return report
