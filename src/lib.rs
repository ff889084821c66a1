// SPDX-License-Identifier: MIT OR Apache-2.0

//! Repaints pictures and video in the style of any picture, by the optimisation of Gatys, Ecker and Bethge (2015).
//!
//! No network is trained for a style: the picture itself is optimised, frame after frame, until a feature network finds the
//! frame's content and the style's statistics in it. Three networks are embedded, and any VGG-16 or VGG-19 can be read from
//! a file. It runs on any processor, and on NVIDIA cards by kernels of its own. It knows nothing of GStreamer, for which
//! there is the plugin `gst-plugin-neuralstyle`, nor of where frames come from.
//!
//! ```
//! use std::sync::Arc;
//!
//! use neuralstyle::backend::CancelToken;
//! use neuralstyle::gatys::NetworkChoice;
//! use neuralstyle::stylizer::{Controls, Frame, Options, Stylizer};
//!
//! // Pictures are RGB bytes, row after row. Here they are stripes; StylePicture::load reads a style from a file.
//! let stripes = |width: usize, height: usize, colours: [[u8; 3]; 2]| {
//!     let rgb = (0..width * height).flat_map(|i| colours[i / 4 % 2]).collect();
//!     Frame::from_rgb(width, height, rgb).expect("as many bytes as the size asks for")
//! };
//! let options = Options { network: NetworkChoice::Tiny, ..Options::default() };
//! let controls = Controls { first_iterations: 2, iterations: 1, ..Controls::default() };
//!
//! let mut stylizer = Stylizer::with_tokens(&options, CancelToken::new())?;
//! stylizer.set_style(Arc::new(stripes(32, 32, [[250, 200, 40], [20, 30, 120]]).into()));
//! let mut painting = Frame::default();
//! for number in 0..2 {
//!     let frame = stripes(32, 24, [[40, 90, 40], [200, 220, 255]]);
//!     stylizer.push(&frame, &controls, number)?; // any token: a number, a time stamp
//!     while let Some((number, report)) = stylizer.pull(&mut painting) {
//!         println!("frame {number}: {} steps, {:?}", report.iterations, painting.size());
//!     }
//! }
//! assert_eq!(stylizer.stats().keyframes, 2);
//! # assert_eq!(painting.size(), (32, 24));
//! # Ok::<(), neuralstyle::stylizer::Error>(())
//! ```
//!
//! # The layers
//!
//! Each uses only what stands below it.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`stylizer`] | a stream of frames: keyframes, cuts, the driver in which frames wait and the one in which none does |
//! | [`motion`] | optical flow from frame to frame, where it can be trusted, and what is a cut |
//! | [`gatys`] | one picture: the network, J(G) and its gradient, the optimiser, from coarse to fine |
//! | [`backend`] | the operations of a step, as traits, and those who perform them: CPU, CUDA, a slow reference in f64 |
//! | [`settings`] | what can be chosen, each thing described once: name, range, default, meaning |
//! | [`picture`] | RGB pictures |
//!
//! The folder `examples/` has short programs: one picture, a clip, and a backend of one's own.

#![deny(unsafe_code)]

pub mod backend;
pub mod gatys;
pub mod motion;
pub mod picture;
pub mod settings;
pub mod stylizer;
