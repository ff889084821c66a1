// SPDX-License-Identifier: MIT OR Apache-2.0

//! `neuralstyle`: a GStreamer video filter that repaints a stream in the style of any picture.
//!
//! A plugin, and a library whose [`plugin_register_static`] makes the filter part of a program: see
//! `element/examples/03_appsrc_appsink.rs`. Here frames, properties, latency and errors are translated between GStreamer and
//! [`neuralstyle::stylizer::Stylizer`], which does the work.

mod filter;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    filter::register(plugin)
}

gst::plugin_define!(
    neuralstyle,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    // GStreamer's list of licences has no name for "MIT OR Apache-2.0"; this is its MIT half.
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
