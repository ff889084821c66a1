// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stylizer's figures as a structure: the `stats` property and the element messages.

use neuralstyle::stylizer::Stats;

/// What the structure and the messages are called.
const NAME: &str = "neuralstyle";

/// The figures, and the path of the style that they were reached with.
pub fn structure(stats: &Stats, style: Option<&str>) -> gst::Structure {
    gst::Structure::builder(NAME)
        .field("frames", stats.frames)
        .field("keyframes", stats.keyframes)
        .field("iterations", stats.iterations)
        .field("content-loss", stats.losses.content)
        .field("style-loss", stats.losses.style)
        .field("tv-loss", stats.losses.tv)
        .field("temporal-loss", stats.losses.temporal)
        .field("total-loss", stats.losses.total)
        .field("ms-per-step", stats.ms_per_step)
        .field("ms-per-frame", stats.ms_per_frame)
        .field("planned-bytes", stats.planned_bytes as u64)
        .field("bytes-in-use", stats.bytes_in_use as u64)
        .field("backend", stats.backend.as_str())
        .field("device", stats.device.as_str())
        .field("network", stats.network.as_str())
        .field("working-width", stats.working_width as u32)
        .field("working-height", stats.working_height as u32)
        .field("style-enlarged", stats.style_enlarged)
        .field("style", style)
        .build()
}
