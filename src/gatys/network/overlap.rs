// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a picture that is too large to be measured at once is cut into tiles that overlap. Only the middle of each tile is counted:
//! there its activations are those of the whole picture, since they depend on no pixel beyond the tile.

use crate::backend::Shape;

/// What a network needs of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Pixels: the least common multiple of what a place of any layer stands for. Tiles begin at multiples of it.
    stride: usize,
    /// Pixels, a multiple of the stride: how far an activation sees.
    reach: usize,
}

impl Overlap {
    /// For a chain of stages, of which poolings are `true` and the others 3×3 convolutions.
    pub fn of(pools: &[bool]) -> Self {
        let (mut stride, mut reach) = (1, 0);
        for &is_pool in pools {
            // A convolution sees one place to each side, a pooling one to the right.
            reach += stride;
            if is_pool {
                stride *= 2;
            }
        }
        Self {
            stride,
            reach: reach.next_multiple_of(stride),
        }
    }

    /// The least side in pixels of a tile of which a good part is not overlap.
    pub fn least_side(&self) -> usize {
        2 * self.reach + 6 * self.stride
    }

    /// The tiles of a picture of a width and height, none of which is larger than `most`, whose sides must be
    /// [long enough](Self::least_side) if the picture is longer.
    pub fn tiles(&self, size: (usize, usize), most: (usize, usize)) -> Vec<Tile> {
        let (columns, rows) = (self.spans(size.0, most.0), self.spans(size.1, most.1));
        let row = |&down: &Span| columns.iter().map(move |&across| Tile { across, down });
        rows.iter().flat_map(row).collect()
    }

    fn spans(&self, length: usize, most: usize) -> Vec<Span> {
        if length <= most {
            return vec![Span::whole(length)];
        }
        assert!(most >= self.least_side(), "a tile would be little but overlap");
        let tile = most / self.stride * self.stride;
        let step = tile - 2 * self.reach;
        let mut spans = Vec::new();
        let mut start = 0;
        while start + tile < length {
            let first = if start == 0 { 0 } else { start + self.reach };
            let end = start + tile - self.reach;
            spans.push(Span {
                start,
                length: tile,
                first,
                end,
            });
            start += step;
        }
        spans.push(Span {
            start,
            length: length - start,
            first: start + self.reach,
            end: length,
        });
        spans
    }
}

/// A tile along one side, in pixels of the whole picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    length: usize,
    /// For what it answers.
    first: usize,
    end: usize,
}

impl Span {
    fn whole(length: usize) -> Self {
        Self {
            start: 0,
            length,
            first: 0,
            end: length,
        }
    }

    /// For which of `places` of a layer, each of which stands for `stride` pixels, it answers.
    fn places(&self, stride: usize, places: usize) -> std::ops::Range<usize> {
        let end = if self.end == self.start + self.length {
            places
        } else {
            (self.end - self.start) / stride
        };
        (self.first - self.start) / stride..end
    }
}

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    across: Span,
    down: Span,
}

impl Tile {
    /// All of a picture of a width and height.
    pub fn whole((width, height): (usize, usize)) -> Self {
        Self {
            across: Span::whole(width),
            down: Span::whole(height),
        }
    }

    /// Where it begins in the picture, (x, y).
    pub fn corner(&self) -> (usize, usize) {
        (self.across.start, self.down.start)
    }

    /// [3, H, W] of its pixels.
    pub fn shape(&self) -> Shape {
        Shape::new(3, self.down.length, self.across.length)
    }

    /// The part for which it answers of a layer's activations of this shape, `pools` poolings behind the picture: where it
    /// begins, (x, y), and its shape. `None` if it is all of them.
    pub fn inside(&self, layer: Shape, pools: u32) -> Option<((usize, usize), Shape)> {
        let stride = 1 << pools;
        let columns = self.across.places(stride, layer.width);
        let rows = self.down.places(stride, layer.height);
        let inside = Shape::new(layer.channels, rows.len(), columns.len());
        (inside != layer).then_some(((columns.start, rows.start), inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VGG's blocks of two and three convolutions.
    const TO_RELU4_1: [bool; 11] = [
        false, false, true, false, false, true, false, false, false, true, false,
    ];

    #[test]
    fn an_activation_sees_as_far_as_the_stages_before_let_it() {
        // 2 · 1 and 1, 2 · 2 and 2, 3 · 4 and 4, 8: 33 pixels, in strides of 8.
        assert_eq!(Overlap::of(&TO_RELU4_1), Overlap { stride: 8, reach: 40 });
    }

    #[test]
    fn every_place_has_one_tile_that_answers_for_it() {
        let overlap = Overlap::of(&TO_RELU4_1);
        for length in [1, 100, 128, 129, 176, 177, 400, 1001] {
            let most = 128.max(overlap.least_side());
            let spans = overlap.spans(length, most);
            let mut next = 0;
            for span in &spans {
                assert_eq!(span.first, next, "{length}");
                assert!(span.length <= most && span.start % 8 == 0);
                assert!(span.start + span.length <= length && span.end <= span.start + span.length);
                // What is beyond the reach is beyond the picture, too.
                assert!(span.start == 0 || span.first - span.start >= overlap.reach);
                let after = span.start + span.length - span.end;
                assert!(span.end == length || after >= overlap.reach);
                next = span.end;
            }
            assert_eq!(next, length);
            // The same of the places of the deepest layer, of which the last pixels may be too few for one.
            let places: usize = spans
                .iter()
                .map(|span| span.places(8, span.length / 8).len())
                .sum();
            assert_eq!(places, length / 8, "{length}");
        }
    }

    #[test]
    fn a_picture_that_fits_is_one_tile_of_which_all_counts() {
        let overlap = Overlap::of(&TO_RELU4_1);
        let tiles = overlap.tiles((100, 70), (128, 128));
        assert_eq!(tiles, [Tile::whole((100, 70))]);
        assert_eq!(tiles[0].shape(), Shape::new(3, 70, 100));
        assert_eq!(tiles[0].inside(Shape::new(64, 8, 12), 3), None);
    }
}
