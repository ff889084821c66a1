#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compares the CPU backend's step with PyTorch's: time, memory, and how time grows with pixels and threads.

    python3 -m venv venv && venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    venv/bin/pip install numpy safetensors
    venv/bin/python benches/compare_pytorch.py

A step is forward, losses, backward to the picture, Adam: content at relu4_2 (of slim at relu4_1), style at the first
layer of each block, average pooling, f32, the same weights and the same number of threads. VGG-19 gets random weights,
which cost the same as trained ones. PyTorch has its best setting: channels_last, no gradients of weights, targets made in
inference mode, the fused Adam if it is there.

Both programs run beside each other, each as a process of its own that waits while the other steps, and take turns;
what is given is the ratio of the medians. Peak memory is what the kernel says of each process (VmHWM), and beside it
what PyTorch takes by being imported. Prints JSON with --json, else the table of docs/measurements.md.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "program"))
import built

JOBS = "vgg19:256x256,vgg19:512x512,slim:256x144,slim:512x288"
# Channels of VGG-19 up to relu5_1; 0 is a pooling.
VGG19 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", default=JOBS, help=f"NETWORK:WIDTHxHEIGHT,… with vgg19, slim or tiny (default: {JOBS})")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each of the two (default: 9)")
    parser.add_argument("--curve", action="store_true", help="also how our step grows from 128 to 1024 pixels and with threads")
    parser.add_argument("--avx2", action="store_true", help="both without AVX-512")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--benchmark", help="the built program; otherwise it is built")
    parser.add_argument("--pytorch", nargs=2, metavar=("WEIGHTS", "SIZE"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.avx2:
        os.environ.update(NEURALSTYLE_KERNELS="AVX2", ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2")
    return settings


# ---- the two sides: processes that take a step for each line that they get ----


class Side:
    """A process that answers each line with the milliseconds of a step."""

    def __init__(self, command, threads):
        # Threads of OpenMP spin for a while after their work, and would do it in the other's turn.
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE", KMP_BLOCKTIME="0")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended before its time")
        return float(answer)

    def turn(self, seconds):
        """The median step of a turn of about that length."""
        times = [self.step()]
        while sum(times) < 1e3 * seconds or len(times) < 3:
            times.append(self.step())
        return statistics.median(times)

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))


def ours(settings, weights, size, threads):
    command = [settings.benchmark, "measure", "step", "--weights", weights, "--sizes", size, "--threads", str(threads)]
    plain = ["--style-statistic", "gram", "--moment-blur", "0", "--chroma-blur", "0", "--colour-axes", "0"]
    return Side([*command, "--backend", "cpu", "--pooling", "average", *plain, "--on-demand"], threads)


def pytorch(settings, weights, size):
    command = [sys.executable, os.path.abspath(__file__), "--pytorch", weights, size]
    return Side([*command, "--threads", str(settings.threads)], settings.threads)


# ---- PyTorch's side ----


def run_pytorch(weights, size, threads):
    import torch
    import torch.nn.functional as functional
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tensors = load_file(weights)
    stages, before = [], None
    block, index = 1, 0
    for number in sorted(int(name.split(".")[1]) for name in tensors if name.endswith(".weight")):
        pooled = before is not None and number - before == 3
        block, index = (block + 1, 1) if pooled else (block, index + 1)
        weight, bias = (tensors[f"features.{number}.{part}"].float() for part in ("weight", "bias"))
        weight = weight.contiguous(memory_format=torch.channels_last)
        stages.append((f"relu{block}_{index}", pooled, weight, bias))
        before = number
    names = [stage[0] for stage in stages]
    content_layer = "relu4_2" if "relu4_2" in names else "relu4_1"
    style_layers = [name for name in names if name.endswith("_1")]

    def activations(picture):
        seen, x = {}, (picture - 0.45) * 4.0
        for name, pooled, weight, bias in stages:
            if pooled:
                x = functional.avg_pool2d(x, 2)
            x = functional.relu_(functional.conv2d(x, weight, bias, padding=1))
            seen[name] = x
        return seen

    def gram(a):
        # The pixels of a channels_last tensor are the rows of a matrix as they lie.
        flat = a.permute(0, 2, 3, 1).reshape(-1, a.shape[1])
        return flat.T @ flat

    width, height = (int(side) for side in size.split("x"))
    picture = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    other = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        content = activations(picture)[content_layer].clone()
        style = {name: gram(a) for name, a in activations(other).items() if name in style_layers}
        norm = (content**2).sum()
        norms = {name: (target**2).sum() for name, target in style.items()}
    # Tensors of inference mode cannot be saved for backward.
    content, norm = content.clone(), norm.clone()
    style, norms = ({name: t.clone() for name, t in table.items()} for table in (style, norms))
    x = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last).requires_grad_()
    try:
        optimizer = torch.optim.Adam([x], lr=0.01, betas=(0.9, 0.99), fused=True)
    except (RuntimeError, TypeError):
        optimizer = torch.optim.Adam([x], lr=0.01, betas=(0.9, 0.99))

    def step():
        optimizer.zero_grad(set_to_none=True)
        seen = activations(x)
        loss = 0.5 * ((seen[content_layer] - content) ** 2).sum() / norm
        for name, target in style.items():
            loss = loss + 10.0 * ((gram(seen[name]) - target) ** 2).sum() / norms[name] / len(style)
        loss.backward()
        optimizer.step()

    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(1e3 * (time.perf_counter() - start), flush=True)


# ---- the comparison ----


def random_vgg19(path):
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    tensors, number, inputs = {}, 0, 3
    for outputs in VGG19:
        if outputs:
            deviation = (2 / (9 * inputs)) ** 0.5
            tensors[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3) * deviation
            tensors[f"features.{number}.bias"] = torch.zeros(outputs)
            inputs = outputs
        number += 2 if outputs else 1
    save_file(tensors, path)


def compare(settings, network, weights, size):
    with ours(settings, weights, size, settings.threads) as mine, pytorch(settings, weights, size) as theirs:
        both = (mine, theirs)
        for side in both:
            side.turn(0.5)
        turns = [[side.turn(0.5) for side in both] for _ in range(settings.rounds)]
        peaks = [side.peak_bytes() for side in both]
    medians = [statistics.median(times) for times in zip(*turns)]
    ratios = sorted(there / here for here, there in turns)
    return {
        "network": network,
        "size": size,
        "threads": settings.threads,
        "rounds": settings.rounds,
        "ours_ms": medians[0],
        "pytorch_ms": medians[1],
        "ratio": medians[1] / medians[0],
        "ratio_of_a_round": [ratios[0], ratios[-1]],
        "ours_peak_bytes": peaks[0],
        "pytorch_peak_bytes": peaks[1],
        "memory_share": peaks[0] / peaks[1],
    }


def curve(settings, weights):
    """Our milliseconds by side of a square, relative to pixels at 256, and the gain of two threads over one."""
    sides = (128, 192, 256, 384, 512, 768, 1024)
    found = {}
    for side in sides:
        # Each size takes turns with 256 pixels.
        with ours(settings, weights, f"{side}x{side}", settings.threads) as here:
            with ours(settings, weights, "256x256", settings.threads) as base:
                turns = [(here.turn(0.5), base.turn(0.5)) for _ in range(settings.rounds + 1)][1:]
        here_ms, base_ms = (statistics.median(times) for times in zip(*turns))
        found[side] = {"ms": here_ms, "per_pixel_to_256": here_ms / base_ms * (256 / side) ** 2}
    gains = {}
    for side in (256, 512):
        with ours(settings, weights, f"{side}x{side}", 1) as one, ours(settings, weights, f"{side}x{side}", 2) as two:
            turns = [(one.turn(0.5), two.turn(0.5)) for _ in range(settings.rounds + 1)][1:]
        gains[side] = statistics.median(t for t, _ in turns) / statistics.median(t for _, t in turns)
    return {"by_side": found, "two_threads_over_one": gains}


def imported_bytes():
    program = "import torch; print(open('/proc/self/status').read())"
    status = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status).group(1))


def table(result):
    lines = ["| network | size | ours | PyTorch | ratio | peak memory | PyTorch's | share |", "|" + " --- |" * 8]
    for row in result["jobs"]:
        lines.append(
            f"| {row['network']} | {row['size'].replace('x', '×')} | {row['ours_ms']:.1f} ms | {row['pytorch_ms']:.0f} ms "
            f"| **{row['ratio']:.2f}** | {row['ours_peak_bytes'] / 1e6:.0f} MB | {row['pytorch_peak_bytes'] / 1e6:.0f} MB "
            f"| {row['memory_share']:.2f} |"
        )
    lines.append(f"\nImporting PyTorch {result['pytorch']} alone takes {result['pytorch_import_bytes'] / 1e6:.0f} MB.")
    if "curve" in result:
        lines += ["\n| VGG-19, side | " + " | ".join(str(side) for side in result["curve"]["by_side"]) + " |"]
        lines += ["|" + " --- |" * (1 + len(result["curve"]["by_side"]))]
        found = result["curve"]["by_side"].values()
        lines += ["| ms per step | " + " | ".join(f"{row['ms']:.0f}" for row in found) + " |"]
        lines += ["| per pixel, 256 = 1 | " + " | ".join(f"{row['per_pixel_to_256']:.2f}" for row in found) + " |"]
        gains = (f"{gain:.2f} at {side}²" for side, gain in result["curve"]["two_threads_over_one"].items())
        lines += ["\nTwo threads over one: " + ", ".join(gains) + "."]
    return "\n".join(lines)


def main():
    settings = arguments()
    if settings.pytorch:
        return run_pytorch(*settings.pytorch, settings.threads)
    settings.benchmark = settings.benchmark or built.program("--release")
    import torch

    with tempfile.TemporaryDirectory() as folder:
        vgg19 = os.path.join(folder, "vgg19.safetensors")
        random_vgg19(vgg19)
        result = {"pytorch": torch.__version__, "pytorch_import_bytes": imported_bytes(), "jobs": []}
        for job in settings.jobs.split(","):
            network, size = job.split(":")
            weights = vgg19 if network == "vgg19" else os.path.join(ROOT, "models", f"{network}.safetensors")
            result["jobs"].append(compare(settings, network, weights, size))
            if not settings.json:
                print(table({**result, "jobs": result["jobs"][-1:]}).splitlines()[2], file=sys.stderr)
        if settings.curve:
            result["curve"] = curve(settings, vgg19)
    print(json.dumps(result, indent=2) if settings.json else table(result))


if __name__ == "__main__":
    main()
