// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess};
use gst_base::subclass::prelude::*;
use gst_video::subclass::prelude::*;

use super::error::Error;
use super::interrupt::Interrupt;
use super::settings::Settings;
use super::state::{Next, State};
use super::style_source::StyleSource;
use super::{figures, lock, pixels, properties};
use neuralstyle::stylizer::{self, Controls, Stats};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "neuralstyle",
        gst::DebugColorFlags::empty(),
        Some("Repaints video in the style of a picture"),
    )
});

#[derive(Default)]
pub struct NeuralStyle {
    settings: Mutex<Settings>,
    /// From start to stop. The streaming thread takes it out while it works on a frame.
    state: Mutex<Option<State>>,
    /// From start to stop.
    styles: Mutex<Option<StyleSource>>,
    interrupt: Interrupt,
    /// As of the last frame, so that asking for them never waits for one.
    figures: Mutex<Option<gst::Structure>>,
    /// Nanoseconds that it takes to paint a frame, as announced to the pipeline.
    latency_ns: AtomicU64,
    /// Nanoseconds by which frames are held back.
    delay_ns: AtomicU64,
    /// Where the last frame ended that was not sent on by the base class, which would know.
    sent: Mutex<Option<gst::ClockTime>>,
}

impl NeuralStyle {
    /// Makes what is needed from start to stop.
    fn begin(&self, settings: &Settings) -> Result<(State, StyleSource), Error> {
        let options = settings.for_stylizer()?;
        let style = settings.style.as_deref().ok_or(stylizer::Error::NoStyle)?;
        let mut state = State::new(&options, self.interrupt.token())?;
        self.tell_of_fallback(&mut state);
        // Asking for the losses of every step costs time, so it is done only where somebody reads them.
        if CAT.above_threshold(gst::DebugLevel::Trace) {
            let element = self.obj().downgrade();
            state.watch(Box::new(move |step| {
                if let Some(element) = element.upgrade() {
                    gst::trace!(CAT, obj = element, "{step:?}");
                }
            }));
        }
        Ok((state, StyleSource::start(style)?))
    }

    /// Says that the CPU paints, if a card was looked for. Where there is nothing of NVIDIA's nobody will wonder, so that
    /// only the log tells.
    fn tell_of_fallback(&self, state: &mut State) {
        let Some(fallback) = state.take_fallback() else {
            return;
        };
        gst::warning!(CAT, imp = self, "{}", fallback);
        if fallback.surprising {
            Error::from(fallback).warn(&self.obj());
        }
    }

    /// Has another style picture read, if frames are being painted.
    fn change_style(&self, path: Option<String>) {
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

    /// Brings the controlled properties to the buffer's time.
    fn follow_controllers(&self, buffer: &gst::BufferRef) {
        let segment = self.obj().segment();
        let Some(segment) = segment.downcast_ref::<gst::ClockTime>() else {
            return;
        };
        if let Some(time) = segment.to_stream_time(buffer.pts()) {
            // Fails only where a controller has no value for this time; the property keeps its own then.
            let _ = self.obj().sync_values(time);
        }
    }

    /// Lets frames pass at no strength, and paints them otherwise.
    fn follow_strength(&self) -> Result<(), gst::FlowError> {
        let passthrough = lock(&self.settings).controls.strength == 0.0;
        let obj = self.obj();
        if obj.is_passthrough() == passthrough {
            return Ok(());
        }
        gst::debug!(CAT, imp = self, "passthrough: {}", passthrough);
        // No frame overtakes another.
        self.drain()?;
        obj.set_passthrough(passthrough);
        // Upstream talks about memory with us or, in passthrough, with downstream.
        obj.reconfigure_sink();
        obj.reconfigure_src();
        self.announce_latency();
        Ok(())
    }

    /// Starts afresh if the frame in `buffer` does not go on from the last one.
    fn follow_stream(&self, buffer: &gst::BufferRef) -> Result<(), gst::FlowError> {
        let goes_on = match lock(&self.state).as_mut() {
            Some(state) if self.obj().is_passthrough() => {
                state.continuity.interrupted();
                true
            }
            Some(state) => state.goes_on(buffer),
            None => true,
        };
        if !goes_on {
            self.drain()?;
            self.restart("this frame goes on from nothing");
        }
        Ok(())
    }

    /// Starts afresh.
    fn restart(&self, reason: &str) {
        if let Some(state) = lock(&self.state).as_mut() {
            gst::debug!(CAT, imp = self, "starting afresh: {}", reason);
            state.restart();
        }
    }

    /// Does something with the state, while it is nobody else's and nothing is locked.
    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, gst::FlowError> {
        let mut state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let answer = act(&mut state);
        *lock(&self.state) = Some(state);
        Ok(answer)
    }

    /// Takes a frame in; what is finished by it can be sent on.
    fn paint(&self, input: gst::Buffer) -> Result<(), gst::FlowError> {
        let controls = lock(&self.settings).controls;
        let styles = lock(&self.styles).clone().ok_or(gst::FlowError::Flushing)?;
        let state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let mut state = self.choose_mode(state).map_err(|error| self.flow(&error))?;
        gst::log!(CAT, imp = self, "painting the frame at {}", input.pts().display());
        let painted = state.push(&styles, &controls, input);
        self.keep(state);
        self.hold_back(&controls);
        painted.map_err(|error| self.flow(&error))
    }

    /// Puts the state back after something was painted.
    fn keep(&self, mut state: State) {
        self.tell_of_fallback(&mut state);
        *lock(&self.figures) = Some(state.figures());
        *lock(&self.state) = Some(state);
    }

    /// The next finished frame in a buffer for downstream. Events that waited for those before it go on.
    fn next_output(&self) -> Result<Option<gst::Buffer>, gst::FlowError> {
        while let Some(next) = self.with_state(State::next)? {
            let (input, report) = match next {
                Next::Frame(input, report) => (input, report),
                Next::Event(event) => {
                    self.parent_sink_event(event);
                    continue;
                }
            };
            let prepared = self.parent_prepare_output_buffer(InputBuffer::Readable(&input))?;
            let PrepareOutputBufferSuccess::Buffer(mut output) = prepared else {
                return Ok(Some(input));
            };
            let (written, latency) = self.with_state(|state| {
                let written = state.write(&input, output.make_mut());
                (written, state.measure(&report))
            })?;
            written.map_err(|error| self.flow(&error))?;
            gst::log!(
                CAT,
                imp = self,
                "painted the frame at {}: {:?}",
                input.pts().display(),
                report
            );
            if let Some(latency) = latency {
                self.latency_ns.store(latency.nseconds(), Ordering::Relaxed);
                self.announce_latency();
            }
            if report.keyframe && lock(&self.settings).post_messages {
                let obj = self.obj();
                let message = gst::message::Element::builder(self.stats());
                let _ = obj.post_message(message.src(&*obj).build());
            }
            return Ok(Some(output));
        }
        Ok(None)
    }

    /// Sends on what is finished.
    fn send(&self) -> Result<(), gst::FlowError> {
        while let Some(output) = self.next_output()? {
            let end = output
                .pts()
                .map(|pts| pts + output.duration().unwrap_or_default());
            *lock(&self.sent) = end;
            self.obj().src_pad().push(output)?;
        }
        Ok(())
    }

    /// Sends on whatever is held back: nothing that it waits for will come.
    fn drain(&self) -> Result<(), gst::FlowError> {
        let waiting = lock(&self.state).as_ref().map_or(0, State::waiting);
        if waiting == 0 {
            return Ok(());
        }
        gst::debug!(CAT, imp = self, "{} frames and events wait no longer", waiting);
        let mut state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let finished = state.finish();
        self.keep(state);
        finished.map_err(|error| self.flow(&error))?;
        self.send()
    }

    /// Has an event wait behind the frames that came before it; gives it back if there are none.
    fn line_up(&self, event: gst::Event) -> Option<gst::Event> {
        match lock(&self.state).as_mut() {
            Some(state) if state.waiting() > 0 => {
                state.line_up(event);
                None
            }
            _ => Some(event),
        }
    }

    /// Notes by how much frames are held back.
    fn hold_back(&self, controls: &Controls) {
        let delay = lock(&self.state)
            .as_ref()
            .map_or(gst::ClockTime::ZERO, |state| state.delay(controls));
        let before = self.delay_ns.swap(delay.nseconds(), Ordering::Relaxed);
        if before != delay.nseconds() {
            self.announce_latency();
        }
    }

    /// Tells a live pipeline that the latency has changed.
    fn announce_latency(&self) {
        if self.upstream_is_live() {
            gst::info!(CAT, imp = self, "latency is now {}", self.latency());
            let obj = self.obj();
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// Decides what `mode=auto` means, with the first frame: the pipeline is complete then.
    fn choose_mode(&self, mut state: State) -> Result<State, Error> {
        if state.awaits_mode {
            state.awaits_mode = false;
            let live = self.upstream_is_live();
            gst::info!(
                CAT,
                imp = self,
                "the pipeline is {}",
                if live { "live" } else { "not live" }
            );
            if live {
                return Ok(state.live()?);
            }
        }
        Ok(state)
    }

    /// How long a frame stays in here.
    fn latency(&self) -> gst::ClockTime {
        if self.obj().is_passthrough() {
            return gst::ClockTime::ZERO;
        }
        let painting = gst::ClockTime::from_nseconds(self.latency_ns.load(Ordering::Relaxed));
        let held_back = gst::ClockTime::from_nseconds(self.delay_ns.load(Ordering::Relaxed));
        painting.saturating_add(held_back)
    }

    /// Whether these are the caps of the frames before.
    fn are_known(&self, caps: &gst::CapsRef) -> bool {
        let info = gst_video::VideoInfo::from_caps(caps).ok();
        info.is_some() && lock(&self.state).as_ref().and_then(State::info) == info.as_ref()
    }

    /// The flow that an error means; what the user has to know is posted.
    fn flow(&self, error: &Error) -> gst::FlowError {
        match error.message() {
            None => gst::FlowError::Flushing,
            Some(message) => {
                self.post_error_message(message);
                gst::FlowError::Error
            }
        }
    }

    fn stats(&self) -> gst::Structure {
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
}

impl ObjectImpl for NeuralStyle {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        // GObject never sets what can only be read.
        let Some(property) = properties::property(spec.name()) else {
            return;
        };
        let running = lock(&self.styles).is_some();
        let style = {
            let mut settings = lock(&self.settings);
            (property.set)(&mut settings, value);
            settings.style.clone()
        };
        gst::debug!(CAT, imp = self, "{} is now {:?}", spec.name(), value);
        if running && !property.acts_while_playing() {
            gst::warning!(
                CAT,
                imp = self,
                "{} has no effect before the next start",
                spec.name()
            );
        }
        if spec.name() == "style" {
            self.change_style(style);
        }
    }

    fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
        match properties::property(spec.name()) {
            Some(property) => (property.get)(&lock(&self.settings)),
            None => self.stats().to_value(),
        }
    }
}

impl GstObjectImpl for NeuralStyle {}

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
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(pixels::FORMATS)
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
        self.latency_ns.store(0, Ordering::Relaxed);
        self.delay_ns.store(0, Ordering::Relaxed);
        *lock(&self.sent) = None;
        self.obj().set_passthrough(settings.controls.strength == 0.0);
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
            // What follows has nothing to do with the frames before it. Whatever keeps these from going on, the event does.
            E::StreamStart(_)
            | E::Caps(_)
            | E::Segment(_)
            | E::SegmentDone(_)
            | E::Gap(_)
            | E::StreamGroupDone(_)
            | E::Eos(_) => {
                let _ = self.drain();
            }
            // What holds for the whole stream may overtake a frame.
            _ if event.is_serialized() && !event.is_sticky() => {
                return match self.line_up(event) {
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
        // Painting changes neither size nor place, so whatever is said of the frame stays true. Metas about memory
        // do not come here.
        true
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.follow_controllers(&buffer);
        self.follow_strength()?;
        self.follow_stream(&buffer)?;
        let fits = lock(&self.state)
            .as_ref()
            .map_or(Ok(()), |state| state.fits(&buffer));
        let answer = if let (false, Err(error)) = (self.obj().is_passthrough(), fits) {
            // The base class would send uninitialised memory in its place. A buffer that marks a gap may be empty.
            if !buffer.flags().contains(gst::BufferFlags::GAP) {
                error.warn(&self.obj());
            }
            Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED)
        } else {
            self.parent_submit_input_buffer(is_discont, buffer)
        };
        if let (Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED), Some(state)) = (answer, lock(&self.state).as_mut())
        {
            state.dropped = true;
        }
        answer
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        if self.obj().is_passthrough() {
            return self.parent_generate_output();
        }
        let Some(input) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        self.paint(input)?;
        // A frame that waited for no other goes the usual way.
        if self.with_state(|state| state.waiting() == 1 && !state.marks)?
            && let Some(output) = self.next_output()?
        {
            *lock(&self.sent) = None;
            return Ok(GenerateOutputSuccess::Buffer(output));
        }
        // Of several the base class would mark the first as a discontinuity, whichever of them is one.
        self.send()?;
        self.with_state(State::settle)?;
        Ok(GenerateOutputSuccess::NoOutput)
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
        if let Some(state) = lock(&self.state).as_mut() {
            state.set_info(info);
        }
        let controls = lock(&self.settings).controls;
        self.hold_back(&controls);
        Ok(())
    }
}
