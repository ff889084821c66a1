# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests of the model: python3 -m unittest discover kernels/model"""

import inspect
import re
import unittest
from pathlib import Path

import sass
from cards import CARDS, GAP
from estimate import Machine, estimate
from work import KNOWN, work

PTX = Path(__file__).resolve().parent.parent / "ptx"

# A loop of two tensor instructions, as nvdisasm prints it; the lines between hold the upper halves. Bits 41 to 44 are the stall.
LISTING = """
.text.toy:
//## File "/somewhere/toy.cu", line 3
        /*0000*/                   MOV R1, c[0x0][0x28] ;                  /* 0x00000a0000017a02 */
                                                                           /* 0x000fe20000000f00 */
.L_x_1:
//## File "/somewhere/toy.cu", line 5
        /*0010*/                   HMMA.16816.F32 R4, R8, R12, R4 ;        /* 0x0000000c0804723c */
                                                                           /* 0x041fe80000001804 */
        /*0020*/                   HMMA.16816.F32 R8, R8, R12, R8 ;        /* 0x0000000c0808723c */
                                                                           /* 0x000ff00000001808 */
        /*0030*/              @!P0 BRA `(.L_x_1) ;                         /* 0xffffffd000008947 */
                                                                           /* 0x000fea000383ffff */
.L_x_2:
//## File "/somewhere/toy.cu", line 6
        /*0040*/                   BRA `(.L_x_2);                          /* 0xfffffff000007947 */
                                                                           /* 0x000fc0000383ffff */
        /*0050*/                   NOP;                                    /* 0x0000000000007918 */
                                                                           /* 0x000fc00000000000 */
"""


class Usage:
    """Two blocks on a multiprocessor."""

    @staticmethod
    def blocks(_real):
        return 2


def launch(**changed):
    """A launch of 56 blocks of 4 warps on sm_86, of which two were counted: each ran 1000 instructions of a line of which
    the machine code has two for one of PTX."""
    nothing = {"load_wavefronts": 0, "store_wavefronts": 0}
    memory = {"load_block_sectors": 0, "store_sectors": 0, "atomic_sectors": 0}
    memory |= {"load_unique_sectors": 0, "store_unique_sectors": 0}
    return {
        "kernel": "toy", "target": "sm_80", "grid": [56, 1, 1], "sampled": 2, "warps": 224, "parameters": [],
        "per_line": {"toy.cu:5": {"n": 2000}}, "mma_products": 0, "shared": nothing, "global": memory,
    } | changed  # fmt: skip


MACHINE = Machine(sass.functions(LISTING), {"toy": Usage}, {"toy": {"toy.cu:5": 1, "toy.cu:3": 1}})
CARD = next(card for card in CARDS if card.name == "RTX 3060")
CLOCK = CARD.gigahertz * 1e9


class Reading(unittest.TestCase):
    def test_instructions_loops_and_stalls(self):
        function = sass.functions(LISTING)["toy"]
        self.assertEqual(function.size, 5)
        loop = function.main_loop()
        self.assertEqual((loop.count("HMMA"), len(loop.instructions)), (2, 3))
        self.assertEqual([instruction.stall for instruction in loop.instructions], [4, 8, 5])
        self.assertEqual(loop.instructions[0].line, "toy.cu:5")

    def test_every_kernel_with_products_has_the_parameters_that_the_model_reads(self):
        kernels = {}
        for path in PTX.glob("*.sm_80.ptx"):
            for name, parameters in re.findall(r"\.entry (\w+)\(([^)]*)\)", path.read_text()):
                kernels[name] = parameters.count(".param")
        for name, function in KNOWN.items():
            inspect.signature(function).bind(*range(kernels[name]))
        unknown = {name for name in kernels if name.startswith("conv_")} - set(KNOWN)
        self.assertEqual(unknown, set())


class Estimating(unittest.TestCase):
    def seconds(self, bound, **changed):
        """What a launch takes, and that it is bound by what it should be."""
        found = estimate(launch(**changed), MACHINE, CARD)
        self.assertEqual(found.bound, bound)
        self.assertAlmostEqual(found.seconds, max(found.parts.values()) + GAP)
        return found.seconds - GAP

    def test_the_busiest_multiprocessor_issues(self):
        # 56 blocks on 28 multiprocessors; three instructions of machine code for one of PTX, four schedulers.
        self.assertAlmostEqual(self.seconds("issue"), 3 * 1000 * 2 / 4 / CLOCK)
        # One block more, and one of them has three.
        self.assertAlmostEqual(self.seconds("issue", grid=[57, 1, 1]), 3 * 1000 * 3 / 4 / CLOCK)

    def test_the_tensor_cores_multiply(self):
        products = 256 * 10**6
        self.assertAlmostEqual(self.seconds("tensor", mma_products=2 * products), 2 * 10**6 / CLOCK)

    def test_memory_gives_what_is_touched(self):
        touched = launch()["global"] | {"load_unique_sectors": 10**6, "load_block_sectors": 10**6}
        # All 56 blocks, of which two were seen.
        bytes_ = 32 * 10**6 * 28
        self.assertAlmostEqual(self.seconds("DRAM", **{"global": touched}), bytes_ / (CARD.dram * 1e9))
        again = touched | {"load_block_sectors": 10**7}
        self.assertAlmostEqual(self.seconds("L2", **{"global": again}), 10 * bytes_ / CARD.l2 / CLOCK)

    def test_a_convolution_has_the_products_of_its_taps(self):
        # conv_forward_large(from, pack, bias, to, mask, height, width, inputs, outputs, kind), pooled.
        done = work({"kernel": "conv_forward_large", "parameters": [None] * 5 + [8, 16, 32, 64, 1]})
        self.assertEqual(done.products, 8 * 16 * 9 * 32 * 64)
        self.assertEqual(done.inputs, 2 * (8 * 16 * 32 + 9 * 32 * 64))
        self.assertEqual(done.outputs, 2 * 4 * 8 * 64 + 8 * 16 * 64 // 8)


if __name__ == "__main__":
    unittest.main()
