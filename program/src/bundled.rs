// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures and a clip that are part of the program, for those who name none.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::failure::Failure;

/// A file that is part of the program.
pub struct Bundled {
    ending: &'static str,
    bytes: &'static [u8],
}

/// The Starry Night, Vincent van Gogh, 1889.
pub const STARRY_NIGHT: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/starry_night.jpg"),
};

/// The Night Café, Vincent van Gogh, 1888.
pub const NIGHT_CAFE: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/night_cafe.jpg"),
};

/// The Painter on the Road to Tarascon, Vincent van Gogh, 1888.
pub const PAINTER_ON_THE_ROAD: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/painter_on_the_road.jpg"),
};

/// A frame of Big Buck Bunny, © Blender Foundation, CC BY 3.0.
pub const BUNNY_PICTURE: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/bunny.jpg"),
};

/// Chelsea, photographed by Stéfan van der Walt, CC0.
pub const CAT: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/cat.jpg"),
};

/// Eileen Collins, photographed by NASA.
pub const ASTRONAUT: Bundled = Bundled {
    ending: ".jpg",
    bytes: include_bytes!("../../media/astronaut.jpg"),
};

/// Some seconds of Big Buck Bunny, © Blender Foundation, CC BY 3.0.
pub const BUNNY: Bundled = Bundled {
    ending: ".webm",
    bytes: include_bytes!("../../media/bunny.webm"),
};

/// A file that can be read as long as this is kept.
pub enum Material {
    Given(PathBuf),
    Copy(TempPath),
}

impl Material {
    /// The file that was named, or a copy of the bundled one.
    pub fn new(given: Option<&Path>, otherwise: &Bundled) -> Result<Self, Failure> {
        if let Some(path) = given {
            return Ok(Self::Given(path.to_owned()));
        }
        let mut copy = tempfile::Builder::new()
            .prefix("neuralstyle-")
            .suffix(otherwise.ending)
            .tempfile()?;
        copy.write_all(otherwise.bytes)?;
        Ok(Self::Copy(copy.into_temp_path()))
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Copy(path) => path,
        }
    }
}
