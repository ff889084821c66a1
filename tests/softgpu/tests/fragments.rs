// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which lane holds which element of a matrix, so that kernels and machine cannot have one misreading in common: the
//! formulas share nothing with either.
//!
//! They are those of NVIDIA's "PTX ISA" 9.0, sections 9.7.14.5.7 (mma.m16n8k8), 9.7.14.5.8 (mma.m16n8k16 with floating
//! point type) and 9.7.14.5.15 (ldmatrix). Held against its text were A of both, B of m16n8k16 and the table of row
//! addresses of ldmatrix; and, by a test below, all of them against a description that is independent of it: the
//! strides by which NVIDIA's CUTLASS finds the same elements.

mod common;

use common::{Bench, Random, module};

/// Lanes come in eight groups of four.
fn ids(laneid: usize) -> (usize, usize) {
    (laneid >> 2, laneid % 4)
}

/// Row and column of element `i` of A, m16n8k8.
fn a_k8(laneid: usize, i: usize) -> (usize, usize) {
    let (group, thread) = ids(laneid);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 0x1))
}

/// Row and column of element `i` of B, m16n8k8.
fn b_k8(laneid: usize, i: usize) -> (usize, usize) {
    let (group, thread) = ids(laneid);
    (thread * 2 + i, group)
}

/// Row and column of element `i` of A, m16n8k16.
fn a_k16(laneid: usize, i: usize) -> (usize, usize) {
    let (group, thread) = ids(laneid);
    let row = if i < 2 || (4..6).contains(&i) {
        group
    } else {
        group + 8
    };
    let col = if i < 4 {
        thread * 2 + (i & 0x1)
    } else {
        thread * 2 + (i & 0x1) + 8
    };
    (row, col)
}

/// Row and column of element `i` of B, m16n8k16.
fn b_k16(laneid: usize, i: usize) -> (usize, usize) {
    let (group, thread) = ids(laneid);
    (
        if i < 2 {
            thread * 2 + (i & 0x1)
        } else {
            thread * 2 + (i & 0x1) + 8
        },
        group,
    )
}

/// Row and column of element `i` of C and D, both shapes.
fn c(laneid: usize, i: usize) -> (usize, usize) {
    let (group, thread) = ids(laneid);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 0x1))
}

type Place = fn(usize, usize) -> (usize, usize);

/// CUTLASS says with strides where an element lies in a matrix whose first side (m, or n of B) is counted first: of a
/// lane's place in its group, of the group, and of each bit of the element's number (`MMA_Traits` of
/// SM75_16x8x8_F32F16F16F32_TN and SM80_16x8x16_F32F16F16F32_TN in include/cute/atom).
struct Strides {
    place: Place,
    /// Of B the formulas above say (k, n), the strides count n first.
    by_columns: bool,
    first_side: usize,
    member: usize,
    group: usize,
    bits: &'static [usize],
}

#[test]
fn the_formulas_are_those_of_cutlass() {
    let a = |place: Place, bits| Strides {
        place,
        by_columns: false,
        first_side: 16,
        member: 32,
        group: 1,
        bits,
    };
    let b = |place: Place, bits| Strides {
        place,
        by_columns: true,
        first_side: 8,
        member: 16,
        group: 1,
        bits,
    };
    for strides in [
        a(a_k8, &[16, 8]),
        a(a_k16, &[16, 8, 128]),
        b(b_k8, &[8]),
        b(b_k16, &[8, 64]),
        a(c, &[16, 8]),
    ] {
        for lane in 0..32 {
            for i in 0..1 << strides.bits.len() {
                let bits = strides.bits.iter().enumerate();
                let of_element: usize = bits.map(|(bit, stride)| (i >> bit & 1) * stride).sum();
                let at = lane % 4 * strides.member + lane / 4 * strides.group + of_element;
                let (first, second) = (at % strides.first_side, at / strides.first_side);
                let expected = if strides.by_columns {
                    (second, first)
                } else {
                    (first, second)
                };
                assert_eq!((strides.place)(lane, i), expected, "lane {lane}, element {i}");
            }
        }
    }
}

/// Small whole numbers: their products and sums are exact in halves and singles, so the order of a sum cannot matter.
fn whole(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| (random.bits() % 9) as f32 - 4.0).collect()
}

fn half(value: f32) -> u32 {
    u32::from(half::f16::from_f32(value).to_bits())
}

/// Each lane's registers of two halves, element 2r in the lower half of register r.
fn fragments(matrix: &[f32], columns: usize, elements: usize, place: Place) -> Vec<u32> {
    let element = |lane, i| {
        let (row, column) = place(lane, i);
        half(matrix[row * columns + column])
    };
    let registers = (0..32).flat_map(|lane| (0..elements / 2).map(move |r| (lane, r)));
    registers
        .map(|(lane, r)| element(lane, 2 * r) | element(lane, 2 * r + 1) << 16)
        .collect()
}

fn mma_kernel(depth: usize, half_sums: bool) -> String {
    let (a, b, c) = (depth / 4, depth / 8, if half_sums { 2 } else { 4 });
    let names = |letter: &str, count: usize| {
        (0..count)
            .map(|at| format!("%{letter}{at}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let kind = if half_sums { "f16" } else { "f32" };
    let mut body =
        String::from(".reg .b32 %a<4>, %b<2>, %c<4>, %d<4>, %t; .reg .b64 %p, %o;\nmov.u32 %t, %tid.x;\n");
    for (letter, count) in [("a", a), ("b", b), ("c", c)] {
        body += &format!(
            "ld.param.u64 %p, [{letter}];\nmul.wide.u32 %o, %t, {};\nadd.s64 %p, %p, %o;\n",
            4 * count
        );
        for at in 0..count {
            body += &format!("ld.global.b32 %{letter}{at}, [%p+{}];\n", 4 * at);
        }
    }
    body += &format!(
        "mma.sync.aligned.m16n8k{depth}.row.col.{kind}.f16.f16.{kind} {{{}}}, {{{}}}, {{{}}}, {{{}}};\n",
        names("d", c),
        names("a", a),
        names("b", b),
        names("c", c)
    );
    body += &format!(
        "ld.param.u64 %p, [d];\nmul.wide.u32 %o, %t, {};\nadd.s64 %p, %p, %o;\n",
        4 * c
    );
    for at in 0..c {
        body += &format!("st.global.b32 [%p+{}], %d{at};\n", 4 * at);
    }
    module(
        ".param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d",
        &body,
    )
}

fn mma_multiplies(depth: usize, place_a: Place, place_b: Place, half_sums: bool) {
    let mut random = Random(depth as u64);
    let (a, b) = (whole(&mut random, 16 * depth), whole(&mut random, depth * 8));
    let sums = whole(&mut random, 16 * 8);
    let mut bench = Bench::new(&mma_kernel(depth, half_sums));
    let c_fragments = if half_sums {
        fragments(&sums, 8, 4, c)
    } else {
        let places = (0..32).flat_map(|lane| (0..4).map(move |i| c(lane, i)));
        places
            .map(|(row, column)| sums[row * 8 + column].to_bits())
            .collect()
    };
    let parameters = [
        bench.upload(&fragments(&a, depth, depth / 2, place_a)),
        bench.upload(&fragments(&b, 8, depth / 4, place_b)),
        bench.upload(&c_fragments),
        bench.empty(32 * 16),
    ];
    bench.run("kernel", 1, 32, &parameters).unwrap();
    let found: Vec<u32> = bench.download(parameters[3], c_fragments.len());
    for lane in 0..32 {
        for i in 0..4 {
            let (row, column) = c(lane, i);
            let products = (0..depth).map(|k| a[row * depth + k] * b[k * 8 + column]);
            let expected = products.sum::<f32>() + sums[row * 8 + column];
            let value = if half_sums {
                half::f16::from_bits((found[lane * 2 + i / 2] >> (16 * (i % 2))) as u16).to_f32()
            } else {
                f32::from_bits(found[lane * 4 + i])
            };
            assert_eq!(value, expected, "m16n8k{depth}, row {row}, column {column}");
        }
    }
}

#[test]
fn mma_m16n8k8_multiplies_matrices() {
    mma_multiplies(8, a_k8, b_k8, false);
    mma_multiplies(8, a_k8, b_k8, true);
}

#[test]
fn mma_m16n8k16_multiplies_matrices() {
    mma_multiplies(16, a_k16, b_k16, false);
    mma_multiplies(16, a_k16, b_k16, true);
}

/// Rows lie in shared memory in an order of their own; each lane says where "its" row begins.
fn ldmatrix_kernel(count: usize, transposed: bool) -> String {
    let names = (0..count)
        .map(|at| format!("%r{at}"))
        .collect::<Vec<_>>()
        .join(", ");
    let trans = if transposed { ".trans" } else { "" };
    let mut body = String::from(
        ".reg .b32 %r<4>, %t, %s, %w; .reg .b64 %p, %o;\n.shared .align 16 .b8 rows[512];\n\
         mov.u32 %t, %tid.x;\nmov.u32 %s, rows;\nshl.b32 %w, %t, 4;\nadd.u32 %w, %w, %s;\n\
         ld.param.u64 %p, [from];\nmul.wide.u32 %o, %t, 16;\nadd.s64 %p, %p, %o;\n\
         ld.global.v4.b32 {%r0, %r1, %r2, %r3}, [%p];\nst.shared.v4.b32 [%w], {%r0, %r1, %r2, %r3};\n\
         bar.warp.sync -1;\n\
         ld.param.u64 %p, [order];\nmul.wide.u32 %o, %t, 4;\nadd.s64 %p, %p, %o;\nld.global.b32 %w, [%p];\n\
         shl.b32 %w, %w, 4;\nadd.u32 %w, %w, %s;\n",
    );
    body += &format!("ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{names}}}, [%w];\n");
    body += &format!(
        "ld.param.u64 %p, [to];\nmul.wide.u32 %o, %t, {};\nadd.s64 %p, %p, %o;\n",
        4 * count
    );
    for at in 0..count {
        body += &format!("st.global.b32 [%p+{}], %r{at};\n", 4 * at);
    }
    module(".param .u64 from, .param .u64 order, .param .u64 to", &body)
}

fn ldmatrix_loads(count: usize, transposed: bool) {
    let mut random = Random(77);
    let stored: Vec<u16> = (0..32 * 8).map(|_| random.bits() as u16).collect();
    let mut order: Vec<u32> = (0..32).collect();
    for at in (1..32).rev() {
        order.swap(at, (random.bits() % (at as u64 + 1)) as usize);
    }
    let mut bench = Bench::new(&ldmatrix_kernel(count, transposed));
    let parameters = [bench.upload(&stored), bench.upload(&order), bench.empty(512)];
    bench.run("kernel", 1, 32, &parameters).unwrap();
    let found: Vec<u32> = bench.download(parameters[2], 32 * count);
    for lane in 0..32 {
        for matrix in 0..count {
            // Eight lanes after eight say where the rows of the matrices begin. Lane 4·row + n gets elements 2n and 2n + 1
            // of its row, of each matrix; with .trans row and column change places.
            let at = |row: usize, column: usize| stored[order[8 * matrix + row] as usize * 8 + column];
            let (row, first) = (lane / 4, 2 * (lane % 4));
            // CUTLASS counts bits from row to row, of 128 each (`Copy_Traits` of SM75_U32x4_LDSM_N and SM75_U16x8_LDSM_T).
            let (bit, next) = if transposed {
                (lane % 4 * 256 + lane / 4 * 16, 128)
            } else {
                (lane * 32, 16)
            };
            let by_bits = |bit: usize| at(bit / 128, bit % 128 / 16);
            let (low, high) = if transposed {
                (at(first, row), at(first + 1, row))
            } else {
                (at(row, first), at(row, first + 1))
            };
            assert_eq!((low, high), (by_bits(bit), by_bits(bit + next)), "lane {lane}");
            let expected = u32::from(low) | u32::from(high) << 16;
            assert_eq!(
                found[lane * count + matrix],
                expected,
                "x{count}, lane {lane}, matrix {matrix}"
            );
        }
    }
}

#[test]
fn ldmatrix_loads_rows() {
    [1, 2, 4]
        .into_iter()
        .for_each(|count| ldmatrix_loads(count, false));
}

#[test]
fn ldmatrix_loads_columns() {
    [1, 2, 4]
        .into_iter()
        .for_each(|count| ldmatrix_loads(count, true));
}
