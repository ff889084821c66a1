// SPDX-License-Identifier: MIT OR Apache-2.0

/// A place between the pixels of a plane: the four pixels around it and their weights, for bilinear interpolation.
pub struct Place {
    at: [usize; 4],
    weights: [f32; 4],
}

impl Place {
    pub fn new(x: f32, y: f32, width: usize, height: usize) -> Self {
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f32, y - row as f32);
        let (next, below) = ((column + 1).min(width - 1), (row + 1).min(height - 1));
        Self {
            at: [
                row * width + column,
                row * width + next,
                below * width + column,
                below * width + next,
            ],
            weights: [
                (1.0 - right) * (1.0 - down),
                right * (1.0 - down),
                (1.0 - right) * down,
                right * down,
            ],
        }
    }

    pub fn of(&self, plane: &[f32]) -> f32 {
        (0..4).map(|i| self.weights[i] * plane[self.at[i]]).sum()
    }
}
