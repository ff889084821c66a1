// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element's properties: what they are called, what they may be, and which setting each of them is.

use std::path::PathBuf;
use std::sync::LazyLock;

use gst::glib::{self, ParamSpec, Value};
use gst::prelude::*;

use super::enums;
use super::settings::Settings;
use neuralstyle::settings::{Controls, Options};

/// A property, and the way to its value.
pub struct Property {
    pub spec: ParamSpec,
    pub get: fn(&Settings) -> Value,
    pub set: fn(&mut Settings, &Value),
}

impl Property {
    /// Whether a new value has an effect before the next start.
    pub fn acts_while_playing(&self) -> bool {
        self.spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING)
    }
}

/// The property of this name, unless it is the one that does not come from the settings: `stats`.
pub fn property(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.spec.name() == name)
}

/// What GObject is told of the properties.
pub fn specs() -> &'static [ParamSpec] {
    static SPECS: LazyLock<Vec<ParamSpec>> = LazyLock::new(|| {
        let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Figures since the start: frames, keyframes, iterations, losses, ms-per-step, ms-per-frame, planned-bytes, bytes-in-use, backend, device, network, working size, style")
            .read_only()
            .build();
        PROPERTIES
            .iter()
            .map(|property| property.spec.clone())
            .chain([stats])
            .collect()
    });
    &SPECS
}

static PROPERTIES: LazyLock<Vec<Property>> = LazyLock::new(|| {
    [
        what_to_paint(),
        how_it_looks(),
        how_it_is_computed(),
        how_it_runs(),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// Larger than any weight that makes sense, smaller than what overflows when squared in single precision.
const LARGEST_WEIGHT: f64 = 1e12;

/// The value that a property is being set to.
fn given<'a, T: glib::value::FromValue<'a>>(value: &'a Value) -> T {
    value
        .get()
        .expect("cannot fail: GObject hands a setter only values of the property's own type")
}

/// A property that counts something.
macro_rules! count {
    ($name:literal, $range:expr, [$($flag:ident),+], $nick:literal, $blurb:literal, $($field:ident).+) => {
        Property {
            spec: glib::ParamSpecUInt::builder($name)
                .minimum(*$range.start())
                .maximum(*$range.end())
                .default_value(Settings::default().$($field).+ as u32)
                .nick($nick)
                .blurb($blurb)
                $(.$flag())+
                .build(),
            get: |settings| (settings.$($field).+ as u32).to_value(),
            set: |settings, value| settings.$($field).+ = given::<u32>(value) as _,
        }
    };
}

/// A property that measures something.
macro_rules! measure {
    ($name:literal, $range:expr, [$($flag:ident),+], $nick:literal, $blurb:literal, $($field:ident).+) => {
        Property {
            spec: glib::ParamSpecDouble::builder($name)
                .minimum(*$range.start())
                .maximum(*$range.end())
                .default_value(Settings::default().$($field).+)
                .nick($nick)
                .blurb($blurb)
                $(.$flag())+
                .build(),
            get: |settings| settings.$($field).+.to_value(),
            set: |settings, value| settings.$($field).+ = given(value),
        }
    };
}

/// A property with a few values to choose from.
macro_rules! choice {
    ($name:literal, $type:ident, $nick:literal, $blurb:literal, $($field:ident).+) => {
        Property {
            spec: glib::ParamSpecEnum::builder_with_default($name, enums::$type::from(Settings::default().$($field).+))
                .nick($nick)
                .blurb($blurb)
                .mutable_ready()
                .build(),
            get: |settings| enums::$type::from(settings.$($field).+).to_value(),
            set: |settings, value| settings.$($field).+ = given::<enums::$type>(value).into(),
        }
    };
}

/// A property that is text or not set.
macro_rules! text {
    ($name:literal, [$($flag:ident),+], $nick:literal, $blurb:literal, $($field:ident).+) => {
        Property {
            spec: glib::ParamSpecString::builder($name).nick($nick).blurb($blurb)$(.$flag())+.build(),
            get: |settings| settings.$($field).+.to_value(),
            set: |settings, value| settings.$($field).+ = given(value),
        }
    };
}

fn what_to_paint() -> Vec<Property> {
    vec![
        text!(
            "style",
            [mutable_playing],
            "Style",
            "Path of the style picture (JPEG, PNG, WebP, GIF, TIFF, BMP, PNM, TGA, QOI)",
            style
        ),
        measure!(
            "style-crop",
            0.0..=0.25,
            [mutable_playing],
            "Style crop",
            "Share of the style picture's width and height that is left out on each side, for frames and borders",
            controls.style_crop
        ),
        choice!(
            "network",
            Network,
            "Network",
            "The network that measures content and style",
            options.network
        ),
        Property {
            spec: glib::ParamSpecString::builder("weights")
                .nick("Weights")
                .blurb("Path of a VGG-16 or VGG-19, safetensors or torch .pth; implies network=file")
                .mutable_ready()
                .build(),
            get: |settings| {
                settings
                    .options
                    .weights
                    .as_ref()
                    .and_then(|path| path.to_str())
                    .to_value()
            },
            set: |settings, value| {
                settings.options.weights = given::<Option<String>>(value).map(PathBuf::from)
            },
        },
        text!(
            "content-layers",
            [mutable_ready],
            "Content layers",
            "Layers that measure content, with their weights, e.g. relu4_1 or relu3_1=0.5,relu4_1=1; unset = the network's own",
            content_layers
        ),
        text!(
            "style-layers",
            [mutable_ready],
            "Style layers",
            "Layers that measure style, with their weights, e.g. relu1_1=1,relu2_1=0.5; unset = the network's own",
            style_layers
        ),
    ]
}

fn how_it_looks() -> Vec<Property> {
    vec![
        measure!(
            "strength",
            0.0..=1.0,
            [mutable_playing, controllable],
            "Strength",
            "Mix with the original: 1 = the painting alone, 0 = the input, byte for byte",
            controls.strength
        ),
        measure!(
            "content-weight",
            0.0..=LARGEST_WEIGHT,
            [mutable_playing, controllable],
            "Content weight",
            "Alpha, the weight of the content's loss",
            controls.content_weight
        ),
        Property {
            spec: glib::ParamSpecDouble::builder("style-weight")
                .minimum(-1.0)
                .maximum(LARGEST_WEIGHT)
                .default_value(or_negative(Controls::default().style_weight))
                .nick("Style weight")
                .blurb("Beta, the weight of the style's loss; below 0 = the network's own default")
                .mutable_playing()
                .controllable()
                .build(),
            get: |settings| or_negative(settings.controls.style_weight).to_value(),
            set: |settings, value| {
                settings.controls.style_weight = Some(given(value)).filter(|weight| *weight >= 0.0)
            },
        },
        measure!(
            "tv-weight",
            0.0..=LARGEST_WEIGHT,
            [mutable_playing, controllable],
            "Total variation weight",
            "Weight of the total variation: more = smoother",
            controls.tv_weight
        ),
        measure!(
            "temporal-weight",
            0.0..=LARGEST_WEIGHT,
            [mutable_playing, controllable],
            "Temporal weight",
            "Weight of the difference from the last result, moved along: more = steadier",
            controls.temporal_weight
        ),
        choice!(
            "init",
            Init,
            "Start",
            "What a fresh start begins with",
            options.init
        ),
        count!(
            "seed",
            0..=u32::MAX,
            [mutable_ready],
            "Seed",
            "Seed of all that is random: the same seed gives the same bytes",
            options.seed
        ),
        measure!(
            "detail",
            0.0..=1.0,
            [mutable_ready],
            "Detail",
            "Share of the content's detail that is added back at each step up in size, and how far edges follow the frame's",
            options.detail
        ),
        measure!(
            "cut-threshold",
            0.0..=1.0,
            [mutable_playing],
            "Cut threshold",
            "How different a frame must be from the one before to start afresh; 1 = never",
            controls.cut_threshold
        ),
    ]
}

fn how_it_is_computed() -> Vec<Property> {
    vec![
        count!(
            "iterations",
            1..=1_000_000,
            [mutable_playing],
            "Iterations",
            "Steps on a keyframe",
            controls.iterations
        ),
        count!(
            "first-iterations",
            1..=1_000_000,
            [mutable_playing],
            "First iterations",
            "Steps on the first frame and after a cut, in equivalents of a full-size step",
            controls.first_iterations
        ),
        count!(
            "keyframe-interval",
            1..=100_000,
            [mutable_playing],
            "Keyframe interval",
            "Frames from keyframe to keyframe; those between are put together from both, for which up to N - 1 frames are held back (live: moved along, and none is)",
            controls.keyframe_interval
        ),
        count!(
            "working-size",
            0..=16_384,
            [mutable_ready],
            "Working size",
            "Longer side in pixels at which the optimisation runs; 0 = 256 on the CPU, 512 on a CUDA device",
            options.working_size
        ),
        count!(
            "scales",
            0..=16,
            [mutable_ready],
            "Scales",
            "Sizes of the coarse-to-fine start; 1 = full size only, 0 = choose by size",
            options.scales
        ),
        Property {
            spec: glib::ParamSpecInt::builder("overscan")
                .minimum(-1)
                .maximum(64)
                .default_value(or_minus_one(Options::default().overscan))
                .nick("Overscan")
                .blurb("Pixels by which the working picture goes on beyond the frame's edge; -1 = choose")
                .mutable_ready()
                .build(),
            get: |settings| or_minus_one(settings.options.overscan).to_value(),
            set: |settings, value| settings.options.overscan = usize::try_from(given::<i32>(value)).ok(),
        },
        choice!(
            "normalization",
            Normalization,
            "Normalization",
            "What the losses are divided by",
            options.normalization
        ),
        choice!(
            "pooling",
            Pooling,
            "Pooling",
            "How the network halves its resolution",
            options.pooling
        ),
        choice!(
            "optimizer",
            Optimizer,
            "Optimizer",
            "How the picture moves along the gradient",
            options.optimizer
        ),
        Property {
            spec: glib::ParamSpecDouble::builder("learning-rate")
                .minimum(0.0)
                .maximum(1e6)
                .default_value(Controls::default().learning_rate.unwrap_or(0.0))
                .nick("Learning rate")
                .blurb("Size of a step, on the 0..1 scale of pixel values; 0 = choose")
                .mutable_playing()
                .controllable()
                .build(),
            get: |settings| settings.controls.learning_rate.unwrap_or(0.0).to_value(),
            set: |settings, value| {
                settings.controls.learning_rate = Some(given(value)).filter(|rate| *rate > 0.0)
            },
        },
        measure!(
            "rate-decay",
            0.0..=1.0,
            [mutable_ready],
            "Rate decay",
            "Share of a frame's steps, at their end, over which the learning rate falls to 5 %",
            options.rate_decay
        ),
        measure!(
            "momentum",
            0.0..=1.0,
            [mutable_ready],
            "Momentum",
            "Share of the last step in the next one; optimizer=sgd only",
            options.momentum
        ),
        count!(
            "moment-blur",
            0..=16,
            [mutable_ready],
            "Moment blur",
            "Passes of a 3x3 blur over the squared gradient; optimizer=adam only",
            options.moment_blur
        ),
    ]
}

fn how_it_runs() -> Vec<Property> {
    vec![
        choice!("mode", Mode, "Mode", "Who waits for whom", options.mode),
        choice!(
            "backend",
            Backend,
            "Backend",
            "What does the work",
            options.backend
        ),
        Property {
            spec: glib::ParamSpecInt::builder("cuda-device-id")
                .minimum(-1)
                .default_value(Options::default().cuda_device_id)
                .nick("CUDA device")
                .blurb("Number of the CUDA device; -1 = the first that works")
                .mutable_ready()
                .build(),
            get: |settings| settings.options.cuda_device_id.to_value(),
            set: |settings, value| settings.options.cuda_device_id = given(value),
        },
        count!(
            "threads",
            0..=1024,
            [mutable_ready],
            "Threads",
            "Worker threads of the CPU backend; 0 = one per core, live one less",
            options.threads
        ),
        Property {
            spec: glib::ParamSpecBoolean::builder("post-messages")
                .default_value(Settings::default().post_messages)
                .nick("Post messages")
                .blurb("Post an element message `neuralstyle` with the figures of `stats` per keyframe")
                .mutable_playing()
                .build(),
            get: |settings| settings.post_messages.to_value(),
            set: |settings, value| settings.post_messages = given(value),
        },
    ]
}

fn or_negative(weight: Option<f64>) -> f64 {
    weight.unwrap_or(-1.0)
}

/// Counts here stay far below what an `i32` holds.
fn or_minus_one(count: Option<usize>) -> i32 {
    count.map_or(-1, |count| count as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, name: &str, value: impl Into<Value>) {
        (property(name).unwrap().set)(settings, &value.into());
    }

    #[test]
    fn every_property_starts_with_the_value_that_it_announces() {
        gst::init().unwrap();
        for property in PROPERTIES.iter() {
            let announced = format!("{:?}", property.spec.default_value());
            assert_eq!(
                format!("{:?}", (property.get)(&Settings::default())),
                announced,
                "{}",
                property.spec.name()
            );
        }
    }

    #[test]
    fn every_property_says_what_it_is_and_when_it_may_change() {
        gst::init().unwrap();
        let changes = gst::PARAM_FLAG_MUTABLE_READY | gst::PARAM_FLAG_MUTABLE_PLAYING;
        for spec in specs() {
            assert!(
                spec.blurb().is_some_and(|blurb| blurb.len() > 8),
                "{}",
                spec.name()
            );
            let read_only = !spec.flags().contains(glib::ParamFlags::WRITABLE);
            assert!(read_only || spec.flags().intersects(changes), "{}", spec.name());
        }
    }

    #[test]
    fn what_stands_for_the_default_is_the_default() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        set(&mut settings, "style-weight", 3.0);
        set(&mut settings, "learning-rate", 0.5);
        set(&mut settings, "overscan", 7);
        assert_eq!(settings.controls.style_weight, Some(3.0));
        assert_eq!(settings.controls.learning_rate, Some(0.5));
        assert_eq!(settings.options.overscan, Some(7));
        set(&mut settings, "style-weight", -1.0);
        set(&mut settings, "learning-rate", 0.0);
        set(&mut settings, "overscan", -1);
        assert_eq!(settings.controls, Controls::default());
        assert_eq!(settings.options, Options::default());
    }

    #[test]
    fn a_style_of_no_weight_is_not_the_default() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        set(&mut settings, "style-weight", 0.0);
        assert_eq!(settings.controls.style_weight, Some(0.0));
    }
}
