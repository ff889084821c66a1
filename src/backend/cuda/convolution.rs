// SPDX-License-Identifier: MIT OR Apache-2.0

//! Into what blocks a convolution is cut.

use super::filter::CHUNK;
use super::kernels::Grid;
use crate::backend::Shape;

/// The part of the output that a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    Large,
    Medium,
    Narrow,
    Small,
}

impl Tile {
    /// Rows and columns of pixels, results, threads.
    const fn extent(self) -> (usize, usize, usize, usize) {
        match self {
            Self::Large => (8, 16, 128, 256),
            Self::Medium => (8, 16, 64, 256),
            Self::Narrow => (8, 16, 32, 128),
            Self::Small => (8, 8, 64, 128),
        }
    }
}

/// How a convolution is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub tile: Tile,
    tiles: usize,
    columns: usize,
    /// Parts into which the channels are cut; more than 1 only with small tiles.
    pub splits: usize,
    pub chunks_per_split: usize,
}

impl Plan {
    /// For `results` lanes of a picture of `shape`'s size, each the sum over `channels`: the largest tiles of which there
    /// are enough for all multiprocessors, since they read the least.
    pub fn new(shape: Shape, results: usize, channels: usize, multiprocessors: usize) -> Self {
        let count = |tile: Tile| {
            let (rows, columns, wide, _) = tile.extent();
            (
                shape.height.div_ceil(rows) * shape.width.div_ceil(columns),
                results.div_ceil(wide),
            )
        };
        let fitting = [
            (Tile::Large, results > 64),
            (Tile::Medium, results > 32),
            (Tile::Narrow, results <= 32),
        ];
        let enough = |tile: Tile| {
            let (tiles, columns) = count(tile);
            tiles * columns >= multiprocessors
        };
        let chosen = fitting
            .into_iter()
            .find(|&(tile, fits)| fits && enough(tile))
            .map_or(Tile::Small, |(tile, _)| tile);
        let (tiles, columns) = count(chosen);
        let (chunks, blocks) = (channels.div_ceil(CHUNK), tiles * columns);
        let wanted = if chosen == Tile::Small && blocks < 2 * multiprocessors {
            (2 * multiprocessors).div_ceil(blocks).min(chunks)
        } else {
            1
        };
        let chunks_per_split = chunks.div_ceil(wanted);
        Self {
            tile: chosen,
            tiles,
            columns,
            splits: chunks.div_ceil(chunks_per_split),
            chunks_per_split,
        }
    }

    /// Floats that the parts of a split sum take for `results` lanes of a picture of `shape`'s size.
    pub fn partials(&self, shape: Shape, results: usize) -> usize {
        match self.splits {
            1 => 0,
            splits => splits * shape.pixels() * results,
        }
    }

    pub fn grid(&self) -> Grid {
        let (_, _, _, threads) = self.tile.extent();
        Grid::new((self.tiles, self.columns, self.splits), threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_card() {
        let plan = |channels, height, width, results| {
            Plan::new(Shape::new(channels, height, width), results, channels, 46)
        };
        // A layer of VGG-16 at 512×288: many large tiles.
        let large = plan(256, 72, 128, 256);
        assert_eq!((large.tile, large.splits), (Tile::Large, 1));
        // The same at 64×64 has 8×8 pixels left: one small tile for 64 results each, cut into pieces of the channels.
        let small = plan(512, 8, 8, 512);
        assert_eq!(
            (small.tile, small.chunks_per_split, small.splits),
            (Tile::Small, 2, 8)
        );
        assert_eq!(small.grid().blocks, (1, 8, 8));
        assert_eq!(plan(64, 288, 512, 64).tile, Tile::Medium);
        assert_eq!(plan(32, 288, 512, 32).tile, Tile::Narrow);
        // One channel cannot be cut.
        assert_eq!(plan(5, 1, 1, 8).splits, 1);
    }

    #[test]
    fn the_pieces_hold_all_channels() {
        for channels in [1, 31, 32, 33, 200, 512] {
            for multiprocessors in [1, 7, 46, 144] {
                let plan = Plan::new(Shape::new(channels, 5, 9), 64, channels, multiprocessors);
                assert!(plan.splits * plan.chunks_per_split * CHUNK >= channels);
                assert!((plan.splits - 1) * plan.chunks_per_split * CHUNK < channels);
            }
        }
    }
}
