// SPDX-License-Identifier: MIT OR Apache-2.0

//! All that knows GStreamer: the element, and how its frames, properties and errors become those of the stylizer.

#![deny(unsafe_code)]

/**
 * SECTION:element-neuralstyle
 * @title: neuralstyle
 * @short_description: repaints video in the style of any picture
 *
 * `neuralstyle` paints every frame anew so that it shows what the frame shows, in the style of the picture that the
 * #GstNeuralStyle:style property names. It runs the optimisation of Gatys et al. (2015) itself, so any picture will do
 * and nothing has to be trained.
 *
 * The element takes all raw formats but tiled ones, and gives each frame in the format in which it came: YUV of any
 * subsampling, RGB, grey, 8 to 16 bits, with and without alpha. No `videoconvert` is needed before it. Depth, colorimetry,
 * chroma siting, HDR metadata, alpha (but a palette's), timestamps and metas stay as they are, and with #GstNeuralStyle:strength at 0 so does
 * every byte. Frames with more than 8 bits are painted with 16. HDR (PQ and HLG) is painted on the scale of its signal: the
 * style's white becomes the brightest code.
 *
 * Pixels that are not square are honoured: strokes are round on the screen. Interlaced video is refused; put `deinterlace`
 * before the element.
 *
 * Properties that may change while playing take effect at the next frame. The others are read when the element goes
 * from READY to PAUSED: a value that is set later is kept for the next start. A new style is read in the background;
 * until it is there, or if it cannot be read, which is posted as a warning, the last one stays.
 *
 * In a live pipeline no frame waits: a thread of its own paints the newest frame, and the last painting is moved along with
 * the scene until the next one is finished. After a cut, and until the first painting, the frame is shown in the style's
 * colours. In other pipelines each frame waits until it is painted. #GstNeuralStyle:mode overrides that. The time that a
 * frame spends in the element is reported as latency.
 *
 * With a #GstNeuralStyle:keyframe-interval N above 1 a frame between two keyframes waits for the second one, except in
 * live mode: up to N - 1 frames are held back, copied, and come out together with the keyframe. Without a frame rate in the
 * caps (0/1) none is held back, since whoever sends them may wait for each; every frame is a keyframe then. The end of the stream,
 * new caps, a cut or any other break in the stream release them; a flush discards them. That delay, too, is reported as
 * latency.
 *
 * With #GstNeuralStyle:post-messages the element posts an element message `neuralstyle` per keyframe. Its fields, and
 * those of #GstNeuralStyle:stats, are `frames`, `keyframes`, `iterations` (#guint64, since the start), `content-loss`,
 * `style-loss`, `tv-loss`, `temporal-loss`, `total-loss` (#gdouble), `ms-per-step`, `ms-per-frame` (#gdouble),
 * `planned-bytes`, `bytes-in-use` (#guint64), `backend`, `device`, `network`, `style` (strings), `working-width` and `working-height`
 * (#guint), `style-enlarged` (#gdouble: how many times the style picture had to be enlarged, at most 1 if it was large
 * enough). `ms-per-step` is what a step of the last keyframe took, without looking for motion, planning and composing;
 * `ms-per-frame` is all that the last frame took.
 *
 * ## Example pipelines
 *
 * |[
 * gst-launch-1.0 videotestsrc ! neuralstyle style=starry_night.jpg ! videoconvert ! autovideosink sync=false
 * ]| The test picture, painted frame by frame.
 *
 * |[
 * gst-launch-1.0 v4l2src ! queue leaky=downstream max-size-buffers=1 ! neuralstyle style=starry_night.jpg ! videoconvert ! autovideosink
 * ]| A camera, at its frame rate.
 *
 * Since: plugins-neuralstyle-0.1.0
 */
use gst::glib;
use gst::prelude::*;

mod argb;
mod continuity;
mod description;
mod enums;
mod error;
mod figures;
mod imp;
mod interrupt;
mod latency;
mod pixels;
mod properties;
mod property_values;
mod state;
mod streaming;
mod style_source;

glib::wrapper! {
    pub struct NeuralStyle(ObjectSubclass<imp::NeuralStyle>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object,
        @implements gst::Preset;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    #[cfg(feature = "doc")]
    enums::mark_as_plugin_api();
    gst::Element::register(
        Some(plugin),
        "neuralstyle",
        gst::Rank::NONE,
        NeuralStyle::static_type(),
    )
}

/// Locks a mutex whose data cannot be left half-changed; a panic elsewhere has been reported and need not spread.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
