"""Writes the files in files/ and expected.json, which says what is in them. Made with PyTorch 2.13.

    python test/model/torch/generate.py
"""

import collections
import json
import pathlib
import warnings

import numpy
import torch

warnings.simplefilter("ignore")
FILES = pathlib.Path(__file__).parent / "files"
NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}
expected = {}


def describe(tensor):
    raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
    return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "hex": bytes(raw.tolist()).hex()}


def save(name, value, tensors=None, **options):
    torch.save(value, FILES / name, **options)
    if tensors is not None:
        expected[name] = {key: describe(tensor) for key, tensor in tensors.items()}


def counted(dtype, *shape, start=1):
    count = int(numpy.prod(shape))
    if dtype == torch.bool:
        return (torch.arange(count) % 2 == 1).reshape(shape)
    return torch.arange(start, start + count).to(dtype).reshape(shape)


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(4, 2)
        self.head = torch.nn.Linear(2, 4, bias=False)
        self.head.weight = self.embed.weight
        self.norm = torch.nn.BatchNorm1d(2)


torch.manual_seed(0)
dtypes = {name: counted(dtype, 2, 3) for dtype, name in NAMES.items()}
dtypes |= {"number": torch.tensor(7.5), "nothing": torch.empty(0, 3), "long name.of.a.weight": counted(torch.float32, 5)}
save("dtypes.bin", dtypes, dtypes)
save("dtypes-legacy.bin", dtypes, dtypes, _use_new_zipfile_serialization=False)
save("dtypes-protocol4.bin", dtypes, dtypes, pickle_protocol=4)

state = Tiny().state_dict()
save("module.bin", state, state)
save("module-legacy.pt", state, state, _use_new_zipfile_serialization=False)

base = counted(torch.float32, 4, 6)
attributed = counted(torch.float32, 3)
attributed.note = "kept beside the tensor"
views = collections.OrderedDict(
    whole=base, rows=base[1:3], row=base[3], flat=base.view(24)[5:11], same=base, thin=base[2:3, 1:5],
    parameter=torch.nn.Parameter(counted(torch.bfloat16, 3)), attributed=attributed,
)
save("views.bin", views, views)
save("views-legacy.bin", views, views, _use_new_zipfile_serialization=False)
cube = counted(torch.bfloat16, 2, 3, 4)
strided = {
    "plain": base, "transposed": base.T, "column": base[:, 1], "repeated": base[:1].expand(4, 6), "inner": base[1:3, 2:5],
    "everywhere": torch.tensor(2.5, dtype=torch.float64).expand(3, 2), "permuted": cube.permute(2, 0, 1), "stepped": cube[:, ::2],
    "flags": counted(torch.bool, 3, 5).T, "channels": counted(torch.float16, 2, 3, 2, 2).to(memory_format=torch.channels_last),
}
save("strided.bin", strided, strided)
save("strided-legacy.bin", strided, strided, _use_new_zipfile_serialization=False)

optimizer = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())
training = {
    "epoch": 3, "loss": numpy.float32(0.5), "best": numpy.float64(0.25), "flag": True, "none": None, "bytes": b"abc",
    "big": 2**70, "negative": -5, "large": 2**40, "seen": {1, 2}, "device": torch.device("cpu"), "size": torch.Size([2, 3]),
    "counter": collections.Counter([1, 1, 2]), "dtype": torch.float16,
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": optimizer.state_dict()["param_groups"]}],
    "state_dict": state,
}
save("training.ckpt", training, state)
nested = {"unet": {"in": base, "out": [attributed, base[0]]}, "step": 4}
save("nested.pt", nested, {"unet.in": base, "unet.out.0": attributed, "unet.out.1": base[0]})

save("float8.bin", {"a": torch.zeros(4), "b": torch.zeros(4).to(torch.float8_e4m3fn), "c": torch.zeros(2).to(torch.float8_e4m3fn)})
save("complex.bin", {"a": torch.zeros(4, dtype=torch.complex64)})
save("kinds.bin", {
    "quantised": torch.quantize_per_tensor(torch.ones(4), 0.5, 0, torch.qint8),
    "sparse": torch.eye(2).to_sparse(),
    "meta": torch.empty(2, device="meta"),
})
save("tensor.pt", base)
save("object.pt", {"model": torch.nn.Linear(2, 2)})

(FILES.parent / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")
