"""The settings of a run as a file: ``config.yaml``, which every run leaves and which, edited, is the next run.

Groups stand under their names; what is left out has its default. ``null`` is a setting that was left out, whose value
depends on others.
"""

from __future__ import annotations

import dataclasses
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.files import write_text
from hacrl_runs.settings import TrainSettings, changed

CONFIG = "config.yaml"
NOT_IN_FILES = ("output_dir",)
"""Settings that belong to one run: the next one, from the same file, has a folder of its own."""
HEAD = """\
# The settings of a run: edit them and start the next one with
#     hacrl-lab train --config THIS_FILE
# Options on the command line take precedence. docs/options.md explains every setting.
"""


def write_config(settings: TrainSettings, path: Path) -> None:
    """Write the settings, group by group, without those of one run only."""
    text = HEAD + "".join(
        yaml.safe_dump({name: group}, sort_keys=False, allow_unicode=True, width=120)
        for name, group in _plain(settings).items()
    )
    write_text(path, text)


def read_config(path: Path) -> TrainSettings:
    """The settings that a file holds.

    Raises:
        LabError: the file cannot be read, has unknown settings, or impossible values; the message names the setting.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"cannot read the settings {str(path)!r}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # impossible dates, numbers and depths among them
        raise LabError(f"{str(path)!r} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise LabError(f"{str(path)!r} holds no settings; a run's {CONFIG} shows what it must look like")
    _check_names(values, TrainSettings(), path)
    try:
        return changed(TrainSettings(), _checked(values, TrainSettings(), path))
    except SettingError as error:
        raise SettingError(f"{error} (in {str(path)!r})") from error


def _plain(settings: Any) -> dict[str, Any]:
    """Dataclasses as dictionaries, tuples as lists."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {
        name: _plain(value) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in NOT_IN_FILES
    }


def _check_names(values: dict[Any, Any], settings: Any, path: Path, group: str = "") -> None:
    """Refuse names that do not stand where they belong.

    Raises:
        LabError: names the nearest setting that there is, with its group.
    """
    known = {field.name for field in dataclasses.fields(settings)} - set(NOT_IN_FILES)
    for name, value in values.items():
        if name not in known:
            raise LabError(f"{str(path)!r} has no setting {f'{group}{name}'!r}{_hint(str(name))}")
        part = getattr(settings, name)
        if is_dataclass(part):
            if not isinstance(value, dict):
                raise LabError(f"{str(path)!r}: {group}{name} must be a group of settings, got {value!r}")
            _check_names(value, part, path, f"{group}{name}.")


def _hint(name: str) -> str:
    full_names = _full_names(TrainSettings())
    nearest = get_close_matches(name, full_names, n=1)
    return f"; did you mean {full_names[nearest[0]]!r}?" if nearest else ""


def _full_names(settings: Any, group: str = "") -> dict[str, str]:
    """Name of every setting -> its name with its groups."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        found |= (
            _full_names(value, f"{group}{field.name}.") if is_dataclass(value) else {field.name: group + field.name}
        )
    return found


def _checked(values: dict[str, Any], settings: Any, path: Path, group: str = "") -> dict[str, Any]:
    """The values by flat name, each of the type that its setting has; a list of one value may be that value.

    Raises:
        LabError: a value of another type.
    """
    types = get_type_hints(type(settings), include_extras=True)
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if is_dataclass(part := getattr(settings, name)):
            checked |= _checked(value, part, path, f"{group}{name}.")
            continue
        if isinstance(part, tuple) and isinstance(value, str | int | float):
            value = [value]
        try:
            if isinstance(value, bool) and not isinstance(part, bool):
                raise LabError(f"{str(path)!r}: {group}{name} cannot be {str(value).lower()}")
            checked[name] = TypeAdapter(types[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise LabError(
                f"{str(path)!r}: {group}{name} cannot be {value!r}: {reason[:1].lower()}{reason[1:]}"
            ) from error
    return checked
