#!/usr/bin/env bash
# Mixtures of experts of transformers compute in float32 on a CPU, but not on the device meta, nor with fake tensors.
#
# Seen with transformers 5.19.0 and torch 2.13.0. transformers computes experts with torch's grouped matrix product by
# default. Its version for a CPU takes float32; its version for tensors without values takes bfloat16 only. So tools
# that measure memory or shapes without loading weights fail for every mixture of experts in float32, with a message
# that names neither the model nor the device. The loop over experts (experts_implementation="eager") fails there, too,
# since it depends on values; "batched_mm" works, and copies the experts of each token.
#
# Output seen, the same for mixtral, qwen3_moe, olmoe and granitemoe:
#   grouped_mm  float32   cpu   computes
#   grouped_mm  float32   meta  RuntimeError
#   grouped_mm  float32   fake  RuntimeError
#   grouped_mm  bfloat16  cpu   computes
#   grouped_mm  bfloat16  meta  computes
#   grouped_mm  bfloat16  fake  computes
#   batched_mm  float32   meta  computes
#   eager       float32   meta  NotImplementedError
#   qwen3 (dense), float32, meta: computes
#
# Needs python3 and pip. Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 transformers==5.19.0
cat > shapes.py << 'END'
import logging
import sys

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {
    **{"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "head_dim": 16, "vocab_size": 64, "eos_token_id": None},
}
FLOAT, BRAIN = torch.float32, torch.bfloat16
SEEN = [
    ("grouped_mm", FLOAT, "cpu", "computes"),
    ("grouped_mm", FLOAT, "meta", "RuntimeError"),
    ("grouped_mm", FLOAT, "fake", "RuntimeError"),
    ("grouped_mm", BRAIN, "cpu", "computes"),
    ("grouped_mm", BRAIN, "meta", "computes"),
    ("grouped_mm", BRAIN, "fake", "computes"),
    ("batched_mm", FLOAT, "meta", "computes"),
    ("eager", FLOAT, "meta", "NotImplementedError"),
]
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)


def outcome(kind, implementation, dtype, place):
    config = AutoConfig.for_model(kind, **SIZES)
    settings = {} if implementation is None else {"experts_implementation": implementation}
    try:
        with FakeTensorMode() if place == "fake" else torch.device(place):
            model = AutoModelForCausalLM.from_config(config, dtype=dtype, **settings)
            model(torch.ones(1, 4, dtype=torch.long))
    except Exception as error:
        return type(error).__name__
    return "computes"


as_seen = outcome("qwen3", None, FLOAT, "meta") == "computes"
print(f"qwen3 (dense), float32, meta: {'computes' if as_seen else 'fails'}")
for kind in ("mixtral", "qwen3_moe", "olmoe", "granitemoe"):
    print(kind)
    for implementation, dtype, place, expected in SEEN:
        found = outcome(kind, implementation, dtype, place)
        print(f"  {implementation:11} {str(dtype)[6:]:9} {place:5} {found}")
        as_seen &= found == expected
sys.exit(not as_seen)
END
venv/bin/python shapes.py
