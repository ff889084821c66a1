// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stylizer's choices as GObject enumerations.

use gst::glib;
#[cfg(feature = "doc")]
use gst::prelude::*;

use neuralstyle::settings as options;

/// An enumeration of GObject's with the same values as one of the stylizer's, and the ways between them.
macro_rules! choices {
    ($name:ident, $type_name:literal, $choice:ident, { $($value:ident, $nick:literal, $blurb:literal;)+ } $(, $hidden:ident => $shown:ident)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, glib::Enum)]
        #[enum_type(name = $type_name)]
        pub enum $name {
            $(#[enum_value(name = $blurb, nick = $nick)] $value,)+
        }

        impl From<$name> for options::$choice {
            fn from(value: $name) -> Self {
                match value { $($name::$value => Self::$value,)+ }
            }
        }

        impl From<options::$choice> for $name {
            fn from(choice: options::$choice) -> Self {
                match choice {
                    $(options::$choice::$value => Self::$value,)+
                    $(options::$choice::$hidden => Self::$shown,)?
                }
            }
        }
    };
}

choices!(Network, "GstNeuralStyleNetwork", NetworkChoice, {
    Auto, "auto", "Auto: slim on the CPU, vgg16 on a CUDA device, file if weights are given";
    Tiny, "tiny", "Tiny: VGG-16 to conv4_1 at a quarter of its width, embedded; the fastest";
    Slim, "slim", "Slim: VGG-16 to conv4_1 at half its width, embedded";
    Vgg16, "vgg16", "VGG-16 to conv4_2, embedded; the best and the slowest";
    File, "file", "File: a VGG-16 or VGG-19 from the file that the weights property names";
});

choices!(Normalization, "GstNeuralStyleNormalization", Normalization, {
    Relative, "relative", "Relative: each term divided by its target's size, so that weights mean the same everywhere";
    Gatys, "gatys", "Gatys: exactly the sums and factors of Gatys et al. (2015)";
});

choices!(Pooling, "GstNeuralStylePooling", PoolingChoice, {
    Network, "network", "Network: as the network was made";
    Average, "average", "Average: smoother pictures";
    Max, "max", "Max: as VGG was trained";
});

choices!(Optimizer, "GstNeuralStyleOptimizer", OptimizerKind, {
    Adam, "adam", "Adam";
    Sgd, "sgd", "SGD: gradient descent with momentum";
    Lbfgs, "lbfgs", "L-BFGS (not there yet: refused at the start)";
});

choices!(Init, "GstNeuralStyleInit", Init, {
    Matched, "matched", "Matched: the content in the style's colours";
    Content, "content", "Content: the content as it is";
    Noise, "noise", "Noise: uniform noise from the seed";
    Previous, "previous", "Previous: the last result if there is one, else as matched";
});

choices!(Mode, "GstNeuralStyleMode", Mode, {
    Auto, "auto", "Auto: live in a live pipeline, else offline";
    Offline, "offline", "Offline: each frame waits for its steps";
    Live, "live", "Live: frames never wait; the newest is painted beside the stream and shown along its motion";
});

choices!(Backend, "GstNeuralStyleBackend", BackendChoice, {
    Auto, "auto", "Auto: CUDA if a card passes its start-up check, else the CPU";
    Cpu, "cpu", "CPU: all cores of this machine";
    Cuda, "cuda", "CUDA: an NVIDIA card of compute capability 7.5 or later";
    // No property can be set to the reference; should a default ever become it, it is a CPU's work.
}, Reference => Cpu);

/// Makes the types show up in the plugin's documentation.
#[cfg(feature = "doc")]
pub fn mark_as_plugin_api() {
    for enumeration in [
        Network::static_type(),
        Normalization::static_type(),
        Pooling::static_type(),
        Optimizer::static_type(),
        Init::static_type(),
        Mode::static_type(),
        Backend::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}
