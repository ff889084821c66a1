# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is published of the four cards for which the model is computed, and the assumptions where nothing is.

multiprocessors, boost clock, memory and L2 size: NVIDIA's data sheets and architecture papers (GA102 2021, Ada 2022, A100 2020,
H100 2022). Products: multiply-adds of fp16 numbers with f32 sums that the tensor cores of a multiprocessor make in a clock,
dense, from the same papers' peak rates: 25.5, 165, 312 and 989 TFLOP/s; cards for games do half of what they do with
fp16 sums. `mma` is the share of it that mma.sync reaches: 63 % on Hopper (Luo et al. 2024, arXiv:2402.13499, who find that only
wgmma goes beyond), all of it elsewhere.

L2 bytes a clock, read at once by all multiprocessors from data that the cache holds, as measured by github.com/te42kyfo/gpu-benches
(gpu-l2-cache): 5.4 TB/s on an A100 at 1.41 GHz, 48 from each of its 80 slices; 6.9 TB/s on an H100 PCIe of 114
multiprocessors at up to 1.755 GHz, 34 to each, which is taken for those of the SXM card too (on an H200, 9.7 TB/s at up to
1.98 GHz, it is 37). An RTX 4090 gives 40 from each of 48 slices (github.com/smallscientist1/cuda_microbenchmark). Of the RTX 3060 no
measurement was found: 32 from each of the eight slices for each 64 bits of its memory.

Shared memory gives 128 bytes a clock and each of four schedulers issues one instruction a clock, on all four (CUDA C++
Programming Guide). A kernel in a graph begins `GAP` after the one before has ended; no figure is published for all four, and a
microsecond is what is usually seen.
"""

from dataclasses import dataclass

GAP = 1.0e-6
SCHEDULERS = 4
SHARED_BYTES = 128


@dataclass(frozen=True)
class Card:
    name: str
    # That of `SOFTGPU_CARD` and ptxas.
    real: str
    multiprocessors: int
    gigahertz: float
    products: int
    mma: float
    # GB/s, bytes a clock, bytes.
    dram: float
    l2: int
    l2_size: int


CARDS = [
    Card("RTX 3060", "86", 28, 1.777, 256, 1.0, 360, 768, 3 << 20),
    Card("RTX 4090", "89", 128, 2.520, 256, 1.0, 1008, 1920, 72 << 20),
    Card("A100", "80", 108, 1.410, 1024, 1.0, 1555, 3840, 40 << 20),
    Card("H100", "90", 132, 1.830, 2048, 0.63, 3350, 4488, 50 << 20),
]
