// SPDX-License-Identifier: MIT OR Apache-2.0

use gst::prelude::*;
use neuralstyle::settings::{Setting, When};

/// Adds to a property what those of all types have: a title, what it does, and when it may change.
pub fn described<'a, B: GstParamSpecBuilderExt<'a>>(builder: B, setting: &'a Setting) -> B {
    let builder = builder.nick(setting.nick).blurb(setting.blurb);
    match setting.acts {
        When::Start => builder.mutable_ready(),
        When::Playing => builder.mutable_playing(),
        When::Controllable => builder.mutable_playing().controllable(),
    }
}
