// SPDX-License-Identifier: MIT OR Apache-2.0

//! The order that barriers give to the warps of a block. Time goes on by one with each barrier, whoever came to it; what
//! a warp did before a time comes before another warp's deeds if a barrier, or a chain of them, lies between the two.

/// Warps of a block, at most.
pub const MOST_WARPS: usize = 32;

/// Barriers of a block that can be told apart; past them nothing is recorded any more.
pub const LAST_TIME: u32 = (1 << 20) - 1;

/// What a warp knows between two of its barriers.
#[derive(Debug, Clone)]
pub struct Turn {
    pub warp: u32,
    pub time: u32,
    /// By warp: what it did before this time comes before.
    pub seen: [u32; MOST_WARPS],
    /// The least and the greatest of these, of the other warps.
    pub least: u32,
    pub greatest: u32,
}

impl Turn {
    /// The turn of work that has no warps.
    pub const ALONE: Self = Self {
        warp: 0,
        time: 0,
        seen: [0; MOST_WARPS],
        least: 0,
        greatest: 0,
    };
}

/// What each warp of a block knows.
#[derive(Debug)]
pub struct Order {
    time: u32,
    seen: Vec<[u32; MOST_WARPS]>,
}

impl Order {
    pub fn new(warps: usize) -> Self {
        Self {
            time: 0,
            seen: vec![[0; MOST_WARPS]; warps],
        }
    }

    /// For the next block.
    pub fn restart(&mut self) {
        self.time = 0;
        self.seen.fill([0; MOST_WARPS]);
    }

    /// What a warp knows until its next barrier.
    pub fn turn(&self, warp: usize) -> Turn {
        let seen = self.seen[warp];
        let others = (0..self.seen.len()).filter(|other| *other != warp);
        let others = others.map(|other| seen[other]);
        Turn {
            warp: warp as u32,
            time: self.time,
            seen,
            least: others.clone().min().unwrap_or(0),
            greatest: others.max().unwrap_or(0),
        }
    }

    /// A barrier of these warps is complete.
    pub fn meet(&mut self, warps: &[usize]) {
        self.time = (self.time + 1).min(LAST_TIME);
        let mut known = [0; MOST_WARPS];
        for warp in warps {
            for (known, seen) in known.iter_mut().zip(self.seen[*warp]) {
                *known = (*known).max(seen);
            }
        }
        for warp in warps {
            known[*warp] = self.time;
        }
        for warp in warps {
            self.seen[*warp] = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_orders_those_who_came_and_a_chain_of_them_the_others() {
        let mut order = Order::new(3);
        order.meet(&[0, 1]);
        assert_eq!(order.turn(1).seen[..3], [1, 1, 0]);
        assert_eq!(order.turn(2).seen[..3], [0, 0, 0]);
        order.meet(&[1, 2]);
        // What warp 0 did before the first barrier, and nothing that it did after it.
        assert_eq!(order.turn(2).seen[..3], [1, 2, 2]);
        assert_eq!((order.turn(2).least, order.turn(2).greatest), (1, 2));
        order.meet(&[0, 1, 2]);
        assert_eq!(order.turn(0).seen[..3], [3, 3, 3]);
        order.restart();
        assert_eq!(order.turn(0).seen, [0; MOST_WARPS]);
    }
}
