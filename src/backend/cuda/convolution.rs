// SPDX-License-Identifier: MIT OR Apache-2.0

//! Into what blocks a convolution is cut: those that should take the least time, by the model of `kernels/MODEL.md` in its
//! simplest form.

use super::kernels::Grid;
use super::layout::CHUNK;
use super::probe::Multiprocessors;
use crate::backend::Shape;

/// The part of the output that a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    Large,
    Medium,
    Narrow,
    Small,
}

/// What is known of a kind of tile; see kernels/conv.cuh.
struct Extent {
    rows: usize,
    columns: usize,
    results: usize,
    /// Clocks that a multiprocessor's shared memory needs for a chunk of channels: 128 bytes each.
    shared: usize,
    /// Blocks that are on a multiprocessor at once.
    resident: usize,
}

impl Extent {
    /// Products that a chunk of channels takes.
    const fn products(&self) -> usize {
        self.rows * self.columns * self.results * TAPS * CHUNK
    }

    /// Bytes that a chunk of channels brings: the pixels with their halo, and a panel of weights for each tap.
    const fn bytes(&self) -> usize {
        ((self.rows + 2) * (self.columns + 2) + TAPS * self.results) * CHUNK * 2
    }
}

const TAPS: usize = 9;
/// Bytes that the L2 cache gives each multiprocessor in a clock: 15 to 36 on the cards of kernels/MODEL.md.
const L2_BYTES: usize = 20;
/// Clocks from a block's beginning to its first product and from the last to its end, and those between two launches: a
/// microsecond or two each.
const LATENCY: usize = 3000;
/// Clocks of a tap in which a block multiplies nothing: the wait for its panel, the barrier, the first fragments.
const PAUSE: usize = 60;
/// More parts would be more sums than products.
const MOST_SPLITS: usize = 16;

impl Tile {
    const fn extent(self) -> Extent {
        let (rows, columns, results, shared, resident) = match self {
            Self::Large => (8, 16, 128, 2970, 2),
            Self::Medium => (8, 16, 64, 2106, 2),
            Self::Narrow => (8, 16, 32, 1386, 3),
            Self::Small => (8, 8, 64, 1490, 3),
        };
        Extent {
            rows,
            columns,
            results,
            shared,
            resident,
        }
    }
}

/// How a convolution is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    pub tile: Tile,
    tiles: usize,
    columns: usize,
    /// Parts into which the channels are cut; more than 1 only with medium and small tiles.
    pub splits: usize,
    pub chunks_per_split: usize,
}

impl LaunchPlan {
    /// For `results` lanes of a picture of `shape`'s size, each the sum over `channels`.
    pub fn new(shape: Shape, results: usize, channels: usize, card: Multiprocessors) -> Self {
        let chunks = channels.div_ceil(CHUNK);
        // The larger tiles first: they win where it makes no difference.
        let fitting = [
            (Tile::Large, results > 64, 1),
            (Tile::Medium, results > 32, MOST_SPLITS),
            (Tile::Narrow, results <= 32, 1),
            (Tile::Small, true, MOST_SPLITS),
        ];
        let plans = fitting
            .into_iter()
            .filter(|&(_, fits, _)| fits)
            .flat_map(|(tile, _, most)| {
                (1..=most.min(chunks)).map(move |splits| Self::cut(tile, shape, results, chunks, splits))
            });
        plans
            .min_by_key(|plan| plan.clocks(shape, results, chunks, card))
            .expect("cannot fail: small tiles always fit")
    }

    fn cut(tile: Tile, shape: Shape, results: usize, chunks: usize, splits: usize) -> Self {
        let extent = tile.extent();
        let chunks_per_split = chunks.div_ceil(splits);
        Self {
            tile,
            tiles: shape.height.div_ceil(extent.rows) * shape.width.div_ceil(extent.columns),
            columns: results.div_ceil(extent.results),
            splits: chunks.div_ceil(chunks_per_split),
            chunks_per_split,
        }
    }

    /// About how long it takes.
    fn clocks(&self, shape: Shape, results: usize, chunks: usize, card: Multiprocessors) -> usize {
        let extent = self.tile.extent();
        let areas = self.tiles * self.columns;
        let blocks = areas * self.splits;
        // The busiest multiprocessor's blocks, and the cache's bytes for all.
        let chunk = (extent.products() / card.products).max(extent.shared) + TAPS * PAUSE / extent.resident;
        let busiest = blocks.div_ceil(card.count) * self.chunks_per_split * chunk;
        let cache = areas * chunks * extent.bytes() / (L2_BYTES * card.count);
        let waves = blocks.div_ceil(card.count * extent.resident);
        let second_pass = match self.partials(shape, results) {
            0 => 0,
            // Parts are written and read.
            floats => LATENCY + floats * 2 * size_of::<f32>() / (L2_BYTES * card.count),
        };
        busiest.max(cache) + waves * LATENCY + second_pass
    }

    /// Floats that the parts of a split sum take for `results` lanes of a picture of `shape`'s size.
    pub fn partials(&self, shape: Shape, results: usize) -> usize {
        match self.splits {
            1 => 0,
            splits => splits * shape.pixels() * results,
        }
    }

    pub fn grid(&self) -> Grid {
        Grid(self.tiles, self.columns, self.splits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTX_3060: Multiprocessors = Multiprocessors {
        count: 28,
        products: 256,
    };
    const A100: Multiprocessors = Multiprocessors {
        count: 108,
        products: 1024,
    };

    fn plan(
        channels: usize,
        height: usize,
        width: usize,
        results: usize,
        card: Multiprocessors,
    ) -> LaunchPlan {
        LaunchPlan::new(Shape::new(channels, height, width), results, channels, card)
    }

    #[test]
    fn tiles_fill_the_card() {
        // As many large tiles as one wants.
        let many = plan(64, 512, 512, 128, RTX_3060);
        assert_eq!((many.tile, many.splits), (Tile::Large, 1));
        // 128 large tiles on 108 multiprocessors would leave 88 of them idle half of the time.
        let few = plan(512, 64, 64, 512, A100);
        assert!(few.tile != Tile::Large || few.splits > 1, "{few:?}");
        assert!(few.grid().0 * few.grid().1 * few.splits > 2 * 108, "{few:?}");
        // At 64×64 that layer has 8×8 pixels left: small tiles, cut into pieces of the channels.
        let small = plan(512, 8, 8, 512, RTX_3060);
        assert_eq!(small.tile, Tile::Small);
        assert!(small.splits > 1, "{small:?}");
        assert_eq!(plan(64, 288, 512, 64, RTX_3060).tile, Tile::Medium);
        assert_eq!(plan(32, 288, 512, 32, RTX_3060).tile, Tile::Narrow);
        // One channel cannot be cut.
        assert_eq!(plan(5, 1, 1, 8, A100).splits, 1);
    }

    #[test]
    fn the_pieces_hold_all_channels() {
        for channels in [1, 31, 32, 33, 200, 512] {
            for count in [1, 7, 46, 144] {
                let card = Multiprocessors {
                    count,
                    products: 1024,
                };
                let plan = LaunchPlan::new(Shape::new(channels, 5, 9), 64, channels, card);
                assert!(plan.splits * plan.chunks_per_split * CHUNK >= channels);
                assert!((plan.splits - 1) * plan.chunks_per_split * CHUNK < channels);
            }
        }
    }

    #[test]
    fn no_other_way_would_take_less_time() {
        for (channels, height, width, results) in [
            (512, 32, 32, 512),
            (128, 36, 64, 256),
            (64, 90, 160, 128),
            (256, 45, 80, 128),
        ] {
            for card in [RTX_3060, A100] {
                let shape = Shape::new(channels, height, width);
                let chosen = plan(channels, height, width, results, card);
                let chunks = channels.div_ceil(CHUNK);
                let time = |plan: LaunchPlan| plan.clocks(shape, results, chunks, card);
                for tile in [Tile::Large, Tile::Medium, Tile::Small] {
                    let whole = LaunchPlan::cut(tile, shape, results, chunks, 1);
                    assert!(time(chosen) <= time(whole), "{chosen:?} {whole:?}");
                }
            }
        }
    }
}
