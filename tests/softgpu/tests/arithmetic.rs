// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each instruction against the same operation of Rust, on numbers, edges and random bits.

mod common;

use common::{Bench, Random, module};
use half::f16;

/// Runs `text` on triples of values. `bits` are the widths of d, a, b, c; the operands are %d, %a, %b, %c.
fn run(text: &str, bits: [u32; 4], inputs: &[[u64; 3]]) -> Vec<u64> {
    let mut body =
        String::from(".reg .b64 %p, %o, %x; .reg .b32 %t, %n; .reg .pred %q, %q2; .reg .b16 %h<4>;\n");
    for (name, bits) in ["d", "a", "b", "c"].into_iter().zip(bits) {
        body += &format!(".reg .b{bits} %{name};\n");
    }
    body += "mov.u32 %t, %ctaid.x;\nmov.u32 %n, %ntid.x;\nmul.lo.u32 %t, %t, %n;\nmov.u32 %n, %tid.x;\n\
             add.u32 %t, %t, %n;\nld.param.u64 %p, [in];\nmul.wide.u32 %o, %t, 24;\nadd.s64 %p, %p, %o;\n";
    for (at, (name, bits)) in ["a", "b", "c"].into_iter().zip(&bits[1..]).enumerate() {
        body += &format!("ld.global.b{bits} %{name}, [%p+{}];\n", 8 * at);
    }
    body += text;
    body += "\nld.param.u64 %p, [out];\nmul.wide.u32 %o, %t, 8;\nadd.s64 %p, %p, %o;\nmov.u64 %x, 0;\n\
             st.global.b64 [%p], %x;\n";
    body += &format!("st.global.b{} [%p], %d;\n", bits[0]);
    let mut bench = Bench::new(&module(".param .u64 in, .param .u64 out", &body));
    let mut padded = inputs.to_vec();
    padded.resize(inputs.len().next_multiple_of(32), [0; 3]);
    let parameters = [bench.upload(&padded), bench.empty(8 * padded.len())];
    bench
        .run("kernel", padded.len() as u32 / 32, 32, &parameters)
        .unwrap();
    let mut found: Vec<u64> = bench.download(parameters[1], padded.len());
    found.truncate(inputs.len());
    found
}

/// Edges of every width, then random bits.
fn triples() -> Vec<[u64; 3]> {
    let edges = [
        0u64,
        1,
        2,
        7,
        31,
        32,
        63,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        u64::MAX,
    ];
    let mut random = Random(5);
    let mut found = Vec::new();
    for a in edges {
        for b in edges {
            found.push([a, b, edges[(random.bits() % 14) as usize]]);
        }
    }
    found.extend((0..400).map(|_| [random.bits(), random.bits(), random.bits()]));
    found
}

fn integers(text: &str, bits: [u32; 4], expected: impl Fn(u64, u64, u64) -> u64) {
    let inputs = triples();
    for (found, [a, b, c]) in run(text, bits, &inputs).into_iter().zip(inputs) {
        assert_eq!(found, expected(a, b, c), "{text} of {a:#x}, {b:#x}, {c:#x}");
    }
}

#[test]
fn whole_numbers_of_32_bits() {
    let all = [32; 4];
    let s = |x: u64| x as u32 as i32;
    let u = |x: u64| x as u32;
    let w = |x: u32| u64::from(x);
    integers("add.s32 %d, %a, %b;", all, |a, b, _| w(u(a).wrapping_add(u(b))));
    integers("sub.s32 %d, %a, %b;", all, |a, b, _| w(u(a).wrapping_sub(u(b))));
    integers(
        "mul.lo.s32 %d, %a, %b;",
        all,
        |a, b, _| w(u(a).wrapping_mul(u(b))),
    );
    integers("mul.hi.u32 %d, %a, %b;", all, |a, b, _| (w(u(a)) * w(u(b))) >> 32);
    integers("mul.hi.s32 %d, %a, %b;", all, |a, b, _| {
        w(((i64::from(s(a)) * i64::from(s(b))) >> 32) as u32)
    });
    integers("mad.lo.s32 %d, %a, %b, %c;", all, |a, b, c| {
        w(u(a).wrapping_mul(u(b)).wrapping_add(u(c)))
    });
    integers("div.u32 %d, %a, %b;", all, |a, b, _| {
        w(u(a).checked_div(u(b)).unwrap_or(u32::MAX))
    });
    integers("rem.s32 %d, %a, %b;", all, |a, b, _| {
        w(if s(b) == 0 { -1 } else { s(a).wrapping_rem(s(b)) } as u32)
    });
    integers("min.s32 %d, %a, %b;", all, |a, b, _| w(s(a).min(s(b)) as u32));
    integers("max.u32 %d, %a, %b;", all, |a, b, _| w(u(a).max(u(b))));
    integers("shl.b32 %d, %a, %b;", all, |a, b, _| {
        w(u(a).checked_shl(u(b)).unwrap_or(0))
    });
    integers("shr.u32 %d, %a, %b;", all, |a, b, _| {
        w(u(a).checked_shr(u(b)).unwrap_or(0))
    });
    integers("shr.s32 %d, %a, %b;", all, |a, b, _| {
        w((s(a) >> u(b).min(31)) as u32)
    });
    integers("and.b32 %d, %a, %b;", all, |a, b, _| w(u(a) & u(b)));
    integers("not.b32 %d, %a;", all, |a, _, _| w(!u(a)));
    integers("abs.s32 %d, %a;", all, |a, _, _| w(s(a).wrapping_abs() as u32));
    integers("popc.b32 %d, %a;", all, |a, _, _| w(u(a).count_ones()));
    integers("clz.b32 %d, %a;", all, |a, _, _| w(u(a).leading_zeros()));
    integers("brev.b32 %d, %a;", all, |a, _, _| w(u(a).reverse_bits()));
    integers("bfind.u32 %d, %a;", all, |a, _, _| {
        w(u(a).checked_ilog2().unwrap_or(u32::MAX))
    });
    integers("lop3.b32 %d, %a, %b, %c, 0x96;", all, |a, b, c| {
        w(u(a) ^ u(b) ^ u(c))
    });
    integers("shf.l.wrap.b32 %d, %a, %b, %c;", all, |a, b, c| {
        ((w(u(b)) << 32 | w(u(a))) << (c & 31)) >> 32
    });
    integers("shf.r.clamp.b32 %d, %a, %b, %c;", all, |a, b, c| {
        ((w(u(b)) << 32 | w(u(a))) >> u(c).min(32)) & 0xffff_ffff
    });
    integers("bfe.u32 %d, %a, 5, 9;", all, |a, _, _| w((u(a) >> 5) & 0x1ff));
    integers("bfe.s32 %d, %a, 5, 9;", all, |a, _, _| {
        w((s(a) << 18 >> 23) as u32)
    });
    integers("bfi.b32 %d, %a, %b, 5, 9;", all, |a, b, _| {
        w((u(b) & !(0x1ff << 5)) | (u(a) & 0x1ff) << 5)
    });
    integers("prmt.b32 %d, %a, %b, 0x5410;", all, |a, b, _| {
        w((u(a) & 0xffff) | u(b) << 16)
    });
    integers("prmt.b32 %d, %a, %b, 0x7632;", all, |a, b, _| {
        w(u(a) >> 16 | (u(b) & 0xffff_0000))
    });
}

#[test]
fn whole_numbers_of_16_and_64_bits() {
    let s16 = |x: u64| x as u16 as i16;
    integers("add.s16 %d, %a, %b;", [16; 4], |a, b, _| {
        u64::from((a as u16).wrapping_add(b as u16))
    });
    integers("shr.s16 %d, %a, 3;", [16; 4], |a, _, _| {
        u64::from((s16(a) >> 3) as u16)
    });
    integers("min.s16 %d, %a, %b;", [16; 4], |a, b, _| {
        u64::from(s16(a).min(s16(b)) as u16)
    });
    integers("mul.wide.s16 %d, %a, %b;", [32, 16, 16, 16], |a, b, _| {
        u64::from((i32::from(s16(a)) * i32::from(s16(b))) as u32)
    });
    integers("add.s64 %d, %a, %b;", [64; 4], |a, b, _| a.wrapping_add(b));
    integers("mul.lo.s64 %d, %a, %b;", [64; 4], |a, b, _| a.wrapping_mul(b));
    integers("mul.hi.u64 %d, %a, %b;", [64; 4], |a, b, _| {
        ((u128::from(a) * u128::from(b)) >> 64) as u64
    });
    integers("shr.s64 %d, %a, 7;", [64; 4], |a, _, _| ((a as i64) >> 7) as u64);
    integers("mul.wide.s32 %d, %a, %b;", [64, 32, 32, 32], |a, b, _| {
        (i64::from(a as u32 as i32) * i64::from(b as u32 as i32)) as u64
    });
    integers("mad.wide.u32 %d, %a, %b, %c;", [64, 32, 32, 64], |a, b, c| {
        (u64::from(a as u32) * u64::from(b as u32)).wrapping_add(c)
    });
    integers("cvt.s64.s32 %d, %a;", [64, 32, 32, 32], |a, _, _| {
        i64::from(a as u32 as i32) as u64
    });
    integers("cvt.u32.u64 %d, %a;", [32, 64, 64, 64], |a, _, _| a & 0xffff_ffff);
    integers("cvt.s32.s8 %d, %a;", [32; 4], |a, _, _| {
        u64::from(i32::from(a as i8) as u32)
    });
    integers("cvt.sat.u8.s32 %d, %a;", [32; 4], |a, _, _| {
        (a as u32 as i32).clamp(0, 255) as u64
    });
    integers("mov.b64 %d, {%a, %b};", [64, 32, 32, 32], |a, b, _| {
        (a & 0xffff_ffff) | b << 32
    });
    integers(
        "mov.b32 {%h0, %h1}, %a; mov.b32 %d, {%h1, %h0};",
        [32; 4],
        |a, _, _| u64::from((a as u32).rotate_left(16)),
    );
}

#[test]
fn comparisons_and_choices() {
    let all = [32; 4];
    integers(
        "setp.lt.s32 %q, %a, %b; selp.b32 %d, %a, %b, %q;",
        all,
        |a, b, _| u64::from((a as u32 as i32).min(b as u32 as i32) as u32),
    );
    integers(
        "setp.hi.u32 %q, %a, %b; selp.b32 %d, 1, 0, %q;",
        all,
        |a, b, _| u64::from(a as u32 > b as u32),
    );
    integers(
        "setp.eq.s32 %q|%q2, %a, %b; selp.b32 %d, 1, 0, %q2;",
        all,
        |a, b, _| u64::from(a as u32 != b as u32),
    );
    integers(
        "setp.ne.s32 %q, %a, 0; setp.gt.and.u32 %q2, %b, 6, !%q; selp.b32 %d, 1, 0, %q2;",
        all,
        |a, b, _| u64::from(b as u32 > 6 && a as u32 == 0),
    );
    integers(
        "mov.b32 %d, 5; setp.ge.s32 %q, %a, 0; @!%q mov.b32 %d, 6;",
        all,
        |a, _, _| {
            if a as u32 as i32 >= 0 { 5 } else { 6 }
        },
    );
    integers("set.lt.u32.s32 %d, %a, %b;", all, |a, b, _| {
        if (a as u32 as i32) < b as u32 as i32 {
            0xffff_ffff
        } else {
            0
        }
    });
}

/// Singles: edges of the format, numbers of any size, and numbers near each other.
fn singles() -> Vec<[u64; 3]> {
    let edges = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        -f32::from_bits(0x7f_ffff),
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        65504.0,
        65519.99,
        65520.0,
        6e-8,
        2.9802322e-8,
        0.333_333_34,
    ];
    let mut random = Random(6);
    let mut found = Vec::new();
    for a in edges {
        for b in edges {
            found.push([a, b, edges[(random.bits() % 17) as usize]]);
        }
    }
    for _ in 0..1000 {
        found.push([random.unit(), random.unit(), random.unit()]);
        found.push([0; 3].map(|_: i32| f32::from_bits(random.bits() as u32)));
        found.push([0; 3].map(|_: i32| f16::from_bits(random.bits() as u16).to_f32()));
    }
    found
        .into_iter()
        .map(|triple| triple.map(|x| u64::from(x.to_bits())))
        .collect()
}

fn same(found: f32, expected: f32) -> bool {
    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
}

fn floats(text: &str, expected: impl Fn(f32, f32, f32) -> f32) {
    let inputs = singles();
    for (found, triple) in run(text, [32; 4], &inputs).into_iter().zip(inputs) {
        let [a, b, c] = triple.map(|bits| f32::from_bits(bits as u32));
        let (found, expected) = (f32::from_bits(found as u32), expected(a, b, c));
        assert!(
            same(found, expected),
            "{text} of {a:e}, {b:e}, {c:e} is {found:e}, not {expected:e}"
        );
    }
}

fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE {
        0f32.copysign(x)
    } else {
        x
    }
}

#[test]
fn singles_are_rounded_once() {
    floats("add.f32 %d, %a, %b;", |a, b, _| a + b);
    floats("sub.rn.f32 %d, %a, %b;", |a, b, _| a - b);
    floats("mul.f32 %d, %a, %b;", |a, b, _| a * b);
    floats("fma.rn.f32 %d, %a, %b, %c;", f32::mul_add);
    floats("div.rn.f32 %d, %a, %b;", |a, b, _| a / b);
    floats("sqrt.rn.f32 %d, %a;", |a, _, _| a.sqrt());
    floats("rcp.rn.f32 %d, %a;", |a, _, _| 1.0 / a);
    floats("neg.f32 %d, %a;", |a, _, _| -a);
    floats("abs.f32 %d, %a;", |a, _, _| a.abs());
}

#[test]
fn flushing_and_clamping_happen_only_when_asked_for() {
    floats("add.ftz.f32 %d, %a, %b;", |a, b, _| flush(flush(a) + flush(b)));
    floats("mul.ftz.f32 %d, %a, %b;", |a, b, _| flush(flush(a) * flush(b)));
    floats("fma.rn.ftz.f32 %d, %a, %b, %c;", |a, b, c| {
        flush(flush(a).mul_add(flush(b), flush(c)))
    });
    floats("add.sat.f32 %d, %a, %b;", |a, b, _| {
        let sum = a + b;
        if sum > 0.0 { sum.min(1.0) } else { 0.0 }
    });
}

#[test]
fn minima_prefer_numbers() {
    let expected = |a: f32, b: f32| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    };
    floats("min.f32 %d, %a, %b;", |a, b, _| expected(a, b));
    floats("max.f32 %d, %a, %b;", |a, b, _| -expected(-a, -b));
    floats("max.NaN.f32 %d, %a, %b;", |a, b, _| {
        if a.is_nan() || b.is_nan() {
            f32::NAN
        } else {
            -expected(-a, -b)
        }
    });
}

/// The exact sum is compared with the result and its neighbour by doubles that hold both.
#[test]
fn directed_roundings_lie_on_their_side() {
    let mut random = Random(8);
    let numbers = |random: &mut Random| [0; 3].map(|_: i32| u64::from((random.unit() * 8.0).to_bits()));
    let inputs: Vec<[u64; 3]> = (0..2000).map(|_| numbers(&mut random)).collect();
    let down = run("fma.rm.f32 %d, %a, %b, %c;", [32; 4], &inputs);
    let up = run("fma.rp.f32 %d, %a, %b, %c;", [32; 4], &inputs);
    let near = run("fma.rn.f32 %d, %a, %b, %c;", [32; 4], &inputs);
    let zero = run("fma.rz.f32 %d, %a, %b, %c;", [32; 4], &inputs);
    let mut inexact = 0;
    for at in 0..inputs.len() {
        let [down, up, near, zero] = [&down, &up, &near, &zero].map(|found| f32::from_bits(found[at] as u32));
        assert!(down <= near && near <= up);
        assert!(
            up == down || up == down.next_up(),
            "{up:e} and {down:e} are neighbours"
        );
        assert_eq!(zero, if near > 0.0 { down } else { up });
        inexact += usize::from(up != down);
    }
    assert!(inexact > 1500);
}

#[test]
fn approximations_stay_within_their_documented_errors() {
    let close = |text: &str, exact: fn(f64) -> f64, from: f32, to: f32, error: f64| {
        let inputs: Vec<[u64; 3]> = (0..500)
            .map(|at| from + (to - from) * at as f32 / 500.0)
            .map(|x| [u64::from(x.to_bits()), 0, 0])
            .collect();
        for (found, [x, ..]) in run(text, [32; 4], &inputs).into_iter().zip(inputs) {
            let (found, x) = (f32::from_bits(found as u32), f32::from_bits(x as u32));
            let exact = exact(f64::from(x));
            assert!(
                (f64::from(found) - exact).abs() <= error * exact.abs().max(1e-3),
                "{text} of {x}"
            );
        }
    };
    close("ex2.approx.f32 %d, %a;", f64::exp2, -20.0, 20.0, 2f64.powi(-22));
    close(
        "ex2.approx.ftz.f32 %d, %a;",
        f64::exp2,
        -20.0,
        20.0,
        2f64.powi(-22),
    );
    close("lg2.approx.f32 %d, %a;", f64::log2, 0.01, 50.0, 2f64.powi(-22));
    close(
        "rsqrt.approx.f32 %d, %a;",
        |x| x.sqrt().recip(),
        0.01,
        50.0,
        2f64.powi(-22),
    );
    close("sqrt.approx.f32 %d, %a;", f64::sqrt, 0.01, 50.0, 2f64.powi(-22));
    close(
        "rcp.approx.ftz.f32 %d, %a;",
        f64::recip,
        0.01,
        50.0,
        2f64.powi(-23),
    );
    close("tanh.approx.f32 %d, %a;", f64::tanh, -3.0, 3.0, 2f64.powi(-11));
    floats("div.full.f32 %d, %a, %b;", |a, b, _| a / b);
}

fn halves(text: &str, expected: impl Fn(f16, f16, f16) -> f16) {
    let mut random = Random(9);
    let edges = [
        0u16, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00,
    ];
    let mut inputs: Vec<[u64; 3]> = edges
        .iter()
        .flat_map(|a| edges.map(|b| [u64::from(*a), u64::from(b), 0x3c01]))
        .collect();
    inputs.extend((0..3000).map(|_| [0; 3].map(|_: i32| random.bits() & 0xffff)));
    for (found, triple) in run(text, [16; 4], &inputs).into_iter().zip(inputs) {
        let [a, b, c] = triple.map(|bits| f16::from_bits(bits as u16));
        let (found, expected) = (f16::from_bits(found as u16), expected(a, b, c));
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(
            same,
            "{text} of {a:e}, {b:e}, {c:e} is {found:e}, not {expected:e}"
        );
    }
}

/// The half nearest to an exact value that a double holds to far more bits than a tie needs, by search among
/// neighbours instead of by conversion.
fn nearest_half(value: f64) -> f16 {
    let guess = f16::from_f64(value);
    if !guess.is_finite() {
        return guess;
    }
    let neighbours = [
        guess.to_bits().wrapping_sub(1),
        guess.to_bits(),
        guess.to_bits().wrapping_add(1),
    ];
    let candidates = neighbours
        .map(f16::from_bits)
        .into_iter()
        .filter(|half| half.is_finite());
    let distance = |half: &f16| (half.to_f64() - value).abs();
    let found = candidates.min_by(|x, y| {
        distance(x)
            .total_cmp(&distance(y))
            .then((x.to_bits() & 1).cmp(&(y.to_bits() & 1)))
    });
    found.expect("the guess is finite")
}

#[test]
fn halves_are_rounded_once() {
    halves("add.f16 %d, %a, %b;", |a, b, _| {
        f16::from_f64(a.to_f64() + b.to_f64())
    });
    halves("sub.f16 %d, %a, %b;", |a, b, _| {
        f16::from_f64(a.to_f64() - b.to_f64())
    });
    halves("mul.rn.f16 %d, %a, %b;", |a, b, _| {
        f16::from_f64(a.to_f64() * b.to_f64())
    });
    halves("fma.rn.f16 %d, %a, %b, %c;", |a, b, c| {
        let sum = a.to_f64() * b.to_f64() + c.to_f64();
        let found = nearest_half(sum);
        if found == f16::ZERO {
            f16::from_f64(sum)
        } else {
            found
        }
    });
    halves("max.f16 %d, %a, %b;", |a, b, _| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_positive() {
                a
            } else {
                b
            }
        }
        _ => {
            if a > b {
                a
            } else {
                b
            }
        }
    });
    halves("neg.f16 %d, %a;", |a, _, _| -a);
}

#[test]
fn pairs_of_halves_do_not_touch_each_other() {
    let mut random = Random(10);
    let inputs: Vec<[u64; 3]> = (0..500)
        .map(|_| [0; 3].map(|_: i32| random.bits() & 0x3fff_3fff))
        .collect();
    let found = run("fma.rn.f16x2 %d, %a, %b, %c;", [32; 4], &inputs);
    for part in [0, 16] {
        let single: Vec<[u64; 3]> = inputs
            .iter()
            .map(|triple| triple.map(|x| x >> part & 0xffff))
            .collect();
        let expected = run("fma.rn.f16 %d, %a, %b, %c;", [16; 4], &single);
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(pair, single)| pair >> part & 0xffff == single)
        );
    }
}

#[test]
fn conversions_round_and_stop_as_they_say() {
    let inputs = singles();
    let value = |triple: &[u64; 3]| f32::from_bits(triple[0] as u32);
    let found = run("cvt.rn.f16.f32 %d, %a;", [16, 32, 32, 32], &inputs);
    for (found, triple) in found.iter().zip(&inputs) {
        let (found, expected) = (f16::from_bits(*found as u16), f16::from_f32(value(triple)));
        assert!(
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
            "{:e}",
            value(triple)
        );
    }
    let found = run("cvt.rn.f16x2.f32 %d, %a, %b;", [32; 4], &inputs);
    let low = run("cvt.rn.f16.f32 %d, %b;", [16, 32, 32, 32], &inputs);
    let high = run("cvt.rn.f16.f32 %d, %a;", [16, 32, 32, 32], &inputs);
    for at in 0..inputs.len() {
        assert_eq!(found[at], low[at] | high[at] << 16);
    }
    let integral = |text: &str, expected: fn(f32) -> u32| {
        for (found, triple) in run(text, [32; 4], &inputs).iter().zip(&inputs) {
            assert_eq!(
                *found as u32,
                expected(value(triple)),
                "{text} of {:e}",
                value(triple)
            );
        }
    };
    // Rust's casts stop at the limits of the type too, and make a NaN zero.
    integral("cvt.rzi.s32.f32 %d, %a;", |x| x as i32 as u32);
    integral("cvt.rni.s32.f32 %d, %a;", |x| x.round_ties_even() as i32 as u32);
    integral("cvt.rmi.s32.f32 %d, %a;", |x| x.floor() as i32 as u32);
    integral("cvt.rzi.u32.f32 %d, %a;", |x| x as u32);
    integral("cvt.rni.u8.f32 %d, %a;", |x| u32::from(x.round_ties_even() as u8));
    floats("cvt.rmi.f32.f32 %d, %a;", |a, _, _| a.floor());
    floats("cvt.rni.f32.f32 %d, %a;", |a, _, _| a.round_ties_even());
    floats(
        "cvt.sat.f32.f32 %d, %a;",
        |a, _, _| if a > 0.0 { a.min(1.0) } else { 0.0 },
    );
    integers("cvt.rn.f32.s32 %d, %a;", [32; 4], |a, _, _| {
        u64::from((a as u32 as i32 as f32).to_bits())
    });
    integers("cvt.rn.f32.u64 %d, %a;", [32, 64, 64, 64], |a, _, _| {
        u64::from((a as f32).to_bits())
    });
}

/// All halves there are, there and back.
#[test]
fn every_half_survives_a_visit_among_singles() {
    let inputs: Vec<[u64; 3]> = (0..=0xffff).map(|bits| [bits, 0, 0]).collect();
    for (found, [bits, ..]) in run("cvt.f32.f16 %d, %a;", [32, 16, 16, 16], &inputs)
        .iter()
        .zip(&inputs)
    {
        let (found, expected) = (
            f32::from_bits(*found as u32),
            f16::from_bits(*bits as u16).to_f32(),
        );
        assert!(same(found, expected), "{bits:#x}");
    }
}
