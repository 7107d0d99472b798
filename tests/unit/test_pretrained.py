"""Model folders that cannot be right are refused when they are read, by name."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.pretrained import read_config, read_model, read_tokenizer
from hacrl_lab.language_models.prompting import Prompting, TextCodec
from hacrl_lab.language_models.sources import location_of


@pytest.fixture
def model(adders: list[str], tmp_path: Path) -> Path:
    """A copy of a good model, to be spoiled."""
    return Path(shutil.copytree(adders[1], tmp_path / "model"))


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_folder_is_read(model: Path) -> None:
    assert read_model(str(model)).config.num_hidden_layers == 2
    assert read_tokenizer(str(model)).eos_token == "<|end|>"
    assert read_config(str(model)).max_position_embeddings == 48


def test_missing_weights_are_not_random_without_a_word(model: Path) -> None:
    change_config(model, num_hidden_layers=3)
    with pytest.raises(ModelLoadError, match=r"lacks 9 tensors of its model, 'model\.layers\.2.*which would be random"):
        read_model(str(model))


def test_weights_under_other_names_are_refused(model: Path) -> None:
    weights = model / "model.safetensors"
    save_file({f"policy.{name}": value for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lacks \d+ tensors .* others, 'policy\."):
        read_model(str(model))


def test_weights_that_are_not_used_are_said(model: Path) -> None:
    change_config(model, num_hidden_layers=1)
    with pytest.warns(UserWarning, match=r"holds 9 tensors that its model does not use, 'model\.layers\.1"):
        read_model(str(model))


def test_a_tokenizer_with_more_tokens_than_the_model_is_another_models(model: Path, adders: list[str]) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(adders[2]) / name, model / name)
    change_config(model, vocab_size=20)
    with pytest.raises(ModelLoadError, match="the model's vocabulary has 20: it is another model's"):
        read_tokenizer(str(model))


@pytest.mark.parametrize("gone", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_an_error_with_the_folder_in_it(model: Path, gone: str) -> None:
    (model / gone).unlink()
    read = read_model if gone == "model.safetensors" else read_tokenizer
    with pytest.raises(ModelLoadError, match=r"could not load a .* from .*model'"):
        read(str(model))


def test_a_model_without_a_bound_on_its_texts_is_refused(model: Path) -> None:
    change_config(model, max_position_embeddings=None)
    with pytest.raises(ModelLoadError, match=r"no max_position_embeddings|could not load a model"):
        read_config(str(model))


def test_code_that_comes_with_a_model_is_not_executed(model: Path, tmp_path: Path) -> None:
    change_config(
        model, model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    )
    (model / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    with pytest.raises(ModelLoadError):
        read_model(str(model))
    assert not (tmp_path / "executed").exists()


def test_names_are_folders_or_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "note.txt").write_text("text")
    assert (location_of("mine"), location_of("gpt2"), location_of("owner/name")) == ("mine", "gpt2", "owner/name")
    for source in ("./gpt2", "a/b/c", "", "/nowhere", "~/nowhere-at-all"):
        with pytest.raises(ModelLoadError, match="does not exist"):
            location_of(source)
    with pytest.raises(ModelLoadError, match="is a file"):
        location_of("note.txt")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "cannot be used: roles must alternate"),
        ("{% for %}", "cannot be used"),
        ("Hello.", "leaves the question out"),
        ("{{ ''.__class__.__mro__ }}{{ messages[0].content }}", "cannot be used: access to attribute"),
    ],
)
def test_chat_templates_that_cannot_be_used_are_refused(adders: list[str], template: str, message: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(adders[0])
    tokenizer.chat_template = template
    with pytest.raises(ModelLoadError, match=message):
        TextCodec("a", tokenizer, Prompting(), 48, 12)


ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
LARGE = "{{ 'x' * 10 ** 10 }}"


@pytest.mark.parametrize(("trap", "reason"), [(ENDLESS, r"took longer than 0\.5 seconds"), (LARGE, "MemoryError")])
@pytest.mark.parametrize("in_main_thread", [True, False])
def test_chat_templates_have_limits_for_every_question(
    adders: list[str], monkeypatch: pytest.MonkeyPatch, trap: str, reason: str, in_main_thread: bool
) -> None:
    monkeypatch.setattr("hacrl_lab.language_models.prompting.TEMPLATE_SECONDS", 0.5)
    tokenizer = AutoTokenizer.from_pretrained(adders[0])
    tokenizer.chat_template = (
        f"{{% if 'trap' in messages[0].content %}}{trap}{{% endif %}}{{{{ messages[0].content }}}}"
    )
    codec = TextCodec("a", tokenizer, Prompting(), 48, 12)
    assert codec.prompt("8+8?") == "8+8?"
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(ModelLoadError, match=f"agent 'a' cannot be used for the question 'a trap': {reason}"),
    ):
        codec.prompt("a trap") if in_main_thread else pool.submit(codec.prompt, "a trap").result()
    assert codec.prompt("8+9?") == "8+9?"


def test_chat_templates_have_a_time_limit(adders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hacrl_lab.language_models.prompting.TEMPLATE_SECONDS", 0.5)
    tokenizer = AutoTokenizer.from_pretrained(adders[0])
    tokenizer.chat_template = "{{ messages[0].content }}"
    monkeypatch.setattr(tokenizer, "apply_chat_template", lambda *_, **settings: time.sleep(60))
    with pytest.raises(ModelLoadError, match=r"took longer than 0\.5 sec"):
        TextCodec("a", tokenizer, Prompting(), 48, 12)
