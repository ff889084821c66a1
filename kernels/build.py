#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compiles kernels/*.cu to kernels/ptx/*.ptx, and judges the result.

    kernels/build.py                writes kernels/ptx and kernels/RESOURCES.md
    kernels/build.py --check        compiles again and fails when anything differs from what is committed, or when
                                    ptxas finds a spill, local memory or a warning on any architecture

Needs nothing but Python 3.9, x86-64 Linux and, once, the network: NVRTC (which needs no GPU) and ptxas come from wheels
of PyPI, pinned by hash, and are kept in target/cuda-toolchain or the folder given by --toolchain.
"""

import argparse
import ctypes
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KERNELS = Path(__file__).resolve().parent
PTX = KERNELS / "ptx"
RESOURCES = KERNELS / "RESOURCES.md"

# What is wanted of each wheel; nvidia-cuda-nvrtc-cu12 12.9.86 and nvidia-cuda-nvcc-cu12 12.9.86.
WHEELS = [
    (
        "https://files.pythonhosted.org/packages/b8/85/e4af82cc9202023862090bfca4ea827d533329e925c758f0cde964cb54b7/"
        "nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4",
        ["nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.9", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"],
    ),
    (
        "https://files.pythonhosted.org/packages/25/48/b54a06168a2190572a312bfe4ce443687773eb61367ced31e064953dd2f7/"
        "nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0",
        ["nvidia/cuda_nvcc/bin/ptxas"],
    ),
]

# Virtual architecture → the PTX version it is lowered to, the oldest that has all the instructions we use: a driver
# refuses a version it does not know, and NVRTC writes its own newest. ptxas refuses one that is too low.
TARGETS = {"75": "6.5", "80": "7.0"}

# Real architectures → the virtual one whose PTX their driver is given.
REAL = {"75": "75", "80": "80", "86": "80", "87": "80", "89": "80", "90": "80", "100": "80", "120": "80"}

# Per multiprocessor: warps, blocks, bytes of shared memory, from the table "Technical Specifications per Compute
# Capability" of the CUDA C++ Programming Guide. All have 65536 registers, given to warps in portions of 256, and shared
# memory in portions of 128 bytes (256 on 7.5), of which the driver takes 1024 of each block (none on 7.5).
LIMITS = {
    "75": (32, 16, 65536),
    "80": (64, 32, 167936),
    "86": (48, 16, 102400),
    "87": (48, 16, 167936),
    "89": (48, 24, 102400),
    "90": (64, 32, 233472),
    "100": (64, 32, 233472),
    "120": (48, 24, 102400),
}


def toolchain(folder):
    """The paths of libnvrtc and ptxas, fetched when they are not there."""
    for url, digest, members in WHEELS:
        if all((folder / Path(member).name).exists() for member in members):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        print(f"fetching {url.rsplit('/', 1)[1]}", file=sys.stderr)
        with urllib.request.urlopen(url) as answer:
            wheel = answer.read()
        found = hashlib.sha256(wheel).hexdigest()
        if found != digest:
            sys.exit(f"{url}\nhas the SHA-256 {found}, not {digest}: somebody changed it, or it was cut short")
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            for member in members:
                # Under another name until it is whole, so that an interrupted run leaves nothing half done.
                path = folder / Path(member).name
                partial = path.with_suffix(".partial")
                partial.write_bytes(archive.read(member))
                partial.chmod(0o755)
                partial.rename(path)
    return folder / "libnvrtc.so.12", folder / "ptxas"


class Compiler:
    """NVRTC, as much of it as is needed."""

    def __init__(self, path):
        # libnvrtc opens its builtins by name; when they are open already, that finds them.
        ctypes.CDLL(str(path.parent / "libnvrtc-builtins.so.12.9"), mode=ctypes.RTLD_GLOBAL)
        self.nvrtc = ctypes.CDLL(str(path))
        self.nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        code = getattr(self.nvrtc, name)(*arguments)
        if code != 0:
            raise RuntimeError(f"{name}: {self.nvrtc.nvrtcGetErrorString(code).decode()}")

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def ptx(self, source, headers, virtual):
        """PTX of the file `source`. Headers are handed over by name, so that no path of this machine gets into it."""
        names = [header.name.encode() for header in headers]
        texts = [header.read_bytes() for header in headers]
        array = ctypes.c_char_p * len(headers)
        program = ctypes.c_void_p()
        self.call(
            "nvrtcCreateProgram",
            ctypes.byref(program),
            source.read_bytes(),
            source.name.encode(),
            len(headers),
            array(*texts),
            array(*names),
        )
        # Line numbers, because whoever runs the PTX should be able to name the line of the .cu.
        options = [f"--gpu-architecture=compute_{virtual}", "--std=c++17", "--generate-line-info", "--restrict"]
        options = [option.encode() for option in options]
        try:
            self.call("nvrtcCompileProgram", program, len(options), (ctypes.c_char_p * len(options))(*options))
        except RuntimeError as error:
            sys.exit(f"{source.name}: {error}\n{self.text(program, 'ProgramLog')}")
        log = self.text(program, "ProgramLog").strip()
        if log:
            sys.exit(f"{source.name}: the compiler warns:\n{log}")
        text = self.text(program, "PTX")
        self.call("nvrtcDestroyProgram", ctypes.byref(program))
        return lowered(text, TARGETS[virtual])


def lowered(text, version):
    """The same PTX, said to be of an older version, and without the compiler's notes about itself.

    Where code was inlined, and the names that tell it, is what version 6.5 cannot say. Lines remain, and the files, by
    their names alone: NVRTC puts the folder before them in which this happens to run.
    """
    text, count = re.subn(r"^\.version .*$", f".version {version}", text, flags=re.MULTILINE)
    assert count == 1
    text = re.sub(r"^(\s*\.loc\s[^,\n]*),.*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*\.section\s+\.debug_str\s*\{.*?^\s*\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r'^(\s*\.file\s+\d+\s+)"(?:[^"]*/)?([^"/]*)".*$', r'\1"kernels/\2"', text, flags=re.MULTILINE)
    body = text[text.index(".version") :]
    return f"// Made by kernels/build.py, do not edit.\n{body.rstrip()}\n"


def compile_all(nvrtc):
    compiler = Compiler(nvrtc)
    headers = sorted(KERNELS.glob("*.cuh"))
    texts = {}
    for source in sorted(KERNELS.glob("*.cu")):
        for virtual in TARGETS:
            texts[f"{source.stem}.sm_{virtual}.ptx"] = compiler.ptx(source, headers, virtual)
    return texts


class Refused(Exception):
    """What ptxas complains about."""


class Usage:
    """What a kernel takes on an architecture."""

    def __init__(self, registers, shared, threads):
        self.registers, self.shared, self.threads = registers, shared, threads

    def blocks(self, real):
        """Blocks that a multiprocessor holds at once."""
        warps, most, memory = LIMITS[real]
        portion, taken = (256, 0) if real == "75" else (128, 1024)
        per_block = self.threads // 32
        per_warp = -(-self.registers * 32 // 256) * 256
        fitting = [most, warps // per_block, 65536 // per_warp // 4 * 4 // per_block]
        shared = -(-self.shared // portion) * portion + taken
        if shared > 0:
            fitting.append(memory // shared)
        return min(fitting)


def assemble(ptxas, name, text, real):
    """Registers and shared memory by kernel, or what ptxas complains about."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        gate = ["--warn-on-spills", "--warn-on-local-memory-usage", "-Werror", "-v"]
        command = [str(ptxas), *gate, f"--gpu-name=sm_{real}", str(path), "-o", os.devnull]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    output = run.stdout + run.stderr
    if run.returncode != 0 or re.search(r"[1-9]\d* bytes (stack frame|spill)", output):
        complaint = "\n".join(line for line in output.splitlines() if "error" in line or "warning" in line)
        raise Refused(f"{name} on sm_{real}:\n{complaint.replace(str(path), name)[:2000]}")
    usage = {}
    parts = re.split(r"Compiling entry function '(\w+)'", output)
    for kernel, report in zip(parts[1::2], parts[2::2]):
        registers = int(re.search(r"Used (\d+) registers", report).group(1))
        shared = re.search(r"(\d+) bytes smem", report)
        threads = re.search(rf"\.entry {kernel}\(.*?\.maxntid (\d+)", text, re.DOTALL)
        usage[kernel] = Usage(registers, int(shared.group(1)) if shared else 0, int(threads.group(1)))
    return usage


def assemble_all(ptxas, texts):
    """(module, kernel) → architecture → usage."""
    jobs = []
    for real, virtual in REAL.items():
        for name, text in texts.items():
            if name.endswith(f".sm_{virtual}.ptx"):
                jobs.append((name, text, real))
    usage, refusals = {}, []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        reports = [pool.submit(assemble, ptxas, *job) for job in jobs]
        for (name, _, real), report in zip(jobs, reports):
            try:
                for kernel, used in report.result().items():
                    usage.setdefault((name.split(".")[0], kernel), {})[real] = used
            except Refused as refusal:
                refusals.append(str(refusal))
    if refusals:
        sys.exit("ptxas refuses\n" + "\n".join(refusals))
    return usage


def resources(usage):
    """RESOURCES.md."""
    lines = [
        "# What the kernels take",
        "",
        "Made by `kernels/build.py` from what `ptxas -v` of CUDA 12.9 says: registers of a thread · blocks that a",
        "multiprocessor holds at once · share of its warps that are then occupied. Shared memory is static, in bytes. No",
        "kernel spills or uses local memory on any of these; `kernels/build.py --check` fails if one does.",
        "",
        "| module | kernel | threads | shared | " + " | ".join(f"sm_{real}" for real in REAL) + " |",
        "| --- | --- | ---: | ---: | " + " | ".join("---" for _ in REAL) + " |",
    ]
    for (module, kernel), by_real in sorted(usage.items()):
        any_of = by_real["80"]
        shared = str(any_of.shared)
        if by_real["75"].shared != any_of.shared:
            shared += f" ({by_real['75'].shared} on sm_75)"
        cells = []
        for real in REAL:
            used = by_real[real]
            blocks = used.blocks(real)
            share = 100 * blocks * used.threads // 32 // LIMITS[real][0]
            cells.append(f"{used.registers} · {blocks} · {share} %")
        lines.append(f"| {module} | `{kernel}` | {any_of.threads} | {shared} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    parser.add_argument("--toolchain", type=Path, default=KERNELS.parent / "target" / "cuda-toolchain")
    arguments = parser.parse_args()
    nvrtc, ptxas = toolchain(arguments.toolchain.resolve())
    texts = compile_all(nvrtc)
    files = {PTX / name: text for name, text in texts.items()}
    files[RESOURCES] = resources(assemble_all(ptxas, texts))
    if arguments.check:
        stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
        stale += [path for path in PTX.glob("*") if path not in files]
        if stale:
            names = ", ".join(str(path.relative_to(KERNELS.parent)) for path in stale)
            sys.exit(f"{names}: not what the sources compile to. Run kernels/build.py and commit the result.")
        print(f"{len(texts)} PTX files are what their sources compile to; ptxas accepts them for {', '.join(REAL)}.")
        return
    PTX.mkdir(exist_ok=True)
    for path in PTX.glob("*"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
