// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that PyTorch and safetensors really write hold the numbers that were put into them.

use std::path::{Path, PathBuf};

use crate::forge::*;

use neuralstyle::gatys::weights::{WeightFile, WeightsError};

fn fixture(name: &str) -> WeightFile {
    WeightFile::open(&path(name)).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/weights")
        .join(name)
}

/// What `make_fixtures.py` puts into a tensor.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 / 4.0 - 1.0).collect()
}

const CONTAINERS: [&str; 2] = ["zip", "legacy"];

#[test]
fn every_float_type_reads_the_same() {
    for container in CONTAINERS {
        let file = fixture(&format!("types_{container}.pth"));
        let names: Vec<&str> = file.names().collect();
        assert_eq!(names, ["bf16", "empty", "f16", "f32", "f64", "i64", "scalar"]);
        for name in ["f16", "bf16", "f32", "f64"] {
            assert_eq!(file.shape(name).unwrap(), [2, 3]);
            assert_eq!(file.read_f32(name).unwrap(), ramp(6), "{name} in {container}");
        }
        assert_eq!(file.read_f32("scalar").unwrap(), [0.5]);
        assert_eq!(file.shape("scalar").unwrap(), [0_usize; 0]);
        assert!(file.read_f32("empty").unwrap().is_empty());
        assert_eq!(file.shape("empty").unwrap(), [0, 3]);
        assert!(file.metadata().is_empty());
    }
}

#[test]
fn an_integer_tensor_is_listed_but_not_read() {
    for container in CONTAINERS {
        let file = fixture(&format!("types_{container}.pth"));
        assert_eq!(file.shape("i64").unwrap(), [3]);
        let error = file.read_f32("i64").unwrap_err();
        assert!(matches!(error, WeightsError::ElementType { .. }));
        let expected = "tensor \"i64\" holds 64 bit integer numbers; weights must be 16, 32 or 64 bit floats";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn views_of_one_storage_are_read_in_their_own_order() {
    for container in CONTAINERS {
        let file = fixture(&format!("views_{container}.pth"));
        let whole = ramp(24);
        assert_eq!(file.read_f32("whole").unwrap(), whole);
        assert_eq!(file.read_f32("row").unwrap(), whole[12..18]);
        let transposed: Vec<f32> = (0..6)
            .flat_map(|x| (0..4).map(move |y| (y * 6 + x) as usize))
            .map(|i| whole[i])
            .collect();
        assert_eq!(file.shape("transposed").unwrap(), [6, 4]);
        assert_eq!(file.read_f32("transposed").unwrap(), transposed);
        let columns: Vec<f32> = (0..4).flat_map(|y| [1, 3].map(|x| whole[y * 6 + x])).collect();
        assert_eq!(file.shape("columns").unwrap(), [4, 2]);
        assert_eq!(file.read_f32("columns").unwrap(), columns);
        assert_eq!(file.read_f32("channels_last").unwrap(), ramp(8));
    }
}

#[test]
fn a_state_dict_is_found_bare_and_in_a_checkpoint() {
    for container in CONTAINERS {
        for kind in ["module", "checkpoint"] {
            let file = fixture(&format!("{kind}_{container}.pth"));
            assert_eq!(file.names().count(), 7);
            assert_eq!(file.shape("features.0.weight").unwrap(), [3, 2, 3, 3]);
            assert_eq!(file.read_f32("features.0.weight").unwrap(), ramp(54));
            assert_eq!(file.read_f32("features.0.bias").unwrap(), ramp(3));
            assert_eq!(file.read_f32("features.1.weight").unwrap(), [1.0; 3]);
        }
    }
}

#[test]
fn parameters_are_tensors() {
    for container in CONTAINERS {
        let file = fixture(&format!("parameters_{container}.pth"));
        assert_eq!(file.read_f32("weight").unwrap(), ramp(4));
        assert_eq!(file.read_f32("frozen").unwrap(), ramp(2));
    }
}

/// The form of torchvision's oldest files: tensors by `_rebuild_tensor` inside parameters that are made empty and
/// then given a state of five, under Python 2's ordered dictionary and byte strings.
#[test]
fn a_file_of_2017_is_read() {
    let id = [
        short_string("storage"),
        global("torch.cuda", "FloatStorage"),
        short_string("42"),
        short_string("cuda:0"),
        int(6),
        vec![b'N'],
    ];
    let weight = old_tensor([tuple(&id), b"Q".to_vec()].concat(), &[2, 3], &[3, 1]);
    let none = vec![b'N'];
    let state = tuple(&[weight, none.clone(), none, vec![0x88], vec![0x89]]);
    let parameter = [
        global("torch.nn.parameter", "Parameter"),
        b")\x81".to_vec(),
        state,
        b"b".to_vec(),
    ]
    .concat();
    let pair = [
        b"](".to_vec(),
        short_string("features.0.weight"),
        parameter,
        b"e".to_vec(),
    ]
    .concat();
    let pairs = [b"](".to_vec(), pair, b"e".to_vec()].concat();
    let object = [
        global("collections", "OrderedDict"),
        tuple(&[pairs]),
        b"R".to_vec(),
    ]
    .concat();
    // Python 2 counted the slots of the memo from 1.
    let object = [object, b"q\x01h\x01q\x02".to_vec()].concat();
    let file = stream(&object, &[("42", &ramp(6))]);
    let file = WeightFile::from_bytes("old.pth", file).unwrap();
    assert_eq!(file.shape("features.0.weight").unwrap(), [2, 3]);
    assert_eq!(file.read_f32("features.0.weight").unwrap(), ramp(6));
}

/// Parameters of late 2017 are called with their tensor and given a state of three.
#[test]
fn a_parameter_made_with_its_tensor_is_that_tensor() {
    let data = old_tensor(stream_storage("1", 2, vec![b'N']), &[2], &[1]);
    let state = tuple(&[vec![0x88], vec![0x89], vec![b'N']]);
    let class = global("torch.nn.parameter", "Parameter");
    let parameter = [class, tuple(&[data]), b"R".to_vec(), state, b"b".to_vec()].concat();
    let file = stream(&dict(&[("w", parameter)]), &[("1", &[0.5, 2.0])]);
    assert_eq!(
        WeightFile::from_bytes("w.pth", file)
            .unwrap()
            .read_f32("w")
            .unwrap(),
        [0.5, 2.0]
    );
}

#[test]
fn a_stream_may_name_a_part_of_a_storage() {
    let view = tuple(&[text("part"), int(2), int(3)]);
    let object = dict(&[("w", tensor(stream_storage("1", 6, view), 1, &[2], &[1]))]);
    let file = WeightFile::from_bytes("w.pth", stream(&object, &[("1", &ramp(6))])).unwrap();
    assert_eq!(file.read_f32("w").unwrap(), ramp(6)[3..5]);
}

#[test]
fn safetensors_are_read_with_their_metadata() {
    let file = WeightFile::from_bytes("w", good_safetensors()).unwrap();
    assert_eq!(file.metadata()["mean"], "1 2 3");
    assert_eq!(file.read_f32("w").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(file.read_f32("b").unwrap(), [1.0, -2.0]);
    assert!(
        file.read_f32("n")
            .unwrap_err()
            .to_string()
            .contains("holds I64 numbers")
    );
}

#[test]
fn the_embedded_network_is_read_where_it_lies() {
    static TINY: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny.safetensors"));
    let file = WeightFile::from_static("tiny", TINY).unwrap();
    let shape = file.shape("features.0.weight").unwrap();
    assert_eq!(shape[1..], [3, 3, 3]);
    assert_eq!(
        file.read_f32("features.0.weight").unwrap().len(),
        shape.iter().product::<usize>()
    );
    assert!(!file.metadata().is_empty());
}

#[test]
fn a_file_on_disk_reads_like_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misleading.jpg");
    std::fs::write(&path, good_safetensors()).unwrap();
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(file.read_f32("b").unwrap(), [1.0, -2.0]);
}

#[test]
fn missing_unreadable_and_unknown_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pth");
    let error = WeightFile::open(&missing).unwrap_err();
    assert!(matches!(error, WeightsError::NotFound { .. }));
    assert_eq!(
        error.to_string(),
        format!("there is no file {}", missing.display())
    );
    let error = WeightFile::open(folder.path()).unwrap_err();
    assert!(matches!(error, WeightsError::Read { .. }));
    assert!(
        error.to_string().ends_with("cannot be read: it is a directory"),
        "{error}"
    );
    let error = fixture("views_zip.pth")
        .read_f32("features.0.weight")
        .unwrap_err();
    assert!(matches!(error, WeightsError::MissingTensor { .. }));
    let expected = "has no tensor named \"features.0.weight\"; it has 5 tensors: channels_last, columns, row, transposed, …";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_network_from_a_file_without_a_file_is_refused_by_the_name_of_the_setting() {
    use neuralstyle::gatys::{Error, Network, NetworkChoice};
    let error = Network::open(NetworkChoice::File, None).err();
    assert!(matches!(error, Some(Error::NoWeights)), "{error:?}");
    assert!(error.unwrap().to_string().contains("`weights`"));
}
