// SPDX-License-Identifier: MIT OR Apache-2.0

//! No file, however broken or malicious, does more than get an error: no panic, no large allocation, no long wait.

use crate::random::Random;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::forge::*;
use neuralstyle::gatys::weights::{WeightFile, WeightsError};

/// The system's allocator, counting what each thread holds and the most it ever held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counters are plain cells without
// destructors, so that touching them allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that were allocated at most at one time while `work` ran.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

/// What opening and reading a file may take: a multiple of its length, for an index is larger than what it is read
/// from, and something for messages.
fn allowance(file_bytes: usize) -> usize {
    (64 << 10) + 200 * file_bytes
}

fn open(file: Vec<u8>) -> Result<WeightFile, WeightsError> {
    WeightFile::from_bytes("w", file)
}

/// Opens the file and reads everything in it; the number of tensors that could be read.
fn read_all(file: Vec<u8>) -> Result<usize, WeightsError> {
    let file = open(file)?;
    let mut read = 0;
    for name in file.names() {
        if let Ok(numbers) = file.read_f32(name) {
            assert_eq!(numbers.len(), file.shape(name).unwrap().iter().product::<usize>());
            read += 1;
        }
    }
    Ok(read)
}

fn refusal(file: Vec<u8>) -> String {
    let ((result, length), peak) = peak_of(|| (open(file.clone()).map(|_| ()), file.len()));
    assert!(
        peak <= allowance(length),
        "{peak} bytes allocated for a file of {length}"
    );
    result.expect_err("should be refused").to_string()
}

#[track_caller]
fn assert_refused(file: Vec<u8>, expected: &str) {
    let message = refusal(file);
    assert!(
        message.contains(expected),
        "expected \"{expected}\" in \"{message}\""
    );
}

/// A state dict's body of one tensor "w" over storage "0".
fn one_tensor(count: i64, first: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    dict(&[(
        "w",
        tensor(storage("FloatStorage", "0", count), first, shape, strides),
    )])
}

fn good_archive() -> Vec<u8> {
    archive(&one_tensor(4, 0, &[2, 2], &[2, 1]), &[1.0, 2.0, 3.0, 4.0])
}

fn good_stream() -> Vec<u8> {
    let object = dict(&[(
        "w",
        tensor(stream_storage("0", 4, vec![b'N']), 0, &[2, 2], &[2, 1]),
    )]);
    stream(&object, &[("0", &[1.0, 2.0, 3.0, 4.0])])
}

#[test]
fn a_file_cut_anywhere_is_refused_as_incomplete() {
    let mut files = fixtures();
    files.push(("good.safetensors".into(), good_safetensors()));
    files.push(("good_archive.pth".into(), good_archive()));
    files.push(("good_stream.pth".into(), good_stream()));
    for (name, file) in files {
        for length in 0..file.len() {
            let error = open(file[..length].to_vec()).map(|_| ()).unwrap_err();
            let is_told = match &error {
                WeightsError::Truncated { expected, found, .. } => {
                    *found == length as u64 && *expected > *found && *expected <= file.len() as u64
                }
                WeightsError::EndMissing { found, .. } => *found == length as u64,
                WeightsError::Unrecognised { .. } => length < 10,
                _ => false,
            };
            assert!(is_told, "{name} cut to {length} bytes: {error}");
        }
    }
}

#[test]
fn a_cut_file_says_how_much_of_it_is_there() {
    let cut = |mut file: Vec<u8>, bytes: usize| {
        file.truncate(file.len() - bytes);
        file
    };
    let stream = good_stream();
    let whole = stream.len();
    let expected = format!(
        "w is cut short: storage \"0\" should reach to byte {whole}, but only {} bytes are there; fetch the file again",
        whole - 3
    );
    assert_eq!(refusal(cut(stream, 3)), expected);
    let tensors = good_safetensors();
    let whole = tensors.len();
    let expected = format!(
        "the last of its tensors should reach to byte {whole}, but only {} bytes",
        whole - 1
    );
    assert_refused(cut(tensors, 1), &expected);
    assert_refused(
        cut(good_archive(), 1),
        "the directory that ends every zip archive is missing",
    );
}

#[test]
fn shapes_that_contradict_the_data_are_refused() {
    let header = |shape: &str, end: usize| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    assert_refused(
        safetensors(&header("[2,2]", 12), &[0; 12]),
        "invalid shape, data type, or offset",
    );
    assert_refused(
        safetensors(&header("[4294967296,4294967296]", 16), &[0; 16]),
        "overflow",
    );
    assert_refused(
        safetensors(&header("[-1]", 4), &[0; 4]),
        "its safetensors header is wrong",
    );
    assert_refused(
        safetensors(&header("[1]", 4), &[0; 5]),
        "1 bytes follow the last of its tensors",
    );
    let archive_of = |count, first, shape: &[i64], strides: &[i64]| {
        archive(&one_tensor(count, first, shape, strides), &[1.0; 4])
    };
    assert_refused(
        archive_of(4, 0, &[3, 2], &[2, 1]),
        "has 6 elements, but its storage holds 4",
    );
    assert_refused(
        archive_of(4, 1, &[2, 2], &[2, 1]),
        "leaves its storage of 4 elements",
    );
    assert_refused(
        archive_of(4, 0, &[2, 2], &[3, 1]),
        "leaves its storage of 4 elements",
    );
    assert_refused(archive_of(4, 0, &[2, 2], &[2]), "has 1 strides");
    assert_refused(archive_of(4, 0, &[-1], &[1]), "not at most 16 natural numbers");
    assert_refused(
        archive_of(4, 0, &[1; 17], &[1; 17]),
        "not at most 16 natural numbers",
    );
    assert_refused(archive_of(4, -1, &[1], &[1]), "begins at no valid element");
}

#[test]
fn huge_counts_are_refused_without_an_allocation() {
    let most = i64::MAX;
    let archive_of = |count, first, shape: &[i64], strides: &[i64]| {
        archive(&one_tensor(count, first, shape, strides), &[1.0; 4])
    };
    assert_refused(
        archive_of(most, 0, &[most], &[1]),
        "too few for 9223372036854775807 numbers",
    );
    assert_refused(
        archive_of(4, 0, &[most, most], &[1, 1]),
        "more elements than can be counted",
    );
    assert_refused(archive_of(4, most, &[1], &[1]), "leaves its storage");
    assert_refused(archive_of(4, 0, &[2, 1], &[most, most]), "leaves its storage");
    let object = one_tensor(1 << 40, 0, &[1], &[1]);
    let mut file = stream(&object, &[]);
    let keys = [b"](".to_vec(), text("0"), b"e".to_vec()].concat();
    file.truncate(file.len() - pickle(b"](e").len());
    file.extend(pickle(&keys));
    file.extend((1_u64 << 40).to_le_bytes());
    assert_refused(file.clone(), "storage \"0\" should reach to byte 43980465");
    let end = file.len();
    file[end - 8..].fill(0xff);
    assert_refused(
        file,
        "counts 18446744073709551615 elements, but is described as 1099511627776",
    );
    for opcode in [b"X", b"T"] {
        let body = [opcode.as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert_refused(archive(&body, &[]), "has a text of 4294967295 bytes");
    }
    assert_refused(archive(&[0x8a, 255], &[]), "should reach to byte 259");
    assert_refused(
        archive(&[0x8b, 0xff, 0xff, 0xff, 0xff], &[]),
        "should reach to byte 4294967302",
    );
    assert_refused(
        archive(b"Nr\xff\xff\xff\xff", &[]),
        "fills memo slot 4294967295 out of order",
    );
    assert_refused(
        archive(b"j\xff\xff\xff\xff", &[]),
        "asks for the empty memo slot 4294967295",
    );
    let mut header = (99_999_999_u64).to_le_bytes().to_vec();
    header.extend(b"{}");
    assert_refused(
        header,
        "the header should reach to byte 100000007, but only 10 bytes are there",
    );
    let offsets =
        r#"{"w":{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,1152921504606846976]}}"#;
    assert_refused(
        safetensors(offsets, &[]),
        "the last of its tensors should reach to byte 11529215046068470",
    );
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name_and_place() {
    let read = |name: &str| {
        let (_, file) = fixtures()
            .into_iter()
            .find(|(fixture, _)| fixture == name)
            .unwrap();
        open(file).unwrap().read_f32("w").unwrap_err().to_string()
    };
    assert!(read("not_a_number_zip.pth").starts_with("w: tensor \"w\" holds NaN at element 2 (row-major)"));
    assert!(read("infinite_zip.pth").starts_with("w: tensor \"w\" holds inf at element 1 (row-major)"));
}

#[test]
fn names_that_could_run_something_are_refused() {
    let call = [global("os", "system"), tuple(&[text("true")]), b"R".to_vec()].concat();
    let expected = "the name os.system at byte 2 of data.pkl is none that a PyTorch state dict needs";
    assert_refused(archive(&call, &[]), expected);
    assert_refused(
        stream(&call, &[]),
        "the name os.system at byte 2 of the pickled object",
    );
    for (module, name) in [
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("collections", "defaultdict"),
        ("torch._utils", "_import_dotted_name"),
    ] {
        assert_refused(
            archive(&global(module, name), &[]),
            &format!("the name {module}.{name} at byte 2"),
        );
    }
}

#[test]
fn instructions_that_a_state_dict_does_not_need_are_refused_by_name() {
    for (opcode, name) in [
        (0x93, "STACK_GLOBAL"),
        (b'i', "INST"),
        (b'o', "OBJ"),
        (0x82, "EXT1"),
        (b'P', "PERSID"),
        (0x92, "NEWOBJ_EX"),
        (0x8c, "SHORT_BINUNICODE"),
        (b'0', "POP"),
        (0xfe, "of no name"),
    ] {
        let expected = format!("the instruction {opcode:#04x} ({name}) at byte 3 of data.pkl does not occur");
        assert_refused(archive(&[b'N', opcode], &[]), &expected);
    }
    assert_refused(
        archive(&[0x80, 4], &[]),
        "data.pkl is written in pickle protocol 4; only 2 is read",
    );
}

#[test]
fn any_instruction_at_any_time_is_survived() {
    let stacks: [&[u8]; 7] = [b"", b"N", b"(", b"}", b"]", b")", b"}N)"];
    for stack in stacks {
        for opcode in 0..=u8::MAX {
            for tail in [
                b"".as_slice(),
                b"\0\0\0\0\0\0\0\0",
                b"\xff\xff\xff\xff\xff\xff\xff\xff",
                b"((((((((",
            ] {
                refusal(archive(&[stack, &[opcode], tail].concat(), &[]));
            }
        }
    }
}

#[test]
fn instructions_in_the_wrong_place_are_explained() {
    for (body, expected) in [
        (
            b"".as_slice(),
            "the instruction 0x2e at byte 2 of data.pkl needs a value that is not there",
        ),
        (b"N(t", "it holds no dictionary of tensors"),
        (b"t", "needs a mark that is not there"),
        (b"(", "needs a value that is not there"),
        (b"}(Nu", "has a key without a value"),
        (b")NNs", "sets items of what is not a dictionary"),
        (b"}Na", "appends to what is not a list"),
        (b"N)R", "calls what cannot be called"),
        (b"NNR", "needs a short tuple that is not there"),
        (b")Q", "refers to a storage in an unknown way"),
        (b")Nb", "gives a state to what has none"),
        (b"cabc", "data.pkl should reach to byte"),
        (b"X\x01\0\0\0\xff", "has a text that is not UTF-8"),
    ] {
        assert_refused(archive(body, &[]), expected);
    }
    let module = [tuple(&[text("module"), text("Net")]), b"Q".to_vec()].concat();
    assert_refused(
        archive(&module, &[]),
        "refers to a module instead of a storage, so the file holds a whole model",
    );
    let view = tuple(&[text("part"), int(3), int(2)]);
    let object = dict(&[("w", tensor(stream_storage("0", 4, view), 0, &[1], &[1]))]);
    assert_refused(
        stream(&object, &[("0", &[0.0; 4])]),
        "views a part that its storage of 4 elements does not have",
    );
}

#[test]
fn nesting_and_repetition_cost_no_more_than_their_bytes() {
    assert_refused(archive(&vec![b'('; 1000], &[]), "nests more than 64 deep");
    assert_refused(
        archive(&vec![b'N'; 100_000], &[]),
        "stacks more than 16384 values",
    );
    assert_refused(
        archive(&b"N)\x85".repeat(100_000), &[]),
        "stacks more than 16384 values",
    );
    assert_refused(
        archive(&[b"]".as_slice(), &b"]a".repeat(300_000)].concat(), &[]),
        "more than 524288 instructions",
    );

    // Sixty tuples, of which the first has all the values and no other should keep room for as many.
    let tuples = [b"(".repeat(60), b"N".repeat(16_000), b"t".repeat(60)].concat();
    assert_refused(archive(&tuples, &[]), "it holds no dictionary of tensors");

    // A dictionary that contains itself, and forty levels of dictionaries that contain the next level twice.
    let own = [b"}q\0".to_vec(), text("self"), b"h\0s".to_vec()].concat();
    assert_refused(archive(&own, &[]), "it holds no dictionary of tensors");
    let mut twice = b"}q\0".to_vec();
    for level in 1_u8..40 {
        let inner = [b'h', level - 1];
        twice = [
            twice,
            b"}(".to_vec(),
            text("a"),
            inner.to_vec(),
            text("b"),
            inner.to_vec(),
            b"uq".to_vec(),
        ]
        .concat();
        twice.push(level);
    }
    assert_refused(archive(&twice, &[]), "it holds no dictionary of tensors");

    // One list of pairs that is made into an OrderedDict again and again.
    let mut body = global("collections", "OrderedDict");
    body.extend(b"q\0]q\x01(NN\x86q\x02");
    body.extend(b"h\x02".repeat(10_000));
    body.extend(b"e\x85q\x03");
    body.extend(b"}(");
    body.extend(b"Nh\0h\x03R".repeat(1000));
    assert_refused(archive(&body, &[]), "copies too much");
}

#[test]
fn other_things_that_torch_saves_are_named() {
    for (name, expected) in [
        (
            "whole_module_zip.pth",
            "the name torch.nn.modules.linear.Linear at byte",
        ),
        (
            "two_models_zip.pth",
            "it holds 2 state dicts (generator, discriminator, …)",
        ),
        ("script_zip.pth", "it is a TorchScript program"),
        ("expanded_zip.pth", "has 1000 elements, but its storage holds 1"),
    ] {
        let (_, file) = fixtures()
            .into_iter()
            .find(|(fixture, _)| fixture == name)
            .unwrap();
        assert_refused(file, expected);
    }
    assert_refused(
        archive(&tensor(storage("FloatStorage", "0", 1), 0, &[1], &[1]), &[1.0]),
        "holds a single tensor",
    );
    assert_refused(
        stream_of_machine(&dict(&[]), &[], 0x89),
        "its numbers are in big-endian order",
    );
    let object = pickle(&one_tensor(1, 0, &[1], &[1]));
    let big = zip(&[
        ("w/data.pkl", &object),
        ("w/byteorder", b"big"),
        ("w/data/0", &[0; 4]),
    ]);
    assert_refused(big, "its numbers are not in little-endian order");
    assert_refused(zip(&[("w/data.pkl", &object)]), "its entry w/data/0 is missing");
    assert_refused(
        zip(&[("a.npy", b"")]),
        "it is a zip archive, but without the data.pkl",
    );
    assert_refused(
        zip(&[("w/data.pkl", &object), ("w/data.pkl", &object)]),
        "its entry w/data.pkl is there twice",
    );
    let mut packed = zip(&[("w/data.pkl", &object)]);
    let record = packed.windows(4).rposition(|mark| mark == b"PK\x01\x02").unwrap();
    packed[record + 10] = 8;
    assert_refused(packed, "its entry w/data.pkl is compressed or encrypted");
}

const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

fn mutate(random: &mut Random, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = files[random.below(files.len())].1.clone();
    for _ in 0..1 + random.below(3) {
        let at = random.below(file.len());
        let length = random.below(1 + (file.len() - at).min(64));
        match random.below(8) {
            0 | 1 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            2 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            3 => {
                let number = NUMBERS[random.below(NUMBERS.len())]
                    .wrapping_sub(random.below(2) as u64)
                    .to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)];
                for (byte, new) in file.iter_mut().skip(at).zip(&number[..width]) {
                    *byte = *new;
                }
            }
            4 => file.truncate(file.len() - length),
            5 => {
                file.drain(at..at + length);
            }
            6 => {
                let copy = file[at..at + length].to_vec();
                let to = random.below(file.len());
                file.splice(to..to, copy);
            }
            _ => {
                let other = &files[random.below(files.len())].1;
                let from = random.below(other.len());
                let piece = other[from..].iter().take(1 + length).copied();
                file.splice(at..at + length, piece.collect::<Vec<_>>());
            }
        }
    }
    file
}

#[test]
fn three_hundred_thousand_damaged_files_do_no_harm() {
    const SEED: u64 = 20_150_826;
    const FILES: usize = 300_000;
    println!("seed {SEED}, {FILES} files");
    let mut files = fixtures();
    files.push(("good.safetensors".into(), good_safetensors()));
    files.push(("good_archive.pth".into(), good_archive()));
    files.push(("good_stream.pth".into(), good_stream()));
    let (mut opened, mut tensors, mut worst) = (0, 0, 0);
    for number in 0..FILES {
        let mut random = Random(SEED.wrapping_add(number as u64));
        let file = mutate(&mut random, &files);
        let length = file.len();
        let caught = std::panic::catch_unwind(|| peak_of(|| read_all(file)));
        let (result, peak) = caught.unwrap_or_else(|_| panic!("file {number} of seed {SEED} panicked"));
        assert!(
            peak <= allowance(length),
            "file {number} of seed {SEED}: {peak} bytes for a file of {length}"
        );
        worst = worst.max(peak);
        if let Ok(read) = result {
            opened += 1;
            tensors += read;
        }
    }
    println!("{opened} files opened, {tensors} tensors read, at most {worst} bytes allocated");
    // Were everything refused at the door, the reader behind it would not have been tested.
    assert!(opened > FILES / 50, "only {opened} of {FILES} files opened");
    assert!(opened < FILES * 49 / 50, "{opened} of {FILES} files opened");
}
