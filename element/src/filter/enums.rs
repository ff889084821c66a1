// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library's choices as GObject enumerations.

use gst::glib::{self, EnumClass, ParamSpec, ParamSpecEnum, Value};
#[cfg(feature = "doc")]
use gst::prelude::*;

use super::description::described;
use neuralstyle::settings::{Choice, Setting};
use neuralstyle::with_values;

/// Makes an enumeration of GObject's from the values of one of the library's. Hidden values are left out.
macro_rules! enumeration {
    (
        [$name:ident $type_name:literal]
        $choice:ident { $first:ident = $first_nick:literal, $first_blurb:literal; $($value:ident = $nick:literal, $blurb:literal;)* }
        { $($hidden:tt)* }
    ) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
        #[enum_type(name = $type_name)]
        enum $name {
            #[default]
            #[enum_value(name = $first_blurb, nick = $first_nick)]
            $first,
            $(#[enum_value(name = $blurb, nick = $nick)] $value,)*
        }
    };
}

/// Makes all enumerations, and the way to them from the name of a choice.
macro_rules! enumerations {
    ($($choice:ident as $name:ident, $type_name:literal;)+) => {
        $(with_values!($choice, enumeration, [$name $type_name]);)+

        /// The property of a setting that is one of the values of `choice`.
        pub fn spec(choice: &Choice, setting: &Setting) -> ParamSpec {
            match choice.name {
                $(stringify!($choice) => {
                    let builder = ParamSpecEnum::builder_with_default(setting.name, $name::default());
                    described(builder, setting).build()
                })+
                unknown => unreachable!("{unknown} has no enumeration of GObject's"),
            }
        }

        /// Makes the types show up in the plugin's documentation.
        #[cfg(feature = "doc")]
        pub fn mark_as_plugin_api() {
            $($name::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());)+
        }
    };
}

enumerations! {
    NetworkChoice as Network, "GstNeuralStyleNetwork";
    Normalization as Normalization, "GstNeuralStyleNormalization";
    StyleStatistic as StyleStatistic, "GstNeuralStyleStyleStatistic";
    PoolingChoice as Pooling, "GstNeuralStylePooling";
    OptimizerKind as Optimizer, "GstNeuralStyleOptimizer";
    Init as Init, "GstNeuralStyleInit";
    Mode as Mode, "GstNeuralStyleMode";
    BackendChoice as Backend, "GstNeuralStyleBackend";
}

/// The value of an enumeration that has this name.
pub fn value(enumeration: glib::Type, name: &str) -> Option<Value> {
    EnumClass::with_type(enumeration)?.to_value_by_nick(name)
}

/// The name of a value.
pub fn name(choice: &Choice, value: &Value) -> Option<&'static str> {
    let (_, value) = glib::EnumValue::from_value(value)?;
    choice.value(value.nick()).map(|known| known.name)
}
