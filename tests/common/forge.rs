// SPDX-License-Identifier: MIT OR Apache-2.0

//! Weight files written by hand: what PyTorch no longer writes, and what it never would.
#![allow(dead_code, reason = "each test program uses its part")]

/// Pickle's BINUNICODE.
pub fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        (text.len() as u32).to_le_bytes().as_slice(),
        text.as_bytes(),
    ]
    .concat()
}

/// Python 2's str: SHORT_BINSTRING.
pub fn short_string(text: &str) -> Vec<u8> {
    [b"U", [text.len() as u8].as_slice(), text.as_bytes()].concat()
}

/// LONG1 of eight bytes, which holds any integer we need.
pub fn int(number: i64) -> Vec<u8> {
    [[0x8a, 8].as_slice(), &number.to_le_bytes()].concat()
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".as_slice(), &items.concat(), b"t"].concat()
}

pub fn ints(numbers: &[i64]) -> Vec<u8> {
    tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>())
}

/// A dictionary; keys as text, values as any piece of pickle.
pub fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()].concat())
        .collect();
    [b"}(".as_slice(), &items, b"u"].concat()
}

pub fn storage(class: &str, key: &str, count: i64) -> Vec<u8> {
    let id = tuple(&[
        text("storage"),
        global("torch", class),
        text(key),
        text("cpu"),
        int(count),
    ]);
    [id, b"Q".to_vec()].concat()
}

/// The persistent id of a stream, which has a sixth item.
pub fn stream_storage(key: &str, count: i64, view: Vec<u8>) -> Vec<u8> {
    let id = [
        text("storage"),
        global("torch", "FloatStorage"),
        text(key),
        text("cpu"),
        int(count),
        view,
    ];
    [tuple(&id), b"Q".to_vec()].concat()
}

pub fn tensor(storage: Vec<u8>, first: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let hooks = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    let arguments = tuple(&[storage, int(first), ints(shape), ints(strides), vec![0x89], hooks]);
    [
        global("torch._utils", "_rebuild_tensor_v2"),
        arguments,
        b"R".to_vec(),
    ]
    .concat()
}

/// `_rebuild_tensor`, as of 2017.
pub fn old_tensor(storage: Vec<u8>, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let arguments = tuple(&[storage, int(0), ints(shape), ints(strides)]);
    [
        global("torch._utils", "_rebuild_tensor"),
        arguments,
        b"R".to_vec(),
    ]
    .concat()
}

/// A pickle of protocol 2 with this body.
pub fn pickle(body: &[u8]) -> Vec<u8> {
    [[0x80, 2].as_slice(), body, b"."].concat()
}

pub const MAGIC: [u8; 15] = [
    0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];

/// A stream as `torch.save` wrote it until 1.5, around the pickle of an object.
pub fn stream(object: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    stream_of_machine(object, storages, 0x88)
}

/// The same with NEWTRUE or NEWFALSE for `little_endian`.
pub fn stream_of_machine(object: &[u8], storages: &[(&str, &[f32])], little_endian: u8) -> Vec<u8> {
    let machine = dict(&[
        ("protocol_version", int(1001)),
        ("little_endian", vec![little_endian]),
    ]);
    let keys: Vec<u8> = storages.iter().flat_map(|(key, _)| text(key)).collect();
    let keys = [b"](".as_slice(), &keys, b"e"].concat();
    let mut file = [
        MAGIC.to_vec(),
        pickle(&int(1001)),
        pickle(&machine),
        pickle(object),
        pickle(&keys),
    ]
    .concat();
    for (_, numbers) in storages {
        file.extend((numbers.len() as u64).to_le_bytes());
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    file
}

/// A zip archive with uncompressed entries (and no check sums, which the reader does not use).
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let offset = file.len() as u32;
        let size = (data.len() as u32).to_le_bytes();
        // Version 2.0, no flags, method 0, no time, no check sum; then sizes and the length of the name.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend([size, size].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let start = (file.len() as u32).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count, count].concat());
    file.extend([size, start].concat());
    file.extend([0, 0]);
    file
}

/// An archive as `torch.save` writes it since 1.6, around the pickle of an object, with one storage "0".
pub fn archive(object: &[u8], numbers: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    zip(&[
        ("w/data.pkl", &pickle(object)),
        ("w/byteorder", b"little"),
        ("w/data/0", &data),
    ])
}

pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A safetensors file of two tensors and metadata, by the crate of that format.
pub fn good_safetensors() -> Vec<u8> {
    let floats: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let header = r#"{"__metadata__":{"mean":"1 2 3"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"n":{"dtype":"I64","shape":[],"data_offsets":[28,36]}}"#;
    safetensors(
        header,
        &[floats, vec![0x00, 0x3c, 0x00, 0xc0], vec![7, 0, 0, 0, 0, 0, 0, 0]].concat(),
    )
}

/// The committed fixtures by name, in alphabetical order.
pub fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights");
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "pth"))
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}
