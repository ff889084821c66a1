// SPDX-License-Identifier: MIT OR Apache-2.0

//! A network is the same network under whatever names and in whatever file its weights were saved, and what is no VGG is
//! refused by what it is.

use std::path::PathBuf;

use crate::forge::*;
use crate::random::Random;

use neuralstyle::gatys::weights::WeightFile;
use neuralstyle::gatys::{Network, NetworkChoice};

/// Name, shape and numbers.
type Tensor = (String, Vec<usize>, Vec<f32>);

const TORCHVISION_RED: f32 = 0.485;
const CAFFE_RED: f32 = 123.68 / 255.0;

/// Numbers of this root mean square.
fn numbers(random: &mut Random, count: usize, rms: f64) -> Vec<f32> {
    (0..count)
        .map(|_| ((random.below(2001) as f64 / 1000.0 - 1.0) * rms * 3_f64.sqrt()) as f32)
        .collect()
}

/// A chain of convolutions: layer numbers, channels, and by how much each multiplies the size of what goes through it.
fn chain(layers: &[(usize, usize, f64)]) -> Vec<Tensor> {
    let mut random = Random(11);
    let mut inputs = 3;
    let mut tensors = Vec::new();
    for &(number, outputs, gain) in layers {
        let rms = gain / (9.0 * inputs as f64 / 2.0).sqrt();
        let weights = numbers(&mut random, outputs * inputs * 9, rms);
        tensors.push((
            format!("features.{number}.weight"),
            vec![outputs, inputs, 3, 3],
            weights,
        ));
        tensors.push((
            format!("features.{number}.bias"),
            vec![outputs],
            numbers(&mut random, outputs, 0.1),
        ));
        inputs = outputs;
    }
    tensors
}

fn small() -> Vec<Tensor> {
    chain(&[(0, 4, 1.0), (2, 4, 1.0), (5, 6, 1.0)])
}

fn renamed(tensors: &[Tensor], rename: impl Fn(&str) -> String) -> Vec<Tensor> {
    tensors
        .iter()
        .map(|(name, shape, numbers)| (rename(name), shape.clone(), numbers.clone()))
        .collect()
}

fn as_safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut data = Vec::new();
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, shape, numbers)| {
            let start = data.len();
            data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            let end = data.len();
            format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    safetensors(&format!("{{{}}}", entries.join(",")), &data)
}

/// The pickle of a state dict over the storage "0", and that storage.
fn state_dict(tensors: &[Tensor]) -> (Vec<u8>, Vec<f32>) {
    let mut data = Vec::new();
    let count: usize = tensors.iter().map(|(_, _, numbers)| numbers.len()).sum();
    let items: Vec<(&str, Vec<u8>)> = tensors
        .iter()
        .map(|(name, shape, numbers)| {
            let lengths: Vec<i64> = shape.iter().map(|&length| length as i64).collect();
            let strides: Vec<i64> = (0..shape.len())
                .map(|axis| lengths[axis + 1..].iter().product())
                .collect();
            let storage = storage("FloatStorage", "0", count as i64);
            let item = tensor(storage, data.len() as i64, &lengths, &strides);
            data.extend(numbers);
            (name.as_str(), item)
        })
        .collect();
    (dict(&items), data)
}

fn as_archive(tensors: &[Tensor]) -> Vec<u8> {
    let (object, data) = state_dict(tensors);
    archive(&object, &data)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn network(&self, bytes: &[u8]) -> Network {
        let path = self.write("some.weights", bytes);
        Network::open(NetworkChoice::File, Some(&path)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refusal(&self, bytes: &[u8]) -> String {
        let path = self.write("some.weights", bytes);
        match Network::open(NetworkChoice::File, Some(&path)) {
            Ok(_) => panic!("should be refused"),
            Err(error) => error.to_string(),
        }
    }
}

/// The layers with their weights, which are all that a network is.
fn everything(network: &Network) -> Vec<(Vec<f32>, Vec<f32>)> {
    (0..network.stages().len())
        .filter_map(|stage| network.filter(stage).unwrap())
        .map(|filter| (filter.weights, filter.bias))
        .collect()
}

#[test]
fn wrappers_around_a_network_do_not_matter() {
    let folder = Folder::new();
    let expected = folder.network(&as_safetensors(&small()));
    assert_eq!(expected.stages().len(), 4, "three convolutions and a pooling");
    let number = |name: &str| name.strip_prefix("features.").unwrap().to_owned();
    let names: [&dyn Fn(&str) -> String; 14] = [
        &|name| format!("module.{name}"),
        &|name| format!("features.module.{}", number(name)),
        &|name| format!("module.features.module.{}", number(name)),
        &|name| format!("model.{name}"),
        &|name| format!("module.model.{name}"),
        &|name| format!("_orig_mod.{name}"),
        &|name| format!("module._orig_mod.{name}"),
        &|name| format!("_orig_mod.module.{name}"),
        &|name| format!("backbone.vgg.{name}"),
        &|name| format!("features._orig_mod.{}", number(name)),
        &|name| {
            name.replace(".weight", ".module.weight")
                .replace(".bias", ".module.bias")
        },
        &number,
        &|name| format!("vgg.{}", number(name)),
        &|name| {
            let slice = if number(name).starts_with('5') { 2 } else { 1 };
            format!("net.slice{slice}.{}", number(name))
        },
    ];
    for rename in names {
        let tensors = renamed(&small(), rename);
        for bytes in [as_safetensors(&tensors), as_archive(&tensors)] {
            let network = folder.network(&bytes);
            assert_eq!(network.stages().len(), 4, "{}", tensors[0].0);
            assert!(everything(&network) == everything(&expected), "{}", tensors[0].0);
        }
    }
    let caffe = renamed(&small(), |name| {
        name.replace("features.0", "conv1_1")
            .replace("features.2", "conv1_2")
            .replace("features.5", "conv2_1")
    });
    assert!(everything(&folder.network(&as_archive(&caffe))) == everything(&expected));
}

#[test]
fn a_classifier_or_a_second_network_beside_it_is_left_alone() {
    let folder = Folder::new();
    let expected = everything(&folder.network(&as_safetensors(&small())));
    let mut tensors = small();
    tensors.push(("classifier.0.weight".into(), vec![2, 3], vec![0.5; 6]));
    tensors.push(("decoder.0.weight".into(), vec![3, 6, 3, 3], vec![0.5; 162]));
    assert!(everything(&folder.network(&as_archive(&tensors))) == expected);

    tensors.extend(renamed(&small(), |name| format!("discriminator.{name}")));
    let refusal = folder.refusal(&as_archive(&tensors));
    assert!(
        refusal.contains("several networks that take pictures (discriminator.features, features)"),
        "{refusal}"
    );
}

#[test]
fn a_checkpoint_gives_its_weights() {
    let folder = Folder::new();
    let expected = everything(&folder.network(&as_safetensors(&small())));
    let (weights, data) = state_dict(&renamed(&small(), |name| format!("module.{name}")));
    let accuracy = || tensor(storage("FloatStorage", "0", data.len() as i64), 0, &[], &[]);
    let momentum = || {
        let buffer = tensor(
            storage("FloatStorage", "0", data.len() as i64),
            0,
            &[1, 1, 2, 2],
            &[4, 4, 2, 1],
        );
        let state = [b"}".to_vec(), int(0), dict(&[("exp_avg", buffer)]), b"s".to_vec()].concat();
        dict(&[("state", state)])
    };
    // 2^64 + 5, an integer of nine bytes, and one of 300.
    let seed = [vec![0x8a, 9, 5], vec![0; 7], vec![1]].concat();
    let long = [vec![0x8b], 300_u32.to_le_bytes().to_vec(), vec![1; 300]].concat();
    let numpy = [
        global("numpy.core.multiarray", "scalar"),
        tuple(&[
            [
                global("numpy", "dtype"),
                tuple(&[text("f8"), int(0), int(1)]),
                b"R".to_vec(),
                tuple(&[int(3), text("<")]),
                b"b".to_vec(),
            ]
            .concat(),
            [
                global("_codecs", "encode"),
                tuple(&[text("abc"), text("latin1")]),
                b"R".to_vec(),
            ]
            .concat(),
        ]),
        b"R".to_vec(),
    ]
    .concat();
    let arguments = [
        global("argparse", "Namespace"),
        b")\x81".to_vec(),
        dict(&[("lr", int(1)), ("arch", text("vgg16"))]),
        b"b".to_vec(),
    ]
    .concat();
    for (name, object) in [
        (
            "an accuracy beside the weights",
            dict(&[
                ("epoch", int(90)),
                ("arch", text("vgg16")),
                ("state_dict", weights.clone()),
                ("best_acc1", accuracy()),
                ("optimizer", momentum()),
            ]),
        ),
        (
            "large integers",
            dict(&[
                ("seed", seed),
                ("state_dict", weights.clone()),
                ("other_seed", long),
            ]),
        ),
        (
            "an unusual name beside other tensors",
            dict(&[
                ("best", accuracy()),
                ("vgg", weights.clone()),
                ("criterion", dict(&[("weight", accuracy())])),
            ]),
        ),
        (
            "two levels",
            dict(&[
                ("loss", accuracy()),
                (
                    "model",
                    dict(&[("state_dict", weights.clone()), ("n", accuracy())]),
                ),
            ]),
        ),
        (
            "an average beside them",
            dict(&[
                ("state_dict_ema", weights.clone()),
                ("state_dict", weights.clone()),
            ]),
        ),
        (
            "numbers of NumPy's and arguments",
            dict(&[
                ("best_acc1", numpy),
                ("args", arguments),
                ("state_dict", weights.clone()),
            ]),
        ),
    ] {
        let network = folder.network(&archive(&object, &data));
        assert!(everything(&network) == expected, "{name}");
    }
    let object = dict(&[("a", weights.clone()), ("b", weights.clone())]);
    let refusal = folder.refusal(&archive(&object, &data));
    assert!(refusal.contains("it holds 2 state dicts (a, b, …)"), "{refusal}");
}

#[test]
fn batch_normalisation_is_named_with_what_would_work() {
    let folder = Folder::new();
    let convolutions = chain(&[(0, 4, 1.0), (3, 4, 1.0), (7, 6, 1.0)]);
    let scales = |number: usize| (format!("features.{number}.weight"), vec![4], vec![1.0; 4]);
    let mean = ("features.1.running_mean".to_owned(), vec![4], vec![0.0; 4]);
    let with = |more: &[Tensor]| [convolutions.clone(), more.to_vec()].concat();
    for tensors in [
        with(&[scales(1), scales(4), mean.clone()]),
        with(&[scales(1), scales(4)]),
        with(&[]),
        renamed(&with(&[scales(1), mean]), |name| {
            format!("module.{name}").replace("features.", "features.module.")
        }),
    ] {
        for bytes in [as_safetensors(&tensors), as_archive(&tensors)] {
            let refusal = folder.refusal(&bytes);
            assert!(
                refusal.contains("some.weights")
                    && refusal.contains("batch normalisation")
                    && refusal.contains("vgg16 and vgg19 work"),
                "{refusal}"
            );
        }
    }
}

#[test]
fn other_networks_are_refused_by_what_they_are() {
    let folder = Folder::new();
    let one = |name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        as_safetensors(&[(name.to_owned(), shape.to_vec(), vec![0.1; count])])
    };
    for (bytes, expected) in [
        (one("layer1.0.conv1.weight", &[2, 2, 3, 3]), "ResNet"),
        (one("features.0.0.weight", &[2, 3, 3, 3]), "MobileNet"),
        (
            one("features.0.weight", &[2, 3, 11, 11]),
            "[2, 3, 11, 11], not [outputs, inputs, 3, 3]",
        ),
        (
            one("features.0.weight", &[2, 3, 3, 3]),
            "no tensor features.0.bias",
        ),
        (
            one("encoder.weight", &[2, 3, 3, 3]),
            "no tensor features.0.weight",
        ),
        (
            as_safetensors(&chain(&[(0, 4, 1.0), (5, 4, 1.0)])),
            "features.5 does not follow features.0",
        ),
    ] {
        let refusal = folder.refusal(&bytes);
        assert!(refusal.contains(expected), "{refusal}");
    }
}

/// The embedded VGG-16 in full numbers, without what its metadata say.
fn oxford() -> Vec<Tensor> {
    static VGG16: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/vgg16.safetensors"));
    let file = WeightFile::from_static("vgg16", VGG16).unwrap();
    file.names()
        .map(|name| {
            let shape = file.shape(name).unwrap().to_vec();
            (name.to_owned(), shape, file.read_f32(name).unwrap())
        })
        .collect()
}

#[test]
fn oxfords_network_is_recognised_by_its_weights() {
    let folder = Folder::new();
    let embedded = Network::open(NetworkChoice::Vgg16, None).unwrap();
    for bytes in [as_safetensors(&oxford()), as_archive(&oxford())] {
        let network = folder.network(&bytes);
        assert_eq!(network.mean(), embedded.mean());
        assert!(everything(&network) == everything(&embedded));
    }
}

#[test]
fn oxfords_network_is_recognised_with_its_colours_in_the_other_order() {
    let folder = Folder::new();
    let embedded = Network::open(NetworkChoice::Vgg16, None).unwrap();
    let mut tensors = oxford();
    for (name, _, weights) in &mut tensors {
        if name == "features.0.weight" {
            for filter in weights.chunks_exact_mut(27) {
                let (blue, rest) = filter.split_at_mut(9);
                blue.swap_with_slice(&mut rest[9..]);
            }
        }
    }
    let network = folder.network(&as_archive(&tensors));
    assert_eq!(network.mean(), embedded.mean());
    assert!(everything(&network) == everything(&embedded));
}

/// The first ten convolutions of a VGG-19, narrow ones, whose layers multiply the size of what goes through them by these
/// gains.
fn vgg19(first: f64, others: [f64; 9]) -> Vec<Tensor> {
    let numbers = [2, 5, 7, 10, 12, 14, 16, 19, 21];
    let mut layers = vec![(0, 8, first)];
    layers.extend(
        numbers
            .into_iter()
            .zip(others)
            .map(|(number, gain)| (number, 8, gain)),
    );
    chain(&layers)
}

#[test]
fn a_network_whose_layers_are_weak_together_takes_large_numbers() {
    let folder = Folder::new();
    let red = |tensors: &[Tensor]| folder.network(&as_archive(tensors)).mean()[0];
    // Oxford's gains.
    let weak = [0.73, 0.55, 0.57, 0.42, 0.42, 0.43, 0.38, 0.34, 0.37];
    assert_eq!(red(&vgg19(0.76, weak)), CAFFE_RED);
    // Those of torchvision, trained and not.
    let strong = [0.93, 0.85, 0.6, 0.96, 1.0, 0.75, 0.75, 0.68, 0.67];
    assert_eq!(red(&vgg19(1.1, strong)), TORCHVISION_RED);
    let drawn = [1.0, 0.7, 1.0, 0.7, 1.0, 1.0, 1.0, 0.7, 1.0];
    assert_eq!(red(&vgg19(0.22, drawn)), TORCHVISION_RED);
    assert_eq!(red(&vgg19(0.41, [0.41; 9])), TORCHVISION_RED);
    // Somebody has moved the factor from one place to the other.
    assert_eq!(red(&vgg19(1.1 / 57.0, strong)), CAFFE_RED);
    assert_eq!(red(&vgg19(0.76 * 57.0, weak)), TORCHVISION_RED);
}
