// SPDX-License-Identifier: MIT OR Apache-2.0

use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::GenerateOutputSuccess;
use gst_base::subclass::prelude::*;
use gst_video::subclass::prelude::*;

use super::error::Error;
use super::interrupt::Interrupt;
use super::latency::Latency;
use super::property_values::PropertyValues;
use super::state::State;
use super::style_source::StyleSource;
use super::{figures, lock, pixels, properties};
use neuralstyle::stylizer::{self, Stats};

pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "neuralstyle",
        gst::DebugColorFlags::empty(),
        Some("Repaints video in the style of a picture"),
    )
});

#[derive(Default)]
pub struct NeuralStyle {
    pub settings: Mutex<PropertyValues>,
    /// From start to stop. The streaming thread takes it out while it works on a frame.
    pub state: Mutex<Option<State>>,
    /// From start to stop.
    pub styles: Mutex<Option<StyleSource>>,
    interrupt: Interrupt,
    /// As of the last frame, so that asking for them never waits for one.
    pub figures: Mutex<Option<gst::Structure>>,
    /// As announced to the pipeline.
    pub latency: Latency,
    /// The end of the last frame, if the element sent it and not the base class: only that keeps its position itself.
    pub sent: Mutex<Option<gst::ClockTime>>,
}

impl NeuralStyle {
    /// Opens what is needed from start to stop.
    fn begin(&self, settings: &PropertyValues) -> Result<(State, StyleSource), Error> {
        settings.check().map_err(stylizer::Error::from)?;
        let settings = &settings.library;
        let style = settings.style.as_deref().ok_or(stylizer::Error::NoStyle)?;
        let mut state = State::new(&settings.options, self.interrupt.token())?;
        self.warn_of_fallback(&mut state);
        // Asking for the losses of every step costs time, so it is done only if they are logged.
        if CAT.above_threshold(gst::DebugLevel::Trace) {
            let element = self.obj().downgrade();
            state.observe_steps(Box::new(move |step| {
                if let Some(element) = element.upgrade() {
                    gst::trace!(CAT, obj = element, "{step:?}");
                }
            }));
        }
        Ok((state, StyleSource::start(style)?))
    }

    /// Logs that the CPU paints although a card was looked for; and posts it as a warning if there is a card or its driver.
    pub fn warn_of_fallback(&self, state: &mut State) {
        let Some(fallback) = state.take_fallback() else {
            return;
        };
        gst::warning!(CAT, imp = self, "{}", fallback);
        if fallback.surprising {
            Error::from(fallback).warn(&self.obj());
        }
    }

    /// Has another style picture read, if frames are being painted.
    fn change_style(&self, path: Option<PathBuf>) {
        let Some(styles) = lock(&self.styles).clone() else {
            return;
        };
        let element = self.obj().downgrade();
        let complain = move |error: stylizer::Error| {
            if let Some(element) = element.upgrade() {
                Error::from(error).warn(&element);
            }
        };
        match path {
            Some(path) => styles.request(&path, complain),
            None => complain(stylizer::Error::NoStyle),
        }
    }

    /// Whether these are the caps of the frames before, in all that they say.
    fn are_known(&self, caps: &gst::CapsRef) -> bool {
        let known = self.obj().sink_pad().current_caps();
        known.is_some_and(|known| *known == *caps)
    }

    /// Logs that HDR is painted on the scale of its signal.
    fn tell_of_hdr(&self, info: &gst_video::VideoInfo) {
        use gst_video::VideoTransferFunction as Transfer;
        let name = match info.colorimetry().transfer() {
            Transfer::Smpte2084 => "PQ",
            Transfer::AribStdB67 => "HLG",
            _ => return,
        };
        gst::warning!(
            CAT,
            imp = self,
            "the frames are HDR ({}) and are painted as they are encoded: the style's white becomes the brightest code, not \
             the white of a page; a smaller strength, or tone mapping before this element, keeps it darker",
            name
        );
    }

    pub fn stats(&self) -> gst::Structure {
        lock(&self.figures)
            .clone()
            .unwrap_or_else(|| figures::structure(&Stats::default(), None))
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NeuralStyle {
    const NAME: &'static str = "GstNeuralStyle";
    type Type = super::NeuralStyle;
    type ParentType = gst_video::VideoFilter;
    type Interfaces = (gst::Preset,);
}

impl ObjectImpl for NeuralStyle {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        let running = lock(&self.styles).is_some();
        let (answer, style) = {
            let mut settings = lock(&self.settings);
            let answer = properties::set(&mut settings, spec, value);
            (answer, settings.library.style.clone())
        };
        gst::debug!(CAT, imp = self, "{} is now {:?}", spec.name(), value);
        if running && !properties::acts_while_playing(spec) {
            gst::warning!(
                CAT,
                imp = self,
                "{} has no effect before the next start",
                spec.name()
            );
        } else if running && let Err(refused) = answer {
            Error::from(stylizer::Error::from(refused)).warn(&self.obj());
        }
        if spec.name() == "style" {
            self.change_style(style);
        }
    }

    fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
        let set = properties::get(&lock(&self.settings), spec);
        set.unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for NeuralStyle {}

/// All by GStreamer: a preset has the values of all properties that can be set.
impl PresetImpl for NeuralStyle {}

impl ElementImpl for NeuralStyle {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Neural style transfer",
                "Filter/Effect/Video",
                "Repaints video in the style of any picture, by the optimisation of Gatys et al.",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // What is interlaced is refused in a sentence when it comes; caps could only refuse it in silence.
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(pixels::FORMATS.iter().copied())
                .build();
            let template = |name, direction| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                    .expect("cannot fail: the name has no placeholder and the caps are valid")
            };
            vec![
                template("src", gst::PadDirection::Src),
                template("sink", gst::PadDirection::Sink),
            ]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            // Before the parent does, which waits for the running frame.
            self.interrupt.stop();
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for NeuralStyle {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        self.interrupt.clear();
        let (state, styles) = self.begin(&settings).map_err(|error| {
            error
                .message()
                .unwrap_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ["{}", error]))
        })?;
        *lock(&self.figures) = Some(state.figures());
        *lock(&self.state) = Some(state);
        *lock(&self.styles) = Some(styles);
        self.latency.reset();
        *lock(&self.sent) = None;
        self.obj()
            .set_passthrough(settings.library.controls.strength == 0.0);
        gst::info!(CAT, imp = self, "started with {:?}", settings);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.state).take();
        lock(&self.styles).take();
        gst::info!(CAT, imp = self, "stopped");
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if let (gst::PadDirection::Sink, gst::QueryView::Drain(_)) = (direction, query.view()) {
            let _ = self.drain();
        }
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if direction == gst::PadDirection::Src && answered {
            match query.view_mut() {
                gst::QueryViewMut::Latency(query) => {
                    let (live, min, max) = query.result();
                    let own = self.latency();
                    query.set(
                        live,
                        min.saturating_add(own),
                        max.map(|max| max.saturating_add(own)),
                    );
                }
                gst::QueryViewMut::Position(query) if query.format() == gst::Format::Time => {
                    let segment = self.obj().segment();
                    let segment = segment.downcast_ref::<gst::ClockTime>();
                    let sent = *lock(&self.sent);
                    if let (Some(segment), Some(sent)) = (segment, sent) {
                        query.set(segment.to_stream_time(sent));
                    }
                }
                _ => (),
            }
        }
        answered
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView as E;
        match event.view() {
            // Comes on another thread than the frame that it stops.
            E::FlushStart(_) => self.interrupt.begin_flush(),
            E::FlushStop(_) => {
                self.interrupt.end_flush();
                self.restart("flush");
                *lock(&self.sent) = None;
            }
            E::Caps(caps) if self.are_known(caps.caps()) => (),
            // What follows does not belong to the frames before it. If these cannot be sent on, the event still is.
            E::StreamStart(_)
            | E::Caps(_)
            | E::Segment(_)
            | E::SegmentDone(_)
            | E::Gap(_)
            | E::StreamGroupDone(_)
            | E::Eos(_) => {
                let _ = self.drain();
            }
            // Sticky events hold for the whole stream and may overtake a frame.
            _ if event.is_serialized() && !event.is_sticky() => {
                return match self.keep_event(event) {
                    Some(event) => self.parent_sink_event(event),
                    None => true,
                };
            }
            _ => (),
        }
        match event.view() {
            E::StreamStart(_) => self.restart("stream start"),
            E::Segment(_) => {
                *lock(&self.sent) = None;
                if let Some(state) = lock(&self.state).as_mut() {
                    state.continuity.segment_changed();
                }
            }
            _ => (),
        }
        self.parent_sink_event(event)
    }

    fn transform_meta<'a>(
        &self,
        _output: &mut gst::BufferRef,
        _meta: gst::MetaRef<'a, gst::Meta>,
        _input: &'a gst::BufferRef,
    ) -> bool {
        // Painting changes neither size nor place, so all metas stay true. The base class does not ask about metas of memory.
        true
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.accept(is_discont, buffer)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        if self.obj().is_passthrough() {
            return self.parent_generate_output();
        }
        self.paint_queued()
    }
}

impl VideoFilterImpl for NeuralStyle {
    fn set_info(
        &self,
        caps: &gst::Caps,
        info: &gst_video::VideoInfo,
        _output_caps: &gst::Caps,
        _output_info: &gst_video::VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "caps are {}", caps);
        if info.interlace_mode() != gst_video::VideoInterlaceMode::Progressive {
            let error = Error::Interlaced(info.interlace_mode());
            if let Some(message) = error.message() {
                self.post_error_message(message);
            }
            return Err(gst::loggable_error!(CAT, "{error}"));
        }
        self.tell_of_hdr(info);
        if let Some(state) = lock(&self.state).as_mut() {
            state
                .set_info(info)
                .map_err(|error| gst::loggable_error!(CAT, "{caps}: {error}"))?;
        }
        let controls = lock(&self.settings).library.controls;
        self.hold_back(&controls);
        Ok(())
    }
}
