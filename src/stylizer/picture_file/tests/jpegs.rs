// SPDX-License-Identifier: MIT OR Apache-2.0

//! JPEGs are read if all of the picture is there, whatever else the file has or lacks.

use super::*;

const EOI: [u8; 2] = [0xff, 0xd9];

/// Kinds that `image` does not write, and one that it does.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let fixture = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
        fs::read(folder.join(name)).unwrap()
    };
    let mut baseline = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut baseline, 80);
    noise(60, 44).write_with_encoder(encoder).unwrap();
    vec![
        ("baseline", baseline),
        ("progressive", fixture("progressive.jpg")),
        ("restarts", fixture("restarts.jpg")),
        ("progressive restarts", fixture("progressive_restarts.jpg")),
        ("grey progressive", fixture("grey_progressive.jpg")),
        ("inks", fixture("cyan.jpg")),
    ]
}

fn open(folder: &Folder, bytes: &[u8]) -> Result<Frame, String> {
    load(&folder.write("picture.jpg", bytes)).map_err(|error| error.to_string())
}

/// The file with a segment of this marker behind its first one.
fn with_segment(file: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xff, marker], &length, content, &file[2..]].concat()
}

#[test]
fn an_end_that_is_not_marked_is_an_end() {
    let folder = Folder::new();
    for (kind, whole) in kinds() {
        let picture = open(&folder, &whole).unwrap();
        let unmarked = whole.strip_suffix(&EOI).unwrap();
        assert!(open(&folder, unmarked).unwrap() == picture, "{kind}");
    }
}

#[test]
fn what_follows_the_picture_does_not_matter() {
    let folder = Folder::new();
    for (kind, whole) in kinds() {
        let picture = open(&folder, &whole).unwrap();
        let second = &kinds()[0].1;
        for rest in [
            b"anything at all".as_slice(),
            &[0; 700],
            // Files of several pictures, and one of which the second is cut short.
            second,
            &second[..second.len() / 2],
        ] {
            let file = [whole.as_slice(), rest].concat();
            assert!(open(&folder, &file).unwrap() == picture, "{kind}");
        }
    }
}

#[test]
fn a_preview_within_the_file_is_not_its_picture() {
    let folder = Folder::new();
    let (_, preview) = kinds().swap_remove(0);
    for (kind, whole) in kinds() {
        let picture = open(&folder, &whole).unwrap();
        let file = with_segment(&whole, 0xe1, &[b"Exif\0\0".as_slice(), &preview].concat());
        assert!(open(&folder, &file).unwrap() == picture, "{kind}");
        let reason = open(&folder, &file[..file.len() - whole.len() / 3]).unwrap_err();
        assert!(reason.contains("ends early"), "{kind}: {reason}");
    }
}

#[test]
fn a_file_that_ends_anywhere_before_is_refused_with_how_much_is_there() {
    let folder = Folder::new();
    for (kind, whole) in kinds() {
        let picture = open(&folder, &whole).unwrap();
        let mut last = 0.0;
        for length in 3..whole.len() - 2 {
            match open(&folder, &whole[..length]) {
                Ok(read) => assert!(read == picture, "{kind} of {length} bytes"),
                Err(reason) => {
                    assert!(reason.contains("the file ends early"), "{kind}: {reason}");
                    assert!(told(&reason) >= last, "{kind} of {length} bytes: {reason}");
                    last = told(&reason);
                }
            }
        }
        assert!(last >= 50.0, "{kind}: {last}");
    }
}

#[test]
fn an_end_that_is_marked_too_early_is_told() {
    let folder = Folder::new();
    let mut refused = 0;
    for (kind, whole) in kinds() {
        let picture = open(&folder, &whole).unwrap();
        for length in (whole.len() / 2..whole.len() - 12).step_by(5) {
            match open(&folder, &[&whole[..length], &EOI].concat()) {
                // Bits of the last corner may be missing, as some encoders leave them out.
                Ok(read) => {
                    let upper = picture.rgb().len() / 2;
                    assert!(
                        read.rgb()[..upper] == picture.rgb()[..upper],
                        "{kind} of {length} bytes"
                    );
                }
                // Where the mark falls into a header, its decoder refuses that.
                Err(_) => {
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_hole_in_the_picture_is_told() {
    let folder = Folder::new();
    for (kind, whole) in kinds() {
        // In progressive pictures a hole can leave out whole scans, without which they are complete, too.
        if kind.contains("progressive") || kind == "inks" {
            continue;
        }
        let third = whole.len() / 3;
        let file = [&whole[..2 * third], &whole[whole.len() - third / 2..]].concat();
        let reason = open(&folder, &file).unwrap_err();
        assert!(
            reason.contains("damaged") || reason.contains("ends early"),
            "{kind}: {reason}"
        );
    }
}

#[test]
fn damage_is_never_a_panic() {
    let folder = Folder::new();
    for (_, whole) in kinds() {
        for place in (2..whole.len()).step_by(3) {
            for flipped in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= flipped;
                assert_no_panic(&folder.write("damaged.jpg", &damaged));
            }
        }
    }
}
