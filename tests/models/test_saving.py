"""Saved models: what is written, and what is refused. The contract of models checks that predictions are the same."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from helpers import QUICK, TARGETS, random_crystals, samples_of
from safetensors.numpy import load_file

from crystalbench import plugins
from crystalbench.data.samples import Predictions, Samples
from crystalbench.errors import ConfigError, SavingError
from crystalbench.models import Model, Needs, get_model, load_model, model_names, save_model
from crystalbench.models.dummy import Dummy
from crystalbench.models.forests.magpie import MagpieForest
from crystalbench.models.saving import ARRAYS, DESCRIPTION, name_of
from crystalbench.targets import Kind
from crystalbench.testing._model_case import ModelCase, prediction_crystals

FILE = """
from dataclasses import dataclass
from crystalbench.models.dummy import Dummy

@dataclass
class Mine(Dummy):
    '''One of the user's own.'''
"""


@dataclass
class Line(Model):
    """A straight line through the mean amount; a test can replace its state."""

    needs: ClassVar[Needs] = Needs.COMPOSITION
    version: ClassVar[int] = 3
    slope: float = 2.0

    def fit(self, train: Samples, valid: Samples) -> Self:
        self.target = train.target
        self.held: tuple[dict[str, Any], dict[str, Any]] = {"offset": np.array([1.5])}, {"words": ["a", "b"]}
        return self

    def predict(self, samples: Samples) -> Predictions:
        return Predictions(np.full(len(samples), self.held[0]["offset"][0] * self.slope))

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.held

    def restore(self, arrays: Any, facts: Any) -> None:
        self.held = {"offset": arrays["offset"]}, dict(facts)


@dataclass
class Mute(Dummy):
    """Does not define `state`."""

    state = Model.state
    restore = Model.restore


def fitted(model: Model, kind: Kind = Kind.REGRESSION) -> Model:
    samples = samples_of(random_crystals(1, 12), kind)
    return model.fit(samples, samples)


def saved(folder: Path, model: Model | None = None) -> Path:
    save_model(fitted(model or Line()), folder / "model")
    return folder / "model"


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a description and its digest, as if another version of a class had written it."""
    from crystalbench.models.saving import _digest

    body = json.loads((folder / DESCRIPTION).read_text())
    del body["digest"]
    change(body)
    (folder / DESCRIPTION).write_text(json.dumps(body | {"digest": _digest(body)}))


# ---------------------------------------------------------------------- what is written


def test_a_saved_model_can_be_read_with_other_tools(tmp_path: Path) -> None:
    folder = saved(tmp_path, MagpieForest(trees=3))
    assert sorted(file.name for file in folder.iterdir()) == [ARRAYS, DESCRIPTION]
    body = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    assert body["model"] == "magpie_forest"
    assert body["model_version"] == MagpieForest.version
    assert body["parameters"] == MagpieForest(trees=3).configuration()
    assert body["target"] == {"name": "energy", "kind": "regression", "unit": "eV", "classes": []}
    arrays = load_file(folder / ARRAYS)
    assert len(arrays["trees.starts"]) == 4
    assert "runtime" not in body


def test_a_loaded_model_equals_the_saved_one(tmp_path: Path) -> None:
    loaded = load_model(saved(tmp_path, Line(slope=4.0)), device="cpu", threads=2)
    assert type(loaded) is Line
    assert loaded.slope == 4.0
    assert loaded.target == TARGETS[Kind.REGRESSION]
    assert loaded.held[1] == {"words": ["a", "b"]}
    assert (loaded.runtime.device, loaded.runtime.threads) == ("cpu", 2)
    assert loaded.predict(samples_of(random_crystals(1, 2))).values.tolist() == [6.0, 6.0]


def test_classes_of_the_target_are_restored(tmp_path: Path) -> None:
    save_model(fitted(Dummy(), Kind.MULTICLASS), tmp_path / "model")
    assert load_model(tmp_path / "model").target == TARGETS[Kind.MULTICLASS]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10.0)[::3],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(7, np.int64),
        np.zeros((0, 3), np.float32),
        np.arange(3, dtype=">f4"),
        np.array([True, False]),
        np.array([0.1, -0.0, np.inf, np.nan, 5e-324]),
    ],
    ids=["strided", "columns first", "scalar", "empty", "big-endian", "booleans", "odd numbers"],
)
def test_arrays_are_restored_exactly(tmp_path: Path, array: np.ndarray) -> None:
    model = fitted(Line())
    model.held = {"offset": array}, {}
    save_model(model, tmp_path / "model")
    back = load_model(tmp_path / "model").held[0]["offset"]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tobytes() == array.astype(back.dtype).tobytes()


@pytest.mark.slow
def test_another_process_loads_every_model(tmp_path: Path) -> None:
    """The folder is all that is needed."""
    expected, crystals = {}, prediction_crystals()[::3]
    for name in model_names():
        model = ModelCase(get_model(name), QUICK.get(name, {})).fit(Kind.REGRESSION)
        save_model(model, tmp_path / name)
        expected[name] = model.predict(Samples(crystals, TARGETS[Kind.REGRESSION])).values.tobytes().hex()
    crystals.save(tmp_path / "crystals")
    script = (
        "import json, logging, sys\n"
        "from pathlib import Path\n"
        "from crystalbench.data.crystals import Crystals\n"
        "from crystalbench.models import load_model\n"
        "from crystalbench.data.samples import Samples\n"
        "logging.disable()\n"
        "folder, *names = sys.argv[1:]\n"
        "crystals = Crystals.load(Path(folder) / 'crystals')\n"
        "models = {name: load_model(Path(folder) / name) for name in names}\n"
        "found = {n: m.predict(Samples(crystals, m.target)).values.tobytes().hex() for n, m in models.items()}\n"
        "print(json.dumps(found))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), *expected]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == expected


# ---------------------------------------------------------------------- what cannot be saved


def test_a_model_that_is_not_fitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SavingError, match="dummy is not fitted"):
        save_model(Dummy(), tmp_path / "model")


def test_a_model_without_state_cannot_be_saved_and_says_why(tmp_path: Path) -> None:
    model = fitted(Mute())
    with pytest.raises(SavingError, match=r"Mute cannot be saved until it defines state\(\) and restore"):
        save_model(model, tmp_path / "model")
    with pytest.raises(SavingError, match="Mute cannot be loaded until"):
        model.restore({}, {})


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    before = (folder / DESCRIPTION).read_bytes()
    with pytest.raises(SavingError, match="exists already"):
        save_model(fitted(Line(slope=9.0)), str(folder))
    assert (folder / DESCRIPTION).read_bytes() == before


@pytest.mark.parametrize(
    ("arrays", "facts", "message"),
    [
        ({"a": np.array(["text"])}, {}, "array 'a' of its state has the type <U4; it must be numeric"),
        ({"a": np.array([object()])}, {}, "has the type object"),
        ({"a": np.zeros(2, complex)}, {}, "has the type complex128"),
        ({"a": np.zeros(2, np.longdouble)}, {}, "has the type float"),
        ({}, {"a": object()}, "must be valid JSON"),
        ({}, {"a": float("nan")}, "must be valid JSON"),
        ({}, {"a": np.float32(1)}, "must be valid JSON"),
    ],
)
def test_a_state_that_is_not_numeric_arrays_and_json_is_refused(
    tmp_path: Path, arrays: Any, facts: Any, message: str
) -> None:
    model = fitted(Line())
    model.held = arrays, facts
    with pytest.raises(SavingError, match=message):
        save_model(model, tmp_path / "deep" / "model")
    assert not list(tmp_path.rglob("*"))


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SavingError, match="file/model: cannot be written"):
        save_model(fitted(Line()), tmp_path / "file" / "model")


def test_a_failed_save_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(Line())

    def full(path: Path, data: bytes) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SavingError, match=r"cannot be written \(no space left"):
        save_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- what cannot be loaded


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SavingError, match="there is no such folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(SavingError, match=r"is not a saved model: it has no model\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"format": 1}', '{"format": 1, "digest": "0"}', '{"format": 1, "digest": 3}']
)
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    folder = saved(tmp_path)
    (folder / DESCRIPTION).write_text(text)
    with pytest.raises(SavingError, match=r"model\.json: is damaged"):
        load_model(folder)


def test_a_changed_description_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    text = (folder / DESCRIPTION).read_text()
    (folder / DESCRIPTION).write_text(text.replace('"slope": 2.0', '"slope": 3.0'))
    with pytest.raises(SavingError, match="was changed after it was written"):
        load_model(folder)


@pytest.mark.parametrize("what", ["a bit", "the end", "all", "the file"])
def test_damaged_arrays_are_refused(tmp_path: Path, what: str) -> None:
    folder = saved(tmp_path)
    file = folder / ARRAYS
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    contents = {"a bit": bytes(data), "the end": bytes(data[:-1]), "all": b""}
    file.unlink()
    if what in contents:
        file.write_bytes(contents[what])
    with pytest.raises(SavingError, match=r"arrays\.safetensors: (is damaged|cannot be read)"):
        load_model(folder)


def test_arrays_of_another_model_are_refused(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other", Dummy())
    (one / ARRAYS).write_bytes((other / ARRAYS).read_bytes())
    with pytest.raises(SavingError, match="belongs to another model"):
        load_model(one)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    rewritten(folder, lambda body: body.update(format=2, more="things"))
    with pytest.raises(SavingError, match="has format 2; this version of CrystalBench reads 1"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "no_such_model"}, "'no_such_model', which is not available: Unknown model"),
        ({"model": "nowhere:Line"}, "nowhere:Line, which is neither registered nor imported"),
        ({"model": "os:system"}, "neither registered nor imported"),
        ({"model": "dummy"}, "contains a Line, not a Dummy"),
        ({"model_version": 2}, "fitted by version 2 of Line, and this is version 3"),
        ({"parameters": {"gone": 1}}, "its hyperparameters do not suit Line"),
        ({"parameters": {"slope": "steep"}}, "its hyperparameters do not suit Line"),
        ({"target": {"name": "x"}}, "is damaged"),
    ],
)
def test_a_description_that_does_not_match_the_class_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = saved(tmp_path)
    rewritten(folder, lambda body: body.update(changes))
    with pytest.raises(SavingError, match=message):
        load_model(folder)


def test_an_incomplete_state_is_refused(tmp_path: Path) -> None:
    model = fitted(Line())
    model.held = {"other": np.zeros(1)}, {}
    save_model(model, tmp_path / "model")
    with pytest.raises(SavingError, match=r"lacks what Line needs \(KeyError: 'offset'\)"):
        load_model(tmp_path / "model")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_model(ModelCase(get_model("cgcnn"), {}).fit(Kind.REGRESSION), folder := tmp_path / "model")
    rewritten(folder, lambda body: body["parameters"].update(width=16))
    with pytest.raises(SavingError, match=r"lacks what cgcnn needs \(RuntimeError: Error\(s\) in loading"):
        load_model(folder)


def test_a_missing_device_is_named(tmp_path: Path) -> None:
    save_model(ModelCase(get_model("cgcnn"), {}).fit(Kind.REGRESSION), tmp_path / "model")
    with pytest.raises(ConfigError, match="device 'nonsense' cannot be used here"):
        load_model(tmp_path / "model", device="nonsense")


# ---------------------------------------------------------------------- finding the class


def test_a_class_of_a_file_is_found_while_it_is_imported_and_otherwise_by_location(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    mine = get_model(f"{file}:Mine")
    folder = saved(tmp_path, mine())
    assert type(load_model(folder)) is mine
    del sys.modules[mine.__module__]
    with pytest.raises(SavingError, match="pass its class"):
        load_model(folder)
    again = load_model(folder, model=f"{file}:Mine")
    assert type(again).__name__ == "Mine"
    assert type(load_model(folder, model=mine)) is mine
    with pytest.raises(SavingError, match="contains a Mine, not a Dummy"):
        load_model(folder, model=Dummy)


def test_loading_imports_nothing_that_a_folder_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_trap.py").write_text(
        f"{FILE}\nfrom pathlib import Path\nPath(__file__).with_name('sprung').touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = saved(tmp_path)
    for place in ("a_trap:Mine", "a_trap.py:Mine", str(tmp_path / "a_trap.py:Mine")):
        rewritten(folder, lambda body, place=place: body.update(model=place, class_name="Mine"))  # type: ignore[misc]
        with pytest.raises(SavingError, match="neither registered nor imported"):
            load_model(folder)
    assert not (tmp_path / "sprung").exists()
    importlib.import_module("a_trap")
    del sys.modules["a_trap"]
    assert (tmp_path / "sprung").exists()  # it would have


def test_a_class_registered_under_another_location_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("line", f"{__name__}:Line", "crystalbench.models")
    elsewhere = importlib.metadata.EntryPoint("mute", f"{__name__}:Mute", "crystalbench.models")
    monkeypatch.setattr(plugins, "registered", lambda group: {"line": entry, "mute": elsewhere})
    monkeypatch.setattr(Mute, "__module__", "a.private.module")
    assert name_of(Line) == "line"
    assert name_of(Mute) == "mute"
    assert name_of(Dummy) == "crystalbench.models.dummy:Dummy"
