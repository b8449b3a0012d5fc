"""Directives that generate tables from the code, so that pages always agree with it.

``{tasks} PREFIX``, ``{sources} PREFIX``, ``{hyperparameters} MODEL [without network]``, ``{metrics}``, ``{sees}``,
``{task-file-keys} [structure | folds]`` and ``{suite-keys} [models | protocol | tuning | resources]``.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from crystalbench.models import Sees, get_model, model_names
from crystalbench.models.hyperparameters import Hyperparameter, hyperparameters
from crystalbench.models.network import NetworkModel
from crystalbench.results.spec import ProtocolSpec, TuningSpec
from crystalbench.runs.resources import Reservation
from crystalbench.runs.suite import ModelEntry, ProtocolEntry, ResourcesEntry, Suite, TuningEntry
from crystalbench.targets import KINDS, METRICS, main_metric
from crystalbench.tasks import task_specs
from crystalbench.tasks.tables import config as _table_config

TASK_FILE = {
    "": _table_config.TableConfig,
    "structure": _table_config.StructureColumns,
    "folds": _table_config.FoldsConfig,
}
SUITE = {"": Suite, "models": ModelEntry, "protocol": ProtocolEntry, "tuning": TuningEntry, "resources": ResourcesEntry}
EXPLAINED = {"protocol": ProtocolSpec, "tuning": TuningSpec, "resources": Reservation}
"""Classes whose docstrings describe the keys of a section."""
_ENTRY = re.compile(r"^(\w+): (.*)$")


class TableFromCode(SphinxDirective):
    """A directive whose content is a table of text cells in MyST markup."""

    optional_arguments = 3

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """Header and rows."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the table as Markdown."""
        header, rows = self.table()
        rule = ["---:" if name == "rows" else "---" for name in header]
        lines = [_line(header), _line(rule), *map(_line, rows)]
        parent = nodes.Element()
        self.state.nested_parse(StringList(lines, source=self.get_source_info()[0]), self.content_offset, parent)
        return parent.children


class Tasks(TableFromCode):
    """Tasks whose name begins with the argument."""

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each task."""
        header = ["task", "rows", "input", "target", "unit", "kind", "metric"]
        rows = [
            [
                f"`{spec.name}`",
                f"{spec.rows_total:,}",
                "structure" if spec.has_structures else "composition",
                spec.target.name,
                spec.target.unit,
                str(spec.target.kind),
                f"`{spec.metric}`",
            ]
            for spec in task_specs().values()
            if spec.name.startswith(self.arguments[0])
        ]
        return header, rows


class Sources(TableFromCode):
    """Reference and licence of the tasks whose name begins with the argument."""

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each task."""
        chosen = [spec for spec in task_specs().values() if spec.name.startswith(self.arguments[0])]
        return ["task", "source", "terms"], [[f"`{s.name}`", s.reference, s.license] for s in chosen]


class Hyperparameters(TableFromCode):
    """Hyperparameters of a model, or of the ``network`` class.

    ``without network`` leaves out the hyperparameters that all networks have, unless the model changes their default.
    """

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each hyperparameter."""
        model = NetworkModel if self.arguments[0] == "network" else get_model(self.arguments[0])
        defaults = _defaults(model)
        shared = _defaults(NetworkModel) if "without" in self.arguments else {}
        texts = attribute_texts(model)
        return ["name", "default", "valid values", "search space", "meaning"], [
            [f"`{name}`", f"`{defaults[name]}`", _valid(declared), _space(declared), texts[name]]
            for name, declared in hyperparameters(model).items()
            if name not in shared or shared[name] != defaults[name]
        ]


class Metrics(TableFromCode):
    """Every metric."""

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each metric."""
        header = ["name", "in tables", "kinds", "better", "has a unit", "default of"]
        rows = [
            [
                f"`{m.name}`",
                m.label,
                ", ".join(m.kinds),
                "higher" if m.higher_is_better else "lower",
                "yes" if m.has_unit else "",
                ", ".join(kind for kind in KINDS if main_metric(kind) is m),
            ]
            for m in METRICS.values()
        ]
        return header, rows


class KindsOfInput(TableFromCode):
    """What models see, with the registered models of each kind."""

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each kind."""
        declared = {name: get_model(name)().sees for name in model_names()}
        return ["`sees`", "in tables", "meaning", "models, with their defaults"], [
            [
                f"`{kind}`",
                kind.label,
                kind.meaning,
                ", ".join(f"`{name}`" for name in declared if declared[name] is kind),
            ]
            for kind in Sees
        ]


class Keys(TableFromCode):
    """Keys of a TOML file, or of one section of it."""

    sections: dict[str, type[BaseModel]]

    def table(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        """One row for each key."""
        name = self.arguments[0] if self.arguments else ""
        section = self.sections[name]
        texts = attribute_texts(EXPLAINED.get(name, section)) | attribute_texts(section)
        rows = [
            [f"`{field.alias or name}`", _default(field), _values(field.annotation), texts.get(name, "")]
            for name, field in section.model_fields.items()
        ]
        return ["key", "default", "value", "meaning"], rows


class TaskFileKeys(Keys):
    """Keys of a task file."""

    sections = TASK_FILE


class SuiteKeys(Keys):
    """Keys of a suite file."""

    sections = SUITE


def attribute_texts(cls: type) -> dict[str, str]:
    """Texts under ``Attributes:`` in the docstrings of a class and its bases, by name."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, section = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Attributes:\n")
        name = ""
        for line in section.splitlines():
            if line and not line.startswith("    "):
                break
            entry = _ENTRY.match(line[4:])
            if entry:
                name, texts[entry[1]] = entry[1], entry[2]
            elif name:
                texts[name] = f"{texts[name]} {line.strip()}".rstrip()
    return texts


def _defaults(model: type) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(typing.cast(Any, model))}


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|") for cell in cells) + " |"


def _valid(declared: Hyperparameter) -> str:
    kind = {int: "whole number", float: "number", bool: "boolean"}.get(declared.type, "")
    return " ".join(part for part in (kind, declared.valid) if part)


def _space(declared: Hyperparameter) -> str:
    conditions = "; ".join(condition.text for condition in declared.conditions)
    return _values_of(declared.distribution) + (f" ({conditions})" if conditions else "")


def _values_of(distribution: BaseDistribution | None) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(f"`{choice}`" for choice in distribution.choices)
    if isinstance(distribution, (IntDistribution, FloatDistribution)):
        step = f", step {distribution.step}" if distribution.step not in (None, 1) else ""
        log = ", logarithmic" if distribution.log else ""
        return f"{distribution.low:g} to {distribution.high:g}{step}{log}"
    return "not tuned"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel) or value in ("", {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _values(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _values(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_values(a) for a in arguments if a is not type(None)))
    if origin is tuple:
        return f"list of {_values(arguments[0])}"
    if origin is dict:
        return "table"
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "table"
    return {str: "text", int: "whole number", float: "number", bool: "boolean", Path: "path"}.get(
        annotation, str(annotation)
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("tasks", Tasks)
    app.add_directive("sources", Sources)
    app.add_directive("hyperparameters", Hyperparameters)
    app.add_directive("metrics", Metrics)
    app.add_directive("sees", KindsOfInput)
    app.add_directive("task-file-keys", TaskFileKeys)
    app.add_directive("suite-keys", SuiteKeys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
