"""How questions, answers and others' texts become tokens, with tokenizers that have the habits of real ones."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from hacrl_envs.text import Problem, TextWorld, draw_each_once
from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models import prompting
from hacrl_lab.language_models.continuations import decoded, encoded
from hacrl_lab.language_models.prompting import Prompting, TextCodec
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES

BEGIN, END, TURN = "<s>", "</s>", "<|turn|>"
CORPUS = ["17 + 25 = 42, so the answer is 42.", "How much is 8 + 8?\nIt is 16.\n\n"] * 5


def byte_level(**changes: Any) -> PreTrainedTokenizerFast:
    """As Llama 3 and Qwen do it: every byte has a token."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made(models.BPE(), {"pre_tokenizer": byte_level, "decoder": decoders.ByteLevel()} | changes, alphabet)


def metaspace(**changes: Any) -> PreTrainedTokenizerFast:
    """As Llama 2 and Mistral do it: a space is put before a text and taken away again; rare letters are bytes."""
    undo = [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    parts = {
        "pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
        "decoder": decoders.Sequence(undo),
    }
    letters = sorted({letter for text in CORPUS for letter in text if not letter.isspace()} | {"▁"})
    tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    return made(models.BPE(byte_fallback=True, unk_token="<0x00>"), parts | changes, letters, tokens)


def made(model: Any, parts: dict[str, Any], alphabet: list[str], tokens: list[str] | None = None) -> Any:
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    special = [AddedToken(text, special=True) for text in (BEGIN, END, TURN)]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special + (tokens or []), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if tokens:  # bytes are ordinary tokens of the model, not added ones
        content = json.loads(tokenizer.to_str())
        content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] in (BEGIN, END, TURN)]
        tokenizer = Tokenizer.from_str(json.dumps(content))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, bos_token=BEGIN)


def codec(tokenizer: Any, **changes: Any) -> TextCodec:
    return TextCodec("a", tokenizer, Prompting(**changes), 512, 64)


def shared(*texts: str, opening: str = "") -> RolloutBatch:
    return RolloutBatch("b", [list(texts)], torch.ones(1, len(texts), dtype=torch.bool), opening=opening)


# Others' texts


@pytest.mark.parametrize("make", [byte_level, metaspace])
@pytest.mark.parametrize(
    "text", ["42", " 42", "  two\n\n\tlines ", "x² → 你好 мир", "", " ", "e\u0301 \u2126 \ufffd", f"16{END}8"]
)
def test_others_texts_stay_what_they_are(make: Any, text: str) -> None:
    tokenizer = make(normalizer=normalizers.NFC())
    learner = codec(tokenizer)
    tokens, mask = learner.texts(shared(text))
    assert learner.decode(tokens, mask) == [[text]]
    prompt, _ = learner.prompts(["8 + 8"])
    everything = [*prompt[0].tolist(), *tokens[0, 0][mask[0, 0]].tolist()[:-1]]
    assert tokenizer.decode(everything) == learner.prompt("8 + 8") + text


def test_no_space_is_put_before_a_text_that_continues_another() -> None:
    tokenizer = metaspace()
    assert tokenizer.convert_ids_to_tokens(tokenizer("42")["input_ids"])[0].startswith("▁")
    [tokens] = encoded(tokenizer, ["42"])
    assert "▁" not in "".join(tokenizer.convert_ids_to_tokens(tokens))
    assert tokenizer.convert_ids_to_tokens(tokenizer("42")["input_ids"])[0].startswith("▁")  # prompts begin as before


def test_a_space_that_was_said_is_shared() -> None:
    """The tokenizer's own decoder drops it, and a learner of another family would read another text."""
    tokenizer = metaspace()
    said = tokenizer("42", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(said) == "42"
    assert decoded(tokenizer, [said]) == [" 42"]


@pytest.mark.parametrize(
    ("parts", "was", "became"),
    [
        ({"normalizer": normalizers.Lowercase()}, "Two", "two"),
        ({"normalizer": normalizers.Replace("  ", " ")}, "Two  spaces", "Two spaces"),
        ({"normalizer": normalizers.Replace("²", "2")}, "x²", "x2"),
        ({"decoder": decoders.Fuse()}, "Two  spaces", "TwoĠĠspaces"),
    ],
)
def test_a_tokenizer_that_loses_or_changes_characters_is_refused(parts: Any, was: str, became: str) -> None:
    with pytest.raises(ModelLoadError, match=r"^the tokenizer of agent 'a' loses or changes characters") as caught:
        codec(byte_level(**parts))
    assert was in str(caught.value)
    assert became in str(caught.value)
    assert "\n" not in str(caught.value)


# The end of a turn


CHAT = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}MARK\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (None, END),
        (CHAT.replace("MARK", TURN), TURN),
        (CHAT.replace("MARK", END), END),
        (CHAT.replace("MARK", f" {TURN}{END}"), TURN),
        (CHAT.replace("MARK", ""), END),
        (CHAT.replace("MARK", "<|im_end|>"), END),  # no token of this tokenizer
        ("{{ raise_exception('questions only') if messages|length > 1 else messages[0].content }}", END),
    ],
)
def test_a_shared_answer_ends_as_the_learners_turn_does(template: str | None, end: str) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = template
    learner = codec(tokenizer)
    tokens, mask = learner.texts(shared("It is 16."))
    assert tokenizer.decode(tokens[0, 0][mask[0, 0]]) == f"It is 16.{end}"
    assert {str(tokenizer.decode([token])) for token in learner.stop_tokens} == {END, end}
    assert learner.decode(tokens, mask) == [["It is 16."]]


# Prompts


@pytest.mark.parametrize(("form", "begin"), [("$A </s>", ""), ("<s> $A </s>", "<s>"), ("<s> $A", "<s>"), ("$A", "")])
def test_prompts_do_not_end_with_a_token_that_the_tokenizer_appends(form: str, begin: str) -> None:
    tokenizer = byte_level()
    ids = [(text, tokenizer.convert_tokens_to_ids(text)) for text in (BEGIN, END)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=form, special_tokens=ids)
    asked = codec(tokenizer)
    tokens, mask = asked.prompts(["8 + 8", "8"])
    whole = [tokenizer.decode(row[keep]) for row, keep in zip(tokens, mask, strict=True)]
    assert whole == [f"{begin}8 + 8\n", f"{begin}8\n"]
    assert asked.prompt_lengths(["8 + 8", "8"]) == mask.sum(-1).tolist()


def test_the_date_of_a_chat_template_is_a_setting() -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}"
    assert codec(tokenizer, template_date="2026-03-01").prompt("8").startswith("01 Mar 2026: ")
    today = datetime.date.today().strftime("%d %b %Y")
    assert codec(tokenizer).prompt("8").startswith(f"{today}: ")


# Thinking that the prompt opens


@pytest.mark.parametrize(
    ("template", "ending", "opening"),
    [
        ("{question}\n", "", ""),
        ("{question}\n", "<think>\n", "<think>"),
        ("{question}\n", "<think>\n\n</think>\n\n", ""),
        ("Write <think> first. {question}", "", ""),
        ("{question} Begin with <think>.", "", ""),
        ("{question}\n<think>\n", None, "<think>"),
        ("{question}\nThink between <think> and </think>.", None, ""),
    ],
)
def test_a_prompt_can_open_the_thinking(template: str, ending: str | None, opening: str) -> None:
    tokenizer = byte_level()
    if ending is not None:
        tokenizer.chat_template = "[user] {{ messages[0].content }}[assistant]\n" + ending.replace("\n", "\\n").join(
            ("{{ '", "' }}")
        )
    assert codec(tokenizer, template=template).opening == opening


def test_what_is_cut_off_while_thinking_earns_nothing_though_the_prompt_opened_it() -> None:
    rule = ANSWER_RULES["boxed"]
    world = TextWorld(
        draw_each_once([Problem("8 + 8", "16")]),
        lambda problems, texts: [
            float(rule.answer(text) == problem.answer) for problem, text in zip(problems, texts, strict=True)
        ],
    )
    prompts = world.sample_prompts(1, RandomStream(0))
    texts = ["8 and 8: \\boxed{16}", "8 and 8</think>\\boxed{16}", "\\boxed{16}</think>no"]
    assert world.verify(prompts, shared(*texts, opening="<think>")).tolist() == [[0, 1, 0]]
    assert world.verify(prompts, shared(*texts)).tolist() == [[1, 1, 0]]
    assert shared(*texts, opening="<think>").shared().opening == "<think>"


def test_templates_have_a_time_limit_for_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompting, "TEMPLATE_SECONDS", 0.3)
    tokenizer = byte_level()
    tokenizer.chat_template = CHAT.replace("MARK", TURN)
    in_time = tokenizer.apply_chat_template

    def slow_with_answers(messages: list[dict[str, str]], **settings: Any) -> Any:
        if len(messages) > 1:
            time.sleep(60)
        return in_time(messages, **settings)

    monkeypatch.setattr(tokenizer, "apply_chat_template", slow_with_answers)
    assert codec(tokenizer).end_token == tokenizer.eos_token_id
