"""What PyTorch takes for the tensor operations that mergekit does for ties and della, on tensors that are resident.

    python3 bench/gpu-torch.py [--device cuda:0] [--ours TABLE]
    python3 bench/gpu-torch.py --device cpu --small [--sinter COMMAND]

bench/gpu.sh runs the first form where PyTorch finds a device, with the table that it printed just before as TABLE: same
shapes, dtype, densities and numbers of models as its rows "ties, 3 models: whole" and "della, 2 models: whole", whose times
are compared: what the host does between kernels counts for both. Medians over four sets of tensors, which take turns:
together several times any L2 cache. Rows "of one model" are a part of the one below them. GB/s counts the bytes that
Sinter's passes move, so that it compares as the times do; PyTorch moves more.

The second form checks by hand, on any machine, that these are the right operations, in float32:

    python3 bench/gpu-torch.py --device cpu --small --sinter "bun src/cli.ts"

merges the same tensors with Sinter. ties has to agree to rounding. della draws other random numbers: kept shares, overall,
for each tenth of the ranks and over rows, and the sums of magnitudes have to be those that the paper asks for, in both. Exit
code 1 where they are not. Needs PyTorch and nothing else.

The operations are mergekit 0.1.4's in kind, order and dtype (the models' own), for ties without and della with `rescale`, as
it merges by default: sorting all magnitudes, ranks by sorting twice, one stack of all models. Written anew.
"""

import argparse
import json
import pathlib
import re
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import torch

RUNS, UNCOUNTED, SETS = 21, 3, 4
DENSITY, EPSILON = 0.5, 0.1
TIES_WEIGHTS, DELLA_WEIGHTS = [0.5, 0.3, 0.2], [0.5, 0.3]
#: Rows of Sinter's table, and the bytes an element that their passes move.
TIES, DELLA = "ties, 3 models: whole", "della, 2 models: whole"
BYTES = {TIES: 18, DELLA: 22.75}
#: How many times Sinter's time it should be at the least, by what Sinter sets out to do.
TARGET = 5


def keep_largest(delta, density):
    """The `density` share of elements of largest magnitude; the others are zero."""
    count = int(density * delta.numel())
    magnitudes = delta.abs().flatten()
    if magnitudes.device.type == "cpu":
        magnitudes = magnitudes.float()
    largest = torch.argsort(magnitudes, descending=True)[:count]
    mask = torch.zeros_like(delta)
    mask.view(-1)[largest] = 1
    return delta * mask


def keep_by_rank(delta, density, epsilon):
    """Elements kept with a probability that grows with their rank in the row, scaled to the L1 norm of before."""
    order = torch.argsort(delta.abs(), dim=1)
    ranks = order.argsort(dim=1).to(delta.dtype) + 1
    least, most = (end(dim=1, keepdim=True).values for end in (ranks.min, ranks.max))
    place = ((ranks - least) / (most - least)).clamp(0, 1)
    kept = delta * torch.bernoulli((density - epsilon) + place * 2 * epsilon).to(delta.dtype)
    before, after = delta.abs().sum(), kept.abs().sum()
    if before < 1e-7 or after < 1e-7:
        return kept
    return kept * (before / after)


def mix_by_sign(base, deltas, weights):
    """base + the weighted mean of the deltas that have the sign of their weighted sum."""
    stacked = torch.stack(deltas)
    weight = torch.tensor(weights, dtype=stacked.dtype, device=stacked.device).view(-1, *[1] * base.dim())
    weighted = stacked * weight
    signs = weighted.sign().to(base.dtype)
    elected = (weighted.sum(dim=0) >= 0).to(base.dtype) * 2 - 1
    counts = signs == elected
    mixed = (weighted * counts).sum(dim=0)
    divisor = (weight * counts).sum(dim=0)
    divisor[divisor == 0] = 1
    mixed /= divisor
    return (base + mixed).to(base.dtype)


def ties(base, models, weights=TIES_WEIGHTS):
    return mix_by_sign(base, [keep_largest(model - base, DENSITY) for model in models], weights)


def della(base, models, weights=DELLA_WEIGHTS):
    return mix_by_sign(base, [keep_by_rank(model - base, DENSITY, EPSILON) for model in models], weights)


def make_tensors(shape, models, dtype, device, seed):
    """A base and fine-tunes that differ from it by a few steps of bfloat16, as the kernels' benchmark has them."""
    random = torch.Generator(device).manual_seed(seed)
    normal = lambda scale: scale * torch.randn(shape, generator=random, device=device)
    base = normal(0.02).to(dtype)
    return base, [(base.float() + normal(3e-4)).to(dtype) for _ in range(models)]


class Bench:
    def __init__(self, device, shape):
        self.device = torch.device(device)
        self.elements = shape[0] * shape[1]
        self.sets = [make_tensors(shape, 3, torch.bfloat16, self.device, seed) for seed in range(SETS)]
        self.copy = None

    def seconds(self, queue):
        """What `queue` takes for all sets, once."""
        if self.device.type == "cpu":
            begun = time.perf_counter()
            for tensors in self.sets:
                queue(*tensors)
            return time.perf_counter() - begun
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # The device is busy until much is queued.
        for base, models in self.sets:
            models[0].clone()
        begin.record()
        for tensors in self.sets:
            queue(*tensors)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def row(self, name, bytes_each, queue):
        """Prints a row as native/cuda/check/timing.cc does. @returns milliseconds."""
        times = [self.seconds(queue) for _ in range(UNCOUNTED + RUNS)][UNCOUNTED:]
        ms = 1000 * statistics.median(times) / SETS
        speed = bytes_each * self.elements / ms / 1e6
        share = "" if self.copy is None else f"   {100 * speed / self.copy:5.1f} %"
        print(f"{name:36} {ms:8.4f} {speed:9.1f} {self.elements / ms / 1e6:9.2f}{share}", flush=True)
        self.copy = self.copy or speed
        return ms

    def run(self):
        print(f"\n{'PyTorch ' + torch.__version__:36} {'ms':>8} {'GB/s':>9} {'elem/ns':>9}   of copy")
        out = torch.empty_like(self.sets[0][0])
        self.row("copy, device to device", 4, lambda base, _: out.copy_(base))
        self.row("ties: what is kept, of one model", 4, lambda base, models: keep_largest(models[0] - base, DENSITY))
        times = {TIES: self.row("ties, 3 models", BYTES[TIES], ties)}
        ranked = lambda base, models: keep_by_rank(models[0] - base, DENSITY, EPSILON)
        self.row("della: what is kept, of one model", 4, ranked)
        times[DELLA] = self.row("della, 2 models", BYTES[DELLA], lambda base, models: della(base, models[:2]))
        return times


def compare_times(times, table):
    """Prints how many times as long PyTorch takes as the rows of Sinter's table say."""
    print("\nPyTorch's time over Sinter's, tensors resident")
    for name, ms in times.items():
        row = re.search(rf"^{re.escape(name)} +([0-9.]+) ", table, re.MULTILINE)
        said = f"{ms / float(row[1]):8.1f} x   (wanted: at least {TARGET})" if row else "not in the table"
        print(f"{name.split(':')[0]:36} {said}")


def write_tensor(path, tensor):
    """A safetensors file with one float32 tensor `w`."""
    data = tensor.cpu().contiguous().numpy().astype("<f4").tobytes()
    entry = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [0, len(data)]}
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def read_tensor(path):
    stored = path.read_bytes()
    (length,) = struct.unpack("<Q", stored[:8])
    entry = json.loads(stored[8 : 8 + length])["w"]
    assert entry["dtype"] == "F32", entry
    begin, end = entry["data_offsets"]
    data = bytearray(stored[8 + length + begin : 8 + length + end])
    return torch.frombuffer(data, dtype=torch.float32).reshape(entry["shape"])


def merged_by_sinter(command, method, base, models, weights):
    """The same merge by `sinter mergekit-pytorch`, through files."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for i, tensor in enumerate([base, *models]):
            write_tensor(folder / f"{i}.safetensors", tensor)
        entries = [
            {"model": str(folder / f"{i + 1}.safetensors"), "parameters": {"weight": weight}}
            for i, weight in enumerate(weights)
        ]
        config = {
            "merge_method": method,
            "base_model": str(folder / "0.safetensors"),
            "models": entries,
            "parameters": {"density": DENSITY, "epsilon": EPSILON} if method == "della" else {"density": DENSITY},
            "dtype": "float32",
        }
        (folder / "config.yml").write_text(json.dumps(config))
        line = [*shlex.split(command), "mergekit-pytorch", str(folder / "config.yml"), str(folder / "out")]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        return read_tensor(folder / "out" / "model.safetensors")


def check_ties(shape, command, device):
    base, models = make_tensors(shape, 3, torch.float32, device, 5)
    ours = merged_by_sinter(command, "ties", base, models, TIES_WEIGHTS)
    # Of elements whose magnitude is the smallest that is kept, a sort keeps any.
    settled = torch.ones_like(base, dtype=torch.bool)
    for model in models:
        magnitudes = (model - base).abs()
        settled &= magnitudes != magnitudes.flatten().sort(descending=True).values[int(DENSITY * base.numel()) - 1]
    worst = (ours - ties(base, models).cpu())[settled.cpu()].abs().max().item()
    # Float32 numbers of up to 0.1 are 7e-9 apart; the mean of three of their differences is a few roundings.
    good = worst < 3e-8
    print(f"ties: Sinter's and PyTorch's {int(settled.sum())} elements differ by at most {worst:.1e}: {'as roundings do' if good else 'WRONG'}")
    return good


def check_della(name, delta, merged):
    """Of one model merged with a base of zeros: `merged` is zero where it was dropped."""
    rows, columns = delta.shape
    kept = (merged != 0).double()
    places = torch.argsort(torch.argsort(delta.abs(), dim=1), dim=1)
    tenths = [kept[(places * 10 // columns) == tenth].mean().item() for tenth in range(10)]
    asked = [DENSITY - EPSILON + 2 * EPSILON * (tenth + 0.5) / 10 for tenth in range(10)]
    # In standard deviations of what is asked for: of a tenth's share, and of the shares of rows among each other.
    off = max(abs(a - b) for a, b in zip(tenths, asked)) / (0.25 * 10 / (rows * columns)) ** 0.5
    spread = kept.mean(dim=1).std().item() / (0.25 / columns) ** 0.5
    norm = (merged.double().abs().sum() / delta.double().abs().sum()).item()
    good = off < 5 and 0.8 < spread < 1.2 and abs(norm - 1) < 1e-4
    print(
        f"della by {name}: kept {kept.mean():.4f}, {tenths[0]:.3f} of the lowest tenth to {tenths[-1]:.3f} of the highest "
        f"(off by {off:.1f} deviations), rows spread {spread:.2f} of chance, L1 norm {norm:.6f} of before"
        f"{'' if good else ': WRONG'}"
    )
    return good


def check(shape, command, device):
    zeros, (model,) = torch.zeros(shape, device=device), make_tensors(shape, 1, torch.float32, device, 6)[1]
    results = [
        check_ties(shape, command, device),
        check_della("PyTorch", model.cpu(), della(zeros, [model], [1.0]).cpu()),
        check_della("Sinter", model.cpu(), merged_by_sinter(command, "della", zeros, [model], [1.0])),
    ]
    return all(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu for checks")
    parser.add_argument("--small", action="store_true", help="512 x 1024 elements instead of 8192 x 4096")
    parser.add_argument("--ours", type=pathlib.Path, help="what check-cuda --timing printed")
    parser.add_argument("--sinter", help="a command: merge the same tensors with it, and compare; nothing is timed")
    options = parser.parse_args()
    shape = (512, 1024) if options.small else (8192, 4096)
    if options.device != "cpu":
        torch.cuda.set_device(options.device)
    if options.sinter is not None:
        return 0 if check(shape, options.sinter, options.device) else 1
    times = Bench(options.device, shape).run()
    if options.ours is not None:
        compare_times(times, options.ours.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
