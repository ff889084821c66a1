// SPDX-License-Identifier: MIT OR Apache-2.0

//! TIFFs of all kinds are read, or refused for what they are.

use super::*;

/// A TIFF of one strip for each plane, written by hand.
struct Tiff {
    size: (u32, u32),
    bits: u16,
    samples: u16,
    photometric: u16,
    /// Tag, type and values.
    more: Vec<(u16, u16, Vec<u32>)>,
    /// The samples of each plane.
    planes: Vec<Vec<u8>>,
    is_big: bool,
}

impl Tiff {
    fn new(size: (u32, u32), photometric: u16, samples: u16, bits: u16, data: Vec<u8>) -> Self {
        Self {
            size,
            bits,
            samples,
            photometric,
            more: Vec::new(),
            planes: vec![data],
            is_big: false,
        }
    }

    fn with(mut self, tag: u16, kind: u16, values: &[u32]) -> Self {
        self.more.push((tag, kind, values.to_vec()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let head: usize = if self.is_big { 16 } else { 8 };
        let mut file = vec![0; head];
        let mut offsets = Vec::new();
        for plane in &self.planes {
            offsets.push(file.len() as u32);
            file.extend(plane);
        }
        let lengths: Vec<u32> = self.planes.iter().map(|plane| plane.len() as u32).collect();
        let mut entries = vec![
            (256, 4, vec![self.size.0]),
            (257, 4, vec![self.size.1]),
            (258, 3, vec![self.bits.into(); self.samples.into()]),
            (262, 3, vec![self.photometric.into()]),
            (273, 4, offsets),
            (277, 3, vec![self.samples.into()]),
            (278, 4, vec![self.size.1]),
            (279, 4, lengths),
        ];
        for more in &self.more {
            entries.retain(|entry| entry.0 != more.0);
            entries.push(more.clone());
        }
        entries.sort();
        let room = if self.is_big { 8 } else { 4 };
        let mut directory = Vec::new();
        for (tag, kind, values) in &entries {
            let mut data: Vec<u8> = values
                .iter()
                .flat_map(|value| match kind {
                    1 | 7 => vec![*value as u8],
                    3 => (*value as u16).to_le_bytes().to_vec(),
                    _ => value.to_le_bytes().to_vec(),
                })
                .collect();
            // A fraction is two numbers.
            let count = values.len() / if *kind == 5 { 2 } else { 1 };
            directory.extend(tag.to_le_bytes());
            directory.extend(kind.to_le_bytes());
            directory.extend(&(count as u64).to_le_bytes()[..room]);
            if data.len() > room {
                let place = file.len() as u64;
                file.extend(&data);
                data = place.to_le_bytes().to_vec();
            }
            data.resize(room, 0);
            directory.extend(data);
        }
        let place = file.len() as u64;
        if self.is_big {
            file[..8].copy_from_slice(b"II+\0\x08\0\0\0");
            file[8..16].copy_from_slice(&place.to_le_bytes());
            file.extend((entries.len() as u64).to_le_bytes());
        } else {
            file[..4].copy_from_slice(b"II*\0");
            file[4..8].copy_from_slice(&(place as u32).to_le_bytes());
            file.extend((entries.len() as u16).to_le_bytes());
        }
        file.extend(directory);
        file.extend([0; 8]);
        file
    }

    fn read(&self) -> Vec<u8> {
        let folder = Folder::new();
        let path = folder.write("picture.tif", &self.bytes());
        probe(&path).unwrap();
        load(&path)
            .unwrap_or_else(|error| panic!("{error}"))
            .rgb()
            .to_vec()
    }

    fn refusal(&self) -> String {
        let folder = Folder::new();
        let path = folder.write("picture.tif", &self.bytes());
        reason(&path)
    }
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn shorts(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

const RED_BLUE: [u8; 6] = [255, 0, 0, 0, 0, 255];

#[test]
fn palettes_are_looked_up() {
    let map: Vec<u32> = (0..3)
        .flat_map(|channel| {
            let mut map = vec![0; 256];
            map[7] = [65535, 0, 0][channel];
            map[9] = [0, 0, 65535][channel];
            map
        })
        .collect();
    let tiff = Tiff::new((2, 1), 3, 1, 8, vec![7, 9]).with(320, 3, &map);
    assert_eq!(tiff.read(), RED_BLUE);
    // Two bits a sample, with the reds, greens and blues of four colours.
    let map = [0, 0, 65535, 0, 0, 0, 0, 0, 0, 65535, 0, 0];
    let tiff = Tiff::new((2, 1), 3, 1, 2, vec![0b1001_0000]).with(320, 3, &map);
    assert_eq!(tiff.read(), RED_BLUE);
    let damaged = Tiff::new((2, 1), 3, 1, 8, vec![7, 9]).with(320, 3, &[1, 2, 3]);
    assert!(damaged.refusal().contains("palette does not fit"));
}

#[test]
fn cie_lab_becomes_rgb() {
    // White, black, middle grey, and the red and the blue of sRGB.
    let lab = [
        [255, 0, 0],
        [0, 0, 0],
        [137, 0, 0],
        [138, 81, 70],
        [75, 68, (256 - 112) as u8],
    ];
    let tiff = Tiff::new((5, 1), 8, 3, 8, lab.concat());
    let read = tiff.read();
    let expected = [255, 255, 255, 0, 0, 0, 128, 128, 128, 255, 0, 0, 0, 0, 255];
    for (read, expected) in read.iter().zip(expected) {
        assert!(read.abs_diff(expected) <= 5, "{read} for {expected}");
    }
    let shifted: Vec<u8> = lab
        .iter()
        .flat_map(|&[l, a, b]| [l, a.wrapping_add(128), b.wrapping_add(128)])
        .collect();
    assert_eq!(Tiff::new((5, 1), 9, 3, 8, shifted).read(), read);
    let deep: Vec<u16> = lab
        .iter()
        .flat_map(|&[l, a, b]| [u16::from(l) * 257, u16::from(a) << 8, u16::from(b) << 8])
        .collect();
    assert_eq!(Tiff::new((5, 1), 8, 3, 16, shorts(&deep)).read(), read);
}

#[test]
fn floats_reach_to_one_or_as_far_as_they_do() {
    let format = |tiff: Tiff| tiff.with(339, 3, &[3]);
    let unit = Tiff::new((3, 1), 1, 1, 32, floats(&[0.0, 0.5, 1.0]));
    assert_eq!(format(unit).read(), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
    let bright = Tiff::new((4, 1), 1, 1, 32, floats(&[0.0, 0.5, 7.0, f32::NAN]));
    assert_eq!(
        format(bright).read(),
        [0, 0, 0, 128, 128, 128, 255, 255, 255, 0, 0, 0]
    );
    let bytes = Tiff::new((3, 1), 1, 1, 32, floats(&[0.0, 100.0, 200.0]));
    assert_eq!(format(bytes).read(), [0, 0, 0, 100, 100, 100, 200, 200, 200]);
    let colours = Tiff::new((1, 1), 2, 3, 32, floats(&[1.0, 0.0, 0.2])).with(339, 3, &[3, 3, 3]);
    assert_eq!(colours.read(), [255, 0, 51]);
    let double: Vec<u8> = [0.2_f64, 1.0]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert_eq!(
        format(Tiff::new((2, 1), 1, 1, 64, double)).read(),
        [51, 51, 51, 255, 255, 255]
    );
}

#[test]
fn whole_numbers_of_any_size_are_read() {
    assert_eq!(
        Tiff::new((2, 1), 2, 3, 16, shorts(&[65535, 0, 0, 0, 0, 65535])).read(),
        RED_BLUE
    );
    let wide: Vec<u8> = [0_u32, u32::MAX]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert_eq!(Tiff::new((2, 1), 1, 1, 32, wide).read(), [0, 0, 0, 255, 255, 255]);
    let narrow: Vec<u8> = [0_u32, 128, 255]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert_eq!(
        Tiff::new((3, 1), 1, 1, 32, narrow).read(),
        [0, 0, 0, 128, 128, 128, 255, 255, 255]
    );
    // A row ends with its byte.
    let bits = Tiff::new((3, 2), 1, 1, 1, vec![0b1010_0000, 0b0100_0000]);
    let [white, black] = [[255; 3], [0; 3]];
    let expected = [white, black, white, black, white, black].concat();
    assert_eq!(bits.read(), expected);
    let inverted = Tiff::new((3, 2), 0, 1, 1, vec![0b0101_1111, 0b1011_1111]);
    assert_eq!(inverted.read(), expected);
    assert_eq!(
        Tiff::new((2, 1), 1, 1, 4, vec![0xf3]).read(),
        [255, 255, 255, 51, 51, 51]
    );
    // Red of four bits, then green, blue, and the next pixel.
    assert_eq!(
        Tiff::new((2, 1), 2, 3, 4, vec![0xf0, 0x00, 0x0f]).read(),
        RED_BLUE
    );
}

#[test]
fn inks_and_luma_become_rgb() {
    let inks = Tiff::new((2, 1), 5, 4, 8, vec![0, 255, 255, 0, 255, 255, 0, 0]);
    assert_eq!(inks.read(), RED_BLUE);
    let deep = Tiff::new((1, 1), 5, 4, 16, shorts(&[0, 0, 0, 65535]));
    assert_eq!(deep.read(), [0, 0, 0]);
    let luma = Tiff::new((2, 1), 6, 3, 8, vec![76, 85, 255, 29, 255, 107]).with(530, 3, &[1, 1]);
    for (read, expected) in luma.read().iter().zip(RED_BLUE) {
        assert!(read.abs_diff(expected) <= 2, "{read} for {expected}");
    }
}

#[test]
fn planes_are_put_together() {
    let mut planar = Tiff::new((2, 1), 2, 3, 8, Vec::new()).with(284, 3, &[2]);
    planar.planes = vec![vec![255, 0], vec![0, 0], vec![0, 255]];
    assert_eq!(planar.read(), RED_BLUE);
    let mut inks = Tiff::new((2, 1), 5, 4, 8, Vec::new()).with(284, 3, &[2]);
    inks.planes = vec![vec![0, 255], vec![255, 255], vec![255, 0], vec![0, 0]];
    assert_eq!(inks.read(), RED_BLUE);
    let mut deep = Tiff::new((2, 1), 2, 3, 16, Vec::new()).with(284, 3, &[2]);
    deep.planes = vec![shorts(&[65535, 0]), shorts(&[0, 0]), shorts(&[0, 65535])];
    assert_eq!(deep.read(), RED_BLUE);
}

#[test]
fn alpha_lies_on_white() {
    let plain = Tiff::new((1, 1), 2, 4, 8, vec![100, 0, 0, 51]).with(338, 3, &[2]);
    let read = plain.read();
    let multiplied = Tiff::new((1, 1), 2, 4, 8, vec![20, 0, 0, 51]).with(338, 3, &[1]);
    assert_eq!(multiplied.read(), read);
    assert_eq!(read, [224, 204, 204]);
    // What is no alpha is nothing.
    let other = Tiff::new((1, 1), 2, 4, 8, vec![100, 0, 0, 51]).with(338, 3, &[0]);
    assert_eq!(other.read(), [100, 0, 0]);
}

#[test]
fn big_tiffs_are_tiffs() {
    let mut big = Tiff::new((2, 1), 2, 3, 8, RED_BLUE.to_vec());
    big.is_big = true;
    assert_eq!(big.read(), RED_BLUE);
}

#[test]
fn pictures_stand_upright() {
    let turned = Tiff::new((2, 1), 2, 3, 8, RED_BLUE.to_vec()).with(274, 3, &[3]);
    assert_eq!(turned.read(), [0, 0, 255, 255, 0, 0]);
}

#[test]
fn what_is_not_read_is_refused_for_what_it_is() {
    let rgb = |bits: u16| Tiff::new((2, 1), 2, 3, bits, vec![0; 64]);
    for (tiff, expected) in [
        (rgb(8).with(259, 3, &[34712]), "compressed as JPEG 2000"),
        (rgb(8).with(259, 3, &[6]), "compressed as JPEG in the old style"),
        (rgb(8).with(259, 3, &[50000]), "compressed as Zstandard"),
        (rgb(8).with(259, 3, &[12345]), "compressed as number 12345"),
        (rgb(8).with(266, 3, &[2]), "bits are in reversed order"),
        (rgb(12), "12 bits per sample"),
        (
            rgb(8).with(258, 3, &[5, 6, 5]),
            "samples of different sizes (5 and 6 bits)",
        ),
        (rgb(8).with(262, 3, &[32803]), "camera's raw file"),
        (rgb(8).with(262, 3, &[32845]), "SGI's LogLuv"),
        (rgb(8).with(262, 3, &[10]), "kind of CIE Lab"),
        (rgb(8).with(262, 3, &[6]), "luma and chroma of different sizes"),
        (rgb(8).with(262, 3, &[77]), "3 samples of the kind 77"),
        (rgb(8).with(332, 3, &[2]).with(262, 3, &[5]), "other inks"),
    ] {
        let refusal = tiff.refusal();
        assert!(refusal.contains(expected), "{refusal}");
        assert!(!refusal.contains("format known here"), "{refusal}");
    }
    let huge = Tiff::new((60_000, 60_000), 1, 1, 8, vec![0; 9]);
    assert!(huge.refusal().contains("reduce the picture"));
}

#[test]
fn missing_strips_are_told() {
    let bytes = Tiff::new((100, 100), 2, 3, 8, vec![9; 30_000]).bytes();
    let folder = Folder::new();
    let refusal = reason(&folder.write("cut.tif", &bytes[..20_000]));
    assert!(
        refusal.contains("at most 66 %") && refusal.contains("directory"),
        "{refusal}"
    );
    let long = Tiff::new((100, 100), 2, 3, 8, vec![9; 9_000]).with(279, 4, &[30_000]);
    let refusal = long.refusal();
    assert!(refusal.contains("ends early: 30 %"), "{refusal}");
}

#[test]
fn what_would_take_much_memory_is_refused_before_it_does() {
    // A bit for each pixel, of which three bytes become each.
    let bits = Tiff::new((22_900, 22_900), 1, 1, 1, vec![0; 8]).refusal();
    assert!(bits.contains("reduce the picture"), "{bits}");
    let many = Tiff::new((2, 2), 2, 3, 8, vec![0; 12]).with(258, 3, &[[8, 7].repeat(5000), vec![8]].concat());
    assert!(many.refusal().len() < 300, "{}", many.refusal().len());
}

#[test]
fn a_directory_with_two_sizes_is_refused() {
    let mut file = Tiff::new((2, 2), 1, 1, 8, vec![9; 4])
        .with(32_997, 4, &[60_000])
        .bytes();
    // What nobody reads becomes a second width.
    let entry = file
        .windows(12)
        .position(|entry| entry[..2] == 32_997u16.to_le_bytes() && entry[8..] == 60_000u32.to_le_bytes())
        .unwrap();
    file[entry..entry + 2].copy_from_slice(&256u16.to_le_bytes());
    let refusal = reason(&Folder::new().write("two.tif", &file));
    assert!(
        refusal.contains("damaged") || refusal.contains("early"),
        "{refusal}"
    );
}

#[test]
fn previews_and_pieces_of_unknown_length_are_refused_for_what_they_are() {
    let preview = Tiff::new((2, 2), 1, 1, 8, vec![9; 4])
        .with(254, 4, &[1])
        .with(330, 4, &[8]);
    assert!(preview.refusal().contains("raw"), "{}", preview.refusal());
    let mut endless = Tiff::new((2, 2), 1, 1, 8, vec![9; 4]).bytes();
    let entry = endless
        .windows(4)
        .position(|entry| entry == [23, 1, 4, 0])
        .unwrap();
    // A private tag instead of StripByteCounts.
    endless[entry + 1] = 2;
    let refusal = reason(&Folder::new().write("endless.tif", &endless));
    assert!(refusal.contains("how long"), "{refusal}");
}

#[test]
fn damage_is_never_a_panic() {
    let folder = Folder::new();
    for tiff in [
        Tiff::new((5, 3), 2, 3, 8, vec![9; 45]),
        Tiff::new((5, 3), 3, 1, 8, vec![9; 15]).with(320, 3, &[77; 768]),
        Tiff::new((5, 3), 8, 3, 16, vec![9; 90]),
        Tiff::new((5, 3), 1, 1, 1, vec![9; 3]),
    ] {
        let whole = tiff.bytes();
        for place in 0..whole.len() {
            for changed in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = changed;
                assert_no_panic(&folder.write("damaged.tif", &damaged));
            }
        }
    }
}
