"""Records what Transformers makes of tiny models: test/forward/recorded/*.json. Run once, by hand, with torch and
transformers installed; the tests need neither. Weights follow from a formula that tiny-decoder.ts repeats, so that only
configurations and results are stored.
"""

import json
import pathlib

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

OUT = pathlib.Path(__file__).parent / "recorded"
LENGTHS = [1, 5, 12, 23]
VOCAB = 50

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": VOCAB,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def of(family, name, **more):
    return {**SHAPE, "model_type": family, "architectures": [f"{name}ForCausalLM"], **more}


def llama(**more):
    return of("llama", "Llama", **more)


FACTORS = [1.0, 1.3, 1.9, 2.5]
CASES = {
    "llama": llama(),
    "llama-biases": llama(attention_bias=True, mlp_bias=True),
    "llama-bfloat16": llama(torch_dtype="bfloat16", num_key_value_heads=4, tie_word_embeddings=True),
    "llama-linear": llama(rope_scaling={"type": "linear", "factor": 2.5}),
    "llama-dynamic": llama(max_position_embeddings=8, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "llama-yarn": llama(
        rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    ),
    "llama-yarn-mscale": llama(
        rope_scaling={
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 16,
            "beta_fast": 4,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 0.5,
            "truncate": False,
        }
    ),
    "llama-llama3": llama(
        rope_theta=500000.0,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "llama-longrope": llama(
        original_max_position_embeddings=16,
        rope_scaling={
            "rope_type": "longrope",
            "short_factor": FACTORS,
            "long_factor": [2 * factor for factor in FACTORS],
        },
    ),
    "mistral": of("mistral", "Mistral", sliding_window=None),
    "mistral-window": of("mistral", "Mistral", sliding_window=4, head_dim=12),
    "llama-long": llama(),
    "mistral-long": of("mistral", "Mistral", sliding_window=75),
    "qwen2": of("qwen2", "Qwen2", tie_word_embeddings=True),
    "qwen2-window": of("qwen2", "Qwen2", use_sliding_window=True, sliding_window=3, max_window_layers=1),
    "qwen3": of("qwen3", "Qwen3", head_dim=16),
    "qwen3-window": of(
        "qwen3",
        "Qwen3",
        head_dim=16,
        attention_bias=True,
        use_sliding_window=True,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_scaling={"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32},
    ),
}
# Others than LENGTHS: beyond the tokens whose scores are in memory at a time.
LONG = {"llama-long": [150, 70], "mistral-long": [150, 70]}
# Their embedding depends on the longest sequence of a batch: each sequence is run on its own.
ALONE = {"llama-dynamic", "llama-longrope"}


def weights(shapes):
    """A linear congruential generator, by tensor in the order given; norms near one."""
    state = 1
    tensors = {}
    for name, shape in shapes.items():
        values = np.empty(int(np.prod(shape)))
        for i in range(len(values)):
            state = (state * 1664525 + 1013904223) % 2**32
            values[i] = state / 2**31 - 1
        if name.endswith("norm.weight"):
            values = 1 + 0.3 * values
        elif "embed" not in name:
            values = 0.35 * values
        tensors[name] = torch.tensor(values.reshape(shape), dtype=torch.float32)
    return tensors


def rounded(values):
    return [float(f"{value:.7g}") for value in np.asarray(values, dtype=np.float64).reshape(-1)]


def run(model, batch):
    """Left padding and a mask, as mergekit-moe prepares prompts. Gives states[layer][sequence] and logits."""
    longest = max(len(ids) for ids in batch)
    ids = torch.tensor([[1] * (longest - len(one)) + one for one in batch])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in batch])
    with torch.no_grad():
        out = model(ids, attention_mask=mask, output_hidden_states=True)
    states = [[state[s, -len(one) :] for s, one in enumerate(batch)] for state in out.hidden_states[:-1]]
    logits = [out.logits[s, -len(one) :] for s, one in enumerate(batch)]
    return states, logits


def record(name, config):
    ids = [[(s * 17 + i * 7 + i * i) % VOCAB for i in range(length)] for s, length in enumerate(LONG.get(name, LENGTHS))]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), attn_implementation="eager")
    model = model.to(torch.float32).eval()
    own = {key: list(value.shape) for key, value in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        own.pop("lm_head.weight")
    tensors = weights(own)
    if config["torch_dtype"] == "bfloat16":
        tensors = {key: value.to(torch.bfloat16).to(torch.float32) for key, value in tensors.items()}
    missing = model.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {"lm_head.weight"}
    if name in ALONE:
        runs = [run(model, [one]) for one in ids]
        states = [[states[layer][0] for states, _ in runs] for layer in range(config["num_hidden_layers"])]
        logits = [logits[0] for _, logits in runs]
    else:
        states, logits = run(model, ids)
    chosen = []
    for one, of_one in zip(ids, logits):
        log_p = torch.log_softmax(of_one.double(), -1)
        chosen += [0.0] + [log_p[i - 1, one[i]].item() for i in range(1, len(one))]
    recorded = {
        "config": config,
        "shapes": own,
        "ids": ids,
        "last": rounded([[one[-1].numpy() for one in layer] for layer in states]),
        "average": rounded([[one.mean(0).numpy() for one in layer] for layer in states]),
        "logProbabilities": rounded(chosen),
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in recorded.items())
    (OUT / f"{name}.json").write_text("{\n" + lines + "\n}\n")


for case, settings in CASES.items():
    record(case, json.loads(json.dumps(settings)))
    print(case)
