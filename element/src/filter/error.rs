// SPDX-License-Identifier: MIT OR Apache-2.0

//! The one place where errors get GStreamer's codes.

use gst::{LibraryError, ResourceError, StreamError};

use super::pixels::Unreachable;
use neuralstyle::gatys::{self, weights::WeightsError};
use neuralstyle::stylizer;

/// Why a frame was not painted, or the element not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Stylizer(#[from] stylizer::Error),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(
        "interlaced video (interlace-mode={}) cannot be painted, for a frame of it shows two moments; put deinterlace before \
         this element, as in `deinterlace ! neuralstyle`",
        .0.to_str()
    )]
    Interlaced(gst_video::VideoInterlaceMode),
    #[error(transparent)]
    Fallback(#[from] stylizer::Fallback),
}

/// A code of one of GStreamer's domains.
enum Code {
    Library(LibraryError),
    Resource(ResourceError),
    Stream(StreamError),
}

impl Error {
    /// `None` if nothing is wrong: the computation was only cancelled.
    fn code(&self) -> Option<Code> {
        use stylizer::Error as E;
        Some(match self {
            Self::Unreachable(_) | Self::Interlaced(_) => Code::Stream(StreamError::Format),
            Self::Fallback(_) => Code::Library(LibraryError::Init),
            Self::Stylizer(error) => match error {
                E::Cancelled => return None,
                E::Setting { .. } | E::NoStyle => Code::Resource(ResourceError::Settings),
                E::StyleNotFound { .. } => Code::Resource(ResourceError::NotFound),
                E::StyleUnreadable { .. } => Code::Resource(ResourceError::Read),
                E::BackendUnavailable(_) => Code::Library(LibraryError::Init),
                E::OutOfMemory { .. } => Code::Resource(ResourceError::NoSpaceLeft),
                E::Diverged(_) | E::Panicked(_) | E::NoThread { .. } => Code::Library(LibraryError::Failed),
                E::Gatys(error) => code_of_method(error),
            },
        })
    }

    /// What the application gets to see: a sentence for the user and the details for a report. `None` if nothing is
    /// wrong.
    pub fn message(&self) -> Option<gst::ErrorMessage> {
        let text = sentence(&self.to_string());
        Some(match self.code()? {
            Code::Library(code) => gst::error_msg!(code, ("{}", text), ["{:?}", self]),
            Code::Resource(code) => gst::error_msg!(code, ("{}", text), ["{:?}", self]),
            Code::Stream(code) => gst::error_msg!(code, ("{}", text), ["{:?}", self]),
        })
    }

    /// Posts the same as a warning, where the stream goes on.
    pub fn warn(&self, element: &super::NeuralStyle) {
        let text = sentence(&self.to_string());
        match self.code() {
            Some(Code::Library(code)) => gst::element_warning!(element, code, ("{}", text), ["{:?}", self]),
            Some(Code::Resource(code)) => gst::element_warning!(element, code, ("{}", text), ["{:?}", self]),
            Some(Code::Stream(code)) => gst::element_warning!(element, code, ("{}", text), ["{:?}", self]),
            None => (),
        }
    }
}

/// The code for what is wrong with a network, its layers or its weights.
fn code_of_method(error: &gatys::Error) -> Code {
    use gatys::Error as E;
    match error {
        E::Weights(WeightsError::NotFound { .. }) => Code::Resource(ResourceError::NotFound),
        E::Weights(_) | E::NotAVgg { .. } => Code::Resource(ResourceError::Read),
        E::NoWeights | E::UnknownLayer { .. } => Code::Resource(ResourceError::Settings),
        E::Backend(_) => Code::Library(LibraryError::Failed),
    }
}

/// The stylizer's errors are phrases; GStreamer shows sentences.
fn sentence(phrase: &str) -> String {
    let first_word = phrase.split_whitespace().next().unwrap_or_default();
    // The name of a file or a property stays as it is.
    let is_word = first_word.chars().all(|character| character.is_ascii_lowercase());
    let mut text = match phrase.chars().next() {
        Some(first) if is_word => first.to_uppercase().chain(phrase.chars().skip(1)).collect(),
        _ => phrase.to_owned(),
    };
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_becomes_a_sentence_and_a_setting_keeps_its_name() {
        assert_eq!(sentence("no style picture is set"), "No style picture is set.");
        assert_eq!(sentence("mode=live: not yet"), "mode=live: not yet.");
        assert_eq!(sentence("vgg16.pth does not exist"), "vgg16.pth does not exist.");
        assert_eq!(sentence("It is so."), "It is so.");
    }

    #[test]
    fn who_asked_for_a_stop_gets_no_error() {
        assert!(Error::from(stylizer::Error::Cancelled).message().is_none());
        assert!(Error::from(stylizer::Error::NoStyle).message().is_some());
    }
}
