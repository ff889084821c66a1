// SPDX-License-Identifier: MIT OR Apache-2.0

use super::transform::Tile;

/// Some of the tiles that cover a frame, counted row by row.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Tiles beside each other in a row of the frame.
    pub across: usize,
    pub first: usize,
    pub count: usize,
}

impl Tiling {
    /// All tiles of a frame.
    pub fn of<T: Tile>(height: usize, width: usize) -> Self {
        let across = width.div_ceil(T::OUT);
        Self {
            across,
            first: 0,
            count: across * height.div_ceil(T::OUT),
        }
    }

    /// The `index`-th piece of at most `size` of these tiles.
    pub fn piece(&self, index: usize, size: usize) -> Self {
        let skipped = (index * size).min(self.count);
        Self {
            first: self.first + skipped,
            count: size.min(self.count - skipped),
            ..*self
        }
    }

    /// Row and column of the first output of each tile.
    pub fn corners<T: Tile>(&self) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let across = self.across;
        let (mut y, mut x) = (self.first / across, self.first % across);
        (0..self.count).map(move |_| {
            let corner = (y * T::OUT, x * T::OUT);
            x += 1;
            if x == across {
                (y, x) = (y + 1, 0);
            }
            corner
        })
    }
}
