// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accesses of a warp to shared memory, which lies in 32 banks of 4 bytes: word w is in bank w % 32.

use crate::machine::WARP;
use crate::machine::lanes::Doubles;

const BANKS: u64 = 32;
const WORD: u64 = 4;

/// How often the banks are asked for one request, and how often they would be if no two words shared one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wavefronts {
    pub taken: u64,
    pub ideal: u64,
}

/// The request of the lanes of `mask`, which is not empty, for so many bytes each (a power of two up to 16).
///
/// Lanes take turns so that a turn is for 128 bytes: all at once up to 4 bytes, 16 lanes with 8, 8 lanes with 16. In a
/// turn each bank gives one word after the other; a word that several lanes ask for is given once.
pub fn wavefronts(addresses: &Doubles, bytes: u64, mask: u32) -> Wavefronts {
    let lanes_in_turn = (BANKS * WORD / bytes.max(WORD)) as usize;
    let mut taken = 0;
    for first in (0..WARP).step_by(lanes_in_turn) {
        let mut words = [0; BANKS as usize];
        let mut count = 0;
        for lane in (first..first + lanes_in_turn).filter(|lane| mask >> lane & 1 == 1) {
            for part in 0..bytes.div_ceil(WORD) {
                words[count] = addresses[lane] / WORD + part;
                count += 1;
            }
        }
        let words = &mut words[..count];
        words.sort_unstable();
        let mut of_bank = [0u64; BANKS as usize];
        for (at, word) in words.iter().enumerate() {
            if at == 0 || words[at - 1] != *word {
                of_bank[(word % BANKS) as usize] += 1;
            }
        }
        taken += of_bank.into_iter().max().unwrap_or(0);
    }
    let ideal = (distinct(addresses, mask) * bytes).div_ceil(BANKS * WORD);
    Wavefronts { taken, ideal }
}

/// How many different addresses the lanes name.
fn distinct(addresses: &Doubles, mask: u32) -> u64 {
    let mut named = [0; WARP];
    let mut count = 0;
    for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
        named[count] = addresses[lane];
        count += 1;
    }
    let named = &mut named[..count];
    named.sort_unstable();
    let repeated = named.windows(2).filter(|pair| pair[0] == pair[1]).count();
    (count - repeated) as u64
}
