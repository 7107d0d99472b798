"""What a model can be named by, and which part of it is where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from contract.kinds import SETTINGS

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.adapters import check_base
from hacrl_lab.language_models.model_fingerprint import model_fingerprint
from hacrl_lab.language_models.shared_base import base_holders
from hacrl_lab.language_models.sources import Source, is_pair, source_of

LORA = replace(SETTINGS, lora_rank=2)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: ``base``, ``copy`` and ``other`` of weights, ``c++`` too, and two adapters of ``base``."""
    monkeypatch.chdir(tmp_path)
    for name, weights in {"base": "1", "copy": "1", "other": "2", "c++": "1"}.items():
        Path(name).mkdir()
        Path(name, "model.safetensors").write_text(weights)
    for name in ("first", "second"):
        Path(name).mkdir()
        Path(name, "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "base"}))
        Path(name, "adapter_model.safetensors").write_text(name)


def test_a_model_is_a_folder_a_hub_id_an_adapter_or_both() -> None:
    assert source_of("base") == Source("base")
    assert source_of("owner/name") == Source("owner/name")
    assert source_of("first") == Source("base", "first")
    assert source_of("copy+first") == Source("copy", "first", beside=True)
    assert source_of("owner/name+first") == Source("owner/name", "first", beside=True)


def test_a_folder_may_have_a_plus_in_its_name() -> None:
    assert (is_pair("c++"), is_pair("c+++first")) == (False, True)
    assert source_of("c++") == Source("c++")
    assert source_of("c+++first") == Source("c++", "first", beside=True)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("base+other", "must be BASE.ADAPTER, and 'other' is no folder with an adapter_config.json$"),
        ("first+second", "must be BASE.ADAPTER, and the base 'first' is the folder of an adapter$"),
        ("base+./none", "model folder './none' does not exist$"),
        ("./none+first", "model folder './none' does not exist$"),
    ],
)
def test_what_is_no_base_and_adapter_is_refused(named: str, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        source_of(named)


def test_the_fingerprint_is_that_of_both_parts() -> None:
    marks = {named: model_fingerprint(named) for named in ("base", "base+first", "base+second", "other+first")}
    assert len(set(marks.values())) == 4
    assert model_fingerprint("copy+first") == marks["base+first"] == model_fingerprint("first")


@pytest.mark.parametrize("base", ["base", "copy"])
def test_a_base_is_known_by_its_weights(base: str) -> None:
    check_base(source_of(f"{base}+first"))


def test_another_base_is_refused_where_it_can_be_seen() -> None:
    with pytest.raises(ModelLoadError, match=r"'first' was not made for 'other': its own base is 'base'$"):
        check_base(source_of("other+first"))
    for named, base in (("owner/a", "owner/b"), ("/elsewhere/a", "owner/b"), ("owner/a", "other")):
        Path("first/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
        source = source_of(f"{base}+first")
        if (named, base) == ("owner/a", "owner/b"):
            with pytest.raises(ModelLoadError, match=r"'first' was not made for 'owner/b': its own base is 'owner/a'$"):
                check_base(source)
        else:
            check_base(source)


def test_agents_share_a_base_only_if_nothing_but_adapters_is_trained_and_it_is_on_one_device() -> None:
    Path("link").symlink_to("base")
    sources = {"a": "base", "b": "link+first", "c": "other", "d": "base"}
    alone = {name: name for name in sources}

    def holders(**changes: object) -> dict[str, str]:
        return base_holders(sources, {name: replace(LORA, **changes) for name in sources})  # type: ignore[arg-type]

    assert holders() == {"a": "a", "b": "a", "c": "c", "d": "a"}
    assert holders(lora_rank=0) == holders(offload=True) == holders(ranks=2) == alone
    settings = dict.fromkeys(sources, LORA) | {"a": replace(LORA, lora_rank=0), "d": replace(LORA, device="cuda:1")}
    assert base_holders(sources, settings) == alone
