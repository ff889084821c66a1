// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many registers a kernel needs at one time, roughly: the values that are alive between their first and last
//! mention. A real compiler does better and worse; this only keeps absurd launches from passing.

use std::collections::HashMap;

use super::instruction::Instruction;

/// What the card hands out at most to a thread.
const MOST: u32 = 255;

pub fn estimate(code: &[Instruction]) -> u32 {
    let mut spans: HashMap<u32, (usize, usize)> = HashMap::new();
    for (at, instruction) in code.iter().enumerate() {
        let named = [
            instruction.d,
            instruction.a,
            instruction.b,
            instruction.c,
            instruction.x,
        ];
        for register in named.into_iter().chain(instruction.list.iter().copied()) {
            spans.entry(register).or_insert((at, at)).1 = at;
        }
    }
    let mut change = vec![0i32; code.len() + 1];
    for (first, last) in spans.values() {
        change[*first] += 1;
        change[*last] -= 1;
    }
    let (mut alive, mut most) = (0, 0);
    for step in change {
        alive += step;
        most = most.max(alive);
    }
    (most as u32 + 8).next_multiple_of(8).clamp(16, MOST)
}
