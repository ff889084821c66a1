// SPDX-License-Identifier: MIT OR Apache-2.0

//! What lanes do together: shuffles, votes, matches and reductions.

use super::WARP;
use super::lanes::{Lane, Registers, by_lane};
use super::report::{Checked, Kind, Problem};
use crate::ptx::instruction::{Instruction, Integer2, NONE, Shuffle, Type, Vote};

fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    (0..WARP).filter(move |lane| mask >> lane & 1 == 1)
}

pub fn shuffle(
    mode: Shuffle,
    at: &Instruction,
    registers: &mut Registers,
    predicates: &mut [u32],
    mask: u32,
) -> Checked<()> {
    let (a, b, c) = (
        *registers.words(at.a),
        *registers.words(at.b),
        *registers.words(at.c),
    );
    let mut values = [0; WARP];
    let mut in_range = 0;
    for lane in lanes(mask) {
        let me = lane as i64;
        let (by, clamp, segment) = (
            i64::from(b[lane] & 31),
            i64::from(c[lane] & 31),
            i64::from((c[lane] >> 8) & 31),
        );
        let most = (me & segment) | (clamp & !segment);
        let least = me & segment;
        let (from, inside) = match mode {
            Shuffle::Up => (me - by, me - by >= most),
            Shuffle::Down => (me + by, me + by <= most),
            Shuffle::Butterfly => (me ^ by, (me ^ by) <= most),
            Shuffle::Index => (least | (by & !segment), (least | (by & !segment)) <= most),
        };
        let from = if inside { from as usize } else { lane };
        if mask >> from & 1 == 0 {
            let what = format!("shfl.sync takes the value of lane {from}, which takes no part");
            return Err(Problem::new(Kind::Divergence, what).in_lane(lane));
        }
        values[lane] = a[from];
        in_range |= u32::from(inside) << lane;
    }
    u32::store(registers, at.d, values, mask);
    if at.x != NONE {
        let predicate = &mut predicates[at.x as usize];
        *predicate = (*predicate & !mask) | in_range;
    }
    Ok(())
}

pub fn vote(
    mode: Vote,
    negated: bool,
    at: &Instruction,
    registers: &mut Registers,
    predicates: &mut [u32],
    mask: u32,
) {
    let asked = predicates[at.a as usize];
    let said = if negated { !asked } else { asked } & mask;
    let answer = match mode {
        Vote::Ballot => {
            u32::store(registers, at.d, [said; WARP], mask);
            return;
        }
        Vote::All => said == mask,
        Vote::Any => said != 0,
        Vote::Uniform => said == mask || said == 0,
    };
    let predicate = &mut predicates[at.d as usize];
    *predicate = (*predicate & !mask) | if answer { mask } else { 0 };
}

pub fn match_any(wide: bool, at: &Instruction, registers: &mut Registers, mask: u32) {
    let values = registers.addresses(at.a, wide);
    let found = by_lane(|lane| {
        lanes(mask)
            .filter(|other| values[*other] == values[lane])
            .fold(0, |bits, other| bits | 1 << other)
    });
    u32::store(registers, at.d, found, mask);
}

pub fn match_all(wide: bool, at: &Instruction, registers: &mut Registers, predicates: &mut [u32], mask: u32) {
    let values = registers.addresses(at.a, wide);
    let first = values[mask.trailing_zeros() as usize & 31];
    let same = lanes(mask).all(|lane| values[lane] == first);
    u32::store(registers, at.d, [if same { mask } else { 0 }; WARP], mask);
    if at.x != NONE {
        let predicate = &mut predicates[at.x as usize];
        *predicate = (*predicate & !mask) | if same { mask } else { 0 };
    }
}

pub fn reduce(function: Integer2, kind: Type, at: &Instruction, registers: &mut Registers, mask: u32) {
    let values = *registers.words(at.a);
    let signed = kind == Type::S32;
    let join = |a: u32, b: u32| match function {
        Integer2::Add => a.wrapping_add(b),
        Integer2::Min if signed => (a as i32).min(b as i32) as u32,
        Integer2::Max if signed => (a as i32).max(b as i32) as u32,
        Integer2::Min => a.min(b),
        Integer2::Max => a.max(b),
        Integer2::And => a & b,
        Integer2::Or => a | b,
        _ => a ^ b,
    };
    let all = lanes(mask).map(|lane| values[lane]).reduce(join).unwrap_or(0);
    u32::store(registers, at.d, [all; WARP], mask);
}
