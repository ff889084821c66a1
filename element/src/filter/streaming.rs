// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to buffers and events on the streaming thread.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess};
use gst_base::subclass::prelude::*;

use super::error::Error;
use super::imp::{CAT, NeuralStyle};
use super::lock;
use super::state::{Painted, State};
use neuralstyle::stylizer::Controls;

impl NeuralStyle {
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

    /// Switches to passthrough at strength 0 and back.
    fn follow_strength(&self) -> Result<(), gst::FlowError> {
        let passthrough = lock(&self.settings).library.controls.strength == 0.0;
        let obj = self.obj();
        if obj.is_passthrough() == passthrough {
            return Ok(());
        }
        gst::debug!(CAT, imp = self, "passthrough: {}", passthrough);
        // Frames that are held back go first.
        self.drain()?;
        obj.set_passthrough(passthrough);
        // Upstream talks about memory with us or, in passthrough, with downstream.
        obj.reconfigure_sink();
        obj.reconfigure_src();
        self.announce_latency();
        Ok(())
    }

    /// Starts afresh if the frame in `buffer` does not continue the stream of the last one.
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
            self.restart("this frame does not follow the last one");
        }
        Ok(())
    }

    /// Forgets the frames before: the next one starts afresh.
    pub fn restart(&self, reason: &str) {
        if let Some(state) = lock(&self.state).as_mut() {
            gst::debug!(CAT, imp = self, "starting afresh: {}", reason);
            state.restart();
        }
    }

    /// Takes the state out, so that nothing is locked meanwhile, does something with it and puts it back.
    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, gst::FlowError> {
        let mut state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let answer = act(&mut state);
        *lock(&self.state) = Some(state);
        Ok(answer)
    }

    /// Takes a frame in; what is finished by it can be sent on.
    fn paint(&self, input: gst::Buffer) -> Result<(), gst::FlowError> {
        let mut controls = lock(&self.settings).library.controls;
        let styles = lock(&self.styles).clone().ok_or(gst::FlowError::Flushing)?;
        let state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let mut state = self.choose_mode(state).map_err(|error| self.flow(&error))?;
        if !state.has_frame_rate() {
            // Without a frame rate a source may wait for each painting before it sends the next frame: none is held back.
            controls.keyframe_interval = 1;
        }
        gst::log!(CAT, imp = self, "painting the frame at {}", input.pts().display());
        let painted = state.push(&styles, &controls, input);
        self.keep(state);
        self.hold_back(&controls);
        painted.map_err(|error| self.flow(&error))
    }

    /// Puts the state back after something was painted.
    fn keep(&self, mut state: State) {
        self.warn_of_fallback(&mut state);
        state.warn_of_enlargement(|enlarged| {
            gst::warning!(
                CAT,
                imp = self,
                "the style picture is enlarged {:.1} times and its strokes are blurred; a larger picture or a smaller style-scale \
                 would help",
                enlarged
            );
        });
        *lock(&self.figures) = Some(state.figures());
        *lock(&self.state) = Some(state);
    }

    /// The next finished frame in a buffer for downstream. Events that came before it are sent on.
    pub fn next_output(&self) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some(Painted {
            events,
            input,
            report,
        }) = self.with_state(State::pull)?
        else {
            return Ok(None);
        };
        for event in events {
            self.parent_sink_event(event);
        }
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
            self.latency.set_painting(latency);
            self.announce_latency();
        }
        if report.keyframe && lock(&self.settings).post_messages {
            let obj = self.obj();
            let message = gst::message::Element::builder(self.stats());
            let _ = obj.post_message(message.src(&*obj).build());
        }
        Ok(Some(output))
    }

    /// Sends on what is finished.
    pub fn send(&self) -> Result<(), gst::FlowError> {
        while let Some(output) = self.next_output()? {
            let end = output
                .pts()
                .map(|pts| pts + output.duration().unwrap_or_default());
            *lock(&self.sent) = end;
            self.obj().src_pad().push(output)?;
        }
        Ok(())
    }

    /// Finishes and sends on what is held back: the keyframe that it waits for will not come.
    pub fn drain(&self) -> Result<(), gst::FlowError> {
        if lock(&self.state).as_ref().is_none_or(State::is_empty) {
            return Ok(());
        }
        gst::debug!(CAT, imp = self, "draining");
        let mut state = lock(&self.state).take().ok_or(gst::FlowError::Flushing)?;
        let finished = state.finish();
        self.keep(state);
        finished.map_err(|error| self.flow(&error))?;
        self.send()?;
        for event in self.with_state(State::take_events)? {
            self.parent_sink_event(event);
        }
        Ok(())
    }

    /// Keeps an event behind the frames that came before it; gives it back if none is held back.
    pub fn keep_event(&self, event: gst::Event) -> Option<gst::Event> {
        match lock(&self.state).as_mut() {
            Some(state) if !state.is_empty() => {
                state.keep_event(event);
                None
            }
            _ => Some(event),
        }
    }

    /// Notes by how much frames are held back.
    pub fn hold_back(&self, controls: &Controls) {
        let delay = lock(&self.state)
            .as_ref()
            .map_or(gst::ClockTime::ZERO, |state| state.delay(controls));
        if self.latency.set_held_back(delay) {
            self.announce_latency();
        }
    }

    /// Tells a live pipeline that the latency has changed.
    pub fn announce_latency(&self) {
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
    pub fn latency(&self) -> gst::ClockTime {
        if self.obj().is_passthrough() {
            gst::ClockTime::ZERO
        } else {
            self.latency.total()
        }
    }

    /// Posts an error, unless it is a cancellation, and returns the flow that it means.
    pub fn flow(&self, error: &Error) -> gst::FlowError {
        match error.message() {
            None => gst::FlowError::Flushing,
            Some(message) => {
                self.post_error_message(message);
                gst::FlowError::Error
            }
        }
    }

    /// Takes a buffer of the stream. One that is no frame of the current caps is dropped with a warning.
    pub fn accept(&self, is_discont: bool, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
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

    /// Paints the frame that the base class has queued, and sends on what is finished by it.
    pub fn paint_queued(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Some(input) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        self.paint(input)?;
        // A frame that waited for no other goes the usual way.
        if self.with_state(|state| state.pending_frames() == 1 && !state.held_discont)?
            && let Some(output) = self.next_output()?
        {
            *lock(&self.sent) = None;
            return Ok(GenerateOutputSuccess::Buffer(output));
        }
        // If several buffers come out, the base class would mark the first as a discontinuity, even if a later one is.
        self.send()?;
        self.with_state(State::copy_held)?;
        Ok(GenerateOutputSuccess::NoOutput)
    }
}
