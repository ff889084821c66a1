// SPDX-License-Identifier: MIT OR Apache-2.0

//! The convolutions of a weight file in their order, found by the names of its tensors.
//!
//! | names                                                    | written by                                    |
//! | -------------------------------------------------------- | --------------------------------------------- |
//! | `features.N.weight`                                      | torchvision and timm                          |
//! | `A.features.N.weight`                                    | a network inside another one                  |
//! | `module.…`, `features.module.N.weight`, `_orig_mod.…`, … | wrappers that train on several GPUs or compile |
//! | `N.weight`, `A.N.weight`, `slice1.N.weight`              | the convolutions alone, or in slices          |
//! | `conv1_1.weight`                                         | conversions that keep Caffe's names           |

use std::collections::{BTreeMap, BTreeSet};

use super::weights::{WeightFile, printable};

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A convolution and its ReLU.
    Conv {
        /// `relu1_1`, …: the name by which its output is called.
        name: String,
        /// The prefix of its tensors in the file, `features.0`.
        tensor: String,
        inputs: usize,
        outputs: usize,
    },
    Pool,
}

/// Modules that hold another one and do nothing to it. Their names may stand anywhere in that of a tensor.
const WRAPPERS: [&str; 6] = [
    "module",
    "_module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
];

/// What every refusal ends with.
const WHAT_WORKS: &str = "torchvision's vgg16 and vgg19 work, as .pth or .safetensors";

/// Where a convolution stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Its number among all layers, of which ReLU and pooling are some.
    Layer(usize),
    /// Block and index, counted from 1.
    Block(usize, usize),
}

/// The tensors of one module of the file, without their `.weight`.
type Group<'a> = BTreeMap<Place, &'a str>;

/// The convolutions of the file with the poolings between them. The error says why the file has no such chain.
pub(super) fn stages(file: &WeightFile) -> Result<Vec<Stage>, String> {
    vgg(file).map_err(|reason| match other_network(file) {
        Some(kind) => format!("it looks like {kind}: {reason}"),
        None => reason,
    })
}

fn vgg(file: &WeightFile) -> Result<Vec<Stage>, String> {
    let (prefix, convolutions) = network(file)?;
    refuse_normalisation(file, &prefix, &convolutions)?;
    let mut stages = Vec::new();
    let (mut block, mut index) = (1, 0);
    let mut last: Option<(Place, &str, usize)> = None;
    for (place, tensor) in convolutions {
        let (inputs, outputs) = convolution_shape(file, tensor)?;
        if let Some((before, tensor_before, channels)) = last {
            match is_pooling_between(before, place) {
                Some(false) => {}
                Some(true) => {
                    stages.push(Stage::Pool);
                    (block, index) = (block + 1, 0);
                }
                None => {
                    return Err(format!(
                        "{} does not follow {}: layers are missing, or are not those of a VGG; {WHAT_WORKS}",
                        printable(tensor),
                        printable(tensor_before)
                    ));
                }
            }
            if inputs != channels {
                return Err(format!(
                    "{}.weight takes {inputs} channels, but the layer before gives {channels}",
                    printable(tensor)
                ));
            }
        } else if inputs != 3 {
            return Err(format!(
                "{}.weight takes {inputs} channels instead of red, green and blue",
                printable(tensor)
            ));
        }
        index += 1;
        last = Some((place, tensor, outputs));
        stages.push(Stage::Conv {
            name: format!("relu{block}_{index}"),
            tensor: tensor.to_owned(),
            inputs,
            outputs,
        });
    }
    Ok(stages)
}

/// Whether there is a pooling between two convolutions that follow each other; `None` if they cannot.
fn is_pooling_between(before: Place, place: Place) -> Option<bool> {
    match (before, place) {
        (Place::Layer(before), Place::Layer(number)) => match number - before {
            2 => Some(false),
            3 => Some(true),
            _ => None,
        },
        (Place::Block(block, before), Place::Block(same, index)) if same == block && index == before + 1 => {
            Some(false)
        }
        (Place::Block(before, _), Place::Block(block, 1)) if block == before + 1 => Some(true),
        _ => None,
    }
}

/// The module that is the feature network, by the beginning of its tensors' names, and its layers with weights. The
/// layers of any other module (a classifier, a second network) are left out.
fn network(file: &WeightFile) -> Result<(String, Group<'_>), String> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    // Slices that are numbered each from 0 are no chain, and neither are two networks of which one is wrapped.
    let mut ambiguous = BTreeSet::new();
    for name in file.names() {
        if let Some(tensor) = name.strip_suffix(".weight")
            && let Some((prefix, place)) = place(tensor)
            && groups
                .entry(prefix.clone())
                .or_default()
                .insert(place, tensor)
                .is_some()
        {
            ambiguous.insert(prefix);
        }
    }
    groups.retain(|prefix, _| !ambiguous.contains(prefix));
    let begins = |group: &Group| {
        let first = group.first_key_value();
        first.is_some_and(|(place, _)| matches!(place, Place::Layer(0) | Place::Block(1, 1)))
    };
    // A picture's three channels go in at the beginning of a network, and nowhere else.
    let takes_pictures = |group: &Group| {
        begins(group)
            && group.first_key_value().is_some_and(|(_, tensor)| {
                matches!(file.shape(&format!("{tensor}.weight")), Some([_, 3, _, _]))
            })
    };
    let is_features = |prefix: &str| prefix == "features" || prefix.ends_with(".features");
    let named: Vec<&String> = groups
        .iter()
        .filter(|(prefix, group)| is_features(prefix) && begins(group))
        .map(|(prefix, _)| prefix)
        .collect();
    let taking: Vec<&String> = groups
        .iter()
        .filter(|(prefix, group)| (named.is_empty() || is_features(prefix)) && takes_pictures(group))
        .map(|(prefix, _)| prefix)
        .collect();
    let prefix = match (taking.as_slice(), named.as_slice()) {
        ([only], _) | ([], [only]) => (*only).clone(),
        ([], _) => {
            return Err(format!("it has no tensor features.0.weight; {WHAT_WORKS}"));
        }
        (several, _) => {
            let several: Vec<String> = several.iter().take(4).map(|prefix| printable(prefix)).collect();
            return Err(format!(
                "it has several networks that take pictures ({}); save the one that is meant by itself",
                several.join(", ")
            ));
        }
    };
    let group = groups.remove(&prefix).unwrap_or_default();
    Ok((prefix, group))
}

/// The module that a tensor belongs to and its place there, if it is named by its place.
fn place(tensor: &str) -> Option<(String, Place)> {
    let mut path: Vec<&str> = tensor
        .split('.')
        .filter(|part| !WRAPPERS.contains(part))
        .collect();
    let last = path.pop()?;
    let place = if let Some((block, index)) = last.strip_prefix("conv").and_then(|rest| rest.split_once('_'))
    {
        Place::Block(block.parse().ok()?, index.parse().ok()?)
    } else {
        // Slices share one numbering.
        if let Some(module) = path.last_mut() {
            *module = module.trim_end_matches(|digit: char| digit.is_ascii_digit());
        }
        Place::Layer(last.parse().ok()?)
    };
    Some((path.join("."), place))
}

/// A VGG with batch normalisation has layers between each convolution and its ReLU, which are not carried out here.
fn refuse_normalisation(file: &WeightFile, prefix: &str, layers: &Group) -> Result<(), String> {
    let statistics = file.names().find(|name| {
        let module = name
            .strip_suffix(".running_mean")
            .or(name.strip_suffix(".running_var"));
        module.and_then(place).is_some_and(|(found, _)| found == prefix)
    });
    // The statistics may have been left out; the scales of a normalisation are weights of one axis.
    let scales = layers
        .values()
        .map(|tensor| format!("{tensor}.weight"))
        .find(|name| file.shape(name).is_some_and(|shape| shape.len() == 1));
    let numbers: Vec<usize> = layers
        .keys()
        .filter_map(|place| match place {
            Place::Layer(number) => Some(*number),
            Place::Block(..) => None,
        })
        .collect();
    let found = match (statistics, scales) {
        (Some(name), _) => printable(name),
        (None, Some(name)) => printable(&name),
        // With batch normalisation three layers lie between convolutions, and four across a pooling.
        (None, None) if numbers.len() > 2 && numbers[..3] == [0, 3, 7] => {
            "its convolutions are 0, 3, 7, …".to_owned()
        }
        (None, None) => return Ok(()),
    };
    Err(format!(
        "it has batch normalisation ({found}), as vgg16_bn and vgg19_bn do, and those layers are not carried out here; \
         take the network without it: {WHAT_WORKS}"
    ))
}

/// What network this is instead, when its names tell.
fn other_network(file: &WeightFile) -> Option<&'static str> {
    let has = |part: &str| file.names().any(|name| name.contains(part));
    if has("layer1.0.conv1") {
        Some("a ResNet")
    } else if has("features.conv0") || has("denseblock1") {
        Some("a DenseNet")
    } else if has("Mixed_5b") || has("inception") {
        Some("an Inception")
    } else if has("squeeze.weight") {
        Some("a SqueezeNet")
    } else if has("features.0.0.") {
        Some("a MobileNet or an EfficientNet")
    } else if has("attn.") || has("self_attn") || has("attention") {
        Some("a transformer")
    } else {
        None
    }
}

/// Inputs and outputs of a 3×3 convolution, its bias checked too.
fn convolution_shape(file: &WeightFile, tensor: &str) -> Result<(usize, usize), String> {
    /// More channels than any VGG has, so that a hostile file cannot ask for all memory.
    const MOST_CHANNELS: usize = 4096;
    let weight = file.shape(&format!("{tensor}.weight")).unwrap_or_default();
    let bias = file.shape(&format!("{tensor}.bias"));
    let tensor = printable(tensor);
    let &[outputs, inputs, 3, 3] = weight else {
        return Err(format!(
            "{tensor}.weight has shape {weight:?}, not [outputs, inputs, 3, 3]; {WHAT_WORKS}"
        ));
    };
    if !(1..=MOST_CHANNELS).contains(&outputs) || !(1..=MOST_CHANNELS).contains(&inputs) {
        return Err(format!(
            "{tensor}.weight has shape {weight:?}, more or fewer channels than any VGG"
        ));
    }
    match bias {
        Some(&[biases]) if biases == outputs => Ok((inputs, outputs)),
        Some(other) => Err(format!("{tensor}.bias has shape {other:?}, not [{outputs}]")),
        None => Err(format!("it has no tensor {tensor}.bias")),
    }
}
