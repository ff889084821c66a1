// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much of a JPEG is there. Decoders paint what is missing grey and do not tell, and where the picture ends is written
//! nowhere in the file: its codes have to be followed.
//!
//! Source: ITU-T T.81; the letters are those of its tables.

mod huffman;

use huffman::{Bits, Stop, Table};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Extent {
    /// All of the picture is there. What follows it (another picture, or anything) was not looked at.
    Whole,
    /// The file is over before the picture is; the share that is there, 0..1.
    FileEnds(f64),
    /// The picture is over, by what the file says, before all of it was there.
    PictureEnds(f64),
    /// Codes that mean nothing, after this share.
    Damaged(f64),
    /// No decoder here reads this kind of JPEG, which is named.
    Unread(&'static str),
    /// Not to be told; its decoder will find out more.
    Unknown,
}

/// More than any encoder makes; the decoder has the same bound.
const MOST_SCANS: usize = 100;

/// Looks through the file. The picture has at most `most_pixels`, so that no more memory is taken than for those.
pub(super) fn extent(file: &[u8], most_pixels: u64) -> Extent {
    let mut walk = Walk {
        file,
        at: 2,
        most_pixels,
        frame: None,
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        restart_interval: 0,
        scans: 0,
        is_damaged: false,
        is_short: false,
    };
    walk.run().unwrap_or(Extent::Unknown)
}

struct Walk<'a> {
    file: &'a [u8],
    at: usize,
    most_pixels: u64,
    frame: Option<Frame>,
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// In MCUs; 0 for none.
    restart_interval: usize,
    scans: usize,
    is_damaged: bool,
    /// A scan ended before all of it was there.
    is_short: bool,
}

struct Frame {
    is_progressive: bool,
    /// MCUs of scans with several components.
    mcus: (usize, usize),
    components: Vec<Component>,
}

struct Component {
    id: u8,
    /// H and V.
    sampling: (usize, usize),
    /// Blocks that hold some of the picture, across and down.
    blocks: (usize, usize),
    /// Blocks in a row of MCUs, which may reach beyond the picture.
    stride: usize,
    dc: usize,
    ac: usize,
    /// Which coefficients are not zero so far, one bit each; kept of progressive pictures only.
    nonzero: Vec<u64>,
    /// For each coefficient, how many scans there will be and how much of them there was.
    passes: [(f64, f64); 64],
    /// For each coefficient, the bit down to which it is known.
    known_to: [Option<u8>; 64],
}

/// What a scan says of itself.
struct Scan {
    components: Vec<usize>,
    /// Ss and Se.
    band: (usize, usize),
    /// Ah and Al.
    bits: (u8, u8),
}

impl<'a> Walk<'a> {
    /// `None` for what is not followed here.
    fn run(&mut self) -> Option<Extent> {
        loop {
            let Some(marker) = self.marker() else {
                return Some(self.verdict(true));
            };
            match marker {
                // SOI, RST and TEM stand alone.
                0xd8 | 0xd0..=0xd7 | 0x01 => {}
                0xd9 => return Some(self.verdict(false)),
                0xc4 | 0xc0..=0xc2 | 0xda | 0xdd => {
                    let Some(segment) = self.segment() else {
                        return Some(self.verdict(true));
                    };
                    match marker {
                        0xc4 => self.tables(segment)?,
                        0xdd => {
                            self.restart_interval = u16::from_be_bytes(*segment.first_chunk::<2>()?).into();
                        }
                        0xda => {
                            self.scan(segment)?;
                            if self.is_complete() {
                                return Some(Extent::Whole);
                            }
                        }
                        _ => match segment {
                            [8, 0, 0, ..] => return Some(Extent::Unread("that does not tell its height")),
                            [8, ..] => self.frame(segment, marker == 0xc2)?,
                            [_, ..] => return Some(Extent::Unread("with other than 8 bits per sample")),
                            [] => return None,
                        },
                    }
                }
                0xc3 => return Some(Extent::Unread("without losses")),
                0xc5..=0xc7 | 0xcd..=0xcf => return Some(Extent::Unread("of several resolutions")),
                0xc9..=0xcb => return Some(Extent::Unread("with arithmetic codes")),
                // DAC and DNL.
                0xcc | 0xdc => return None,
                _ => {
                    if self.segment().is_none() {
                        return Some(self.verdict(true));
                    }
                }
            }
        }
    }

    /// The next marker; what lies before it is skipped.
    fn marker(&mut self) -> Option<u8> {
        loop {
            let found = self.file.get(self.at..)?.iter().position(|&byte| byte == 0xff)?;
            self.at += found + 1;
            match *self.file.get(self.at)? {
                0xff => {}
                0 => self.at += 1,
                marker => {
                    self.at += 1;
                    return Some(marker);
                }
            }
        }
    }

    /// What belongs to the marker that was read last, if all of it is there.
    fn segment(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(*self.file.get(self.at..)?.first_chunk::<2>()?);
        let segment = self.file.get(self.at + 2..self.at + usize::from(length))?;
        self.at += usize::from(length);
        Some(segment)
    }

    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let counts = rest.first_chunk::<16>()?;
            let values: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let table = Table::new(*counts, rest.get(16..16 + values)?);
            let tables = if kind >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(table);
            segment = &rest[16 + values..];
        }
        Some(())
    }

    fn frame(&mut self, segment: &[u8], is_progressive: bool) -> Option<()> {
        let &[_, h1, h0, w1, w0, count, ref rest @ ..] = segment else {
            return None;
        };
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        let (described, _) = rest.as_chunks::<3>();
        let described = described.get(..usize::from(count))?;
        let sampling = |&[_, factors, _]: &[u8; 3]| (usize::from(factors >> 4), usize::from(factors & 15));
        let is_usual = |&(h, v): &(usize, usize)| (1..=4).contains(&h) && (1..=4).contains(&v);
        if self.frame.is_some()
            || width == 0
            || height == 0
            || (width as u64) * (height as u64) > self.most_pixels
            || !(1..=4).contains(&count)
            || !described.iter().map(sampling).all(|factors| is_usual(&factors))
        {
            return None;
        }
        let h_most = described.iter().map(|entry| sampling(entry).0).max()?;
        let v_most = described.iter().map(|entry| sampling(entry).1).max()?;
        let mcus = (width.div_ceil(8 * h_most), height.div_ceil(8 * v_most));
        let components = described
            .iter()
            .map(|entry| {
                let (h, v) = sampling(entry);
                Component {
                    id: entry[0],
                    sampling: (h, v),
                    blocks: (
                        (width * h).div_ceil(8 * h_most),
                        (height * v).div_ceil(8 * v_most),
                    ),
                    stride: mcus.0 * h,
                    dc: 0,
                    ac: 0,
                    nonzero: vec![
                        0;
                        if is_progressive {
                            mcus.0 * h * mcus.1 * v
                        } else {
                            0
                        }
                    ],
                    passes: [(1.0, 0.0); 64],
                    known_to: [None; 64],
                }
            })
            .collect();
        self.frame = Some(Frame {
            is_progressive,
            mcus,
            components,
        });
        Some(())
    }

    /// Follows a scan to its end.
    fn scan(&mut self, segment: &[u8]) -> Option<()> {
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return None;
        }
        let frame = self.frame.as_mut()?;
        let (&count, rest) = segment.split_first()?;
        let (selectors, _) = rest.as_chunks::<2>();
        let selectors = selectors.get(..usize::from(count))?;
        let &[first, last, bits] = rest.get(selectors.len() * 2..)?.first_chunk::<3>()?;
        let mut components = Vec::new();
        for &[id, tables] in selectors {
            let index = frame.components.iter().position(|component| component.id == id)?;
            if components.contains(&index) {
                return None;
            }
            frame.components[index].dc = usize::from(tables >> 4);
            frame.components[index].ac = usize::from(tables & 15);
            components.push(index);
        }
        let scan = if frame.is_progressive {
            Scan {
                components,
                band: (first.into(), last.into()),
                bits: (bits >> 4, bits & 15),
            }
        } else {
            Scan {
                components,
                band: (0, 63),
                bits: (0, 0),
            }
        };
        let (first, last) = scan.band;
        let is_possible = !scan.components.is_empty()
            && first <= last
            && last <= 63
            && (!frame.is_progressive || (first == 0) == (last == 0))
            && (first == 0 || scan.components.len() == 1);
        if !is_possible {
            return None;
        }
        let (done, all) = self.follow(&scan)?;
        let share = done as f64 / all as f64;
        let frame = self.frame.as_mut()?;
        for &index in &scan.components {
            let component = &mut frame.components[index];
            for k in first..=last {
                let (passes, made) = &mut component.passes[k];
                if scan.bits.0 == 0 {
                    (*passes, *made) = (1.0 + f64::from(scan.bits.1), share);
                } else {
                    *made += share;
                }
                component.known_to[k] = (done == all).then_some(scan.bits.1);
            }
        }
        Some(())
    }

    /// The MCUs of the scan that are there, and all that should be. `None` if a table is missing, which some cameras expect a
    /// decoder to know.
    fn follow(&mut self, scan: &Scan) -> Option<(usize, usize)> {
        let frame = self.frame.as_mut()?;
        let (across, down) = match scan.components.as_slice() {
            [only] => frame.components[*only].blocks,
            _ => frame.mcus,
        };
        for &index in &scan.components {
            let component = &frame.components[index];
            if scan.band.0 == 0 && scan.bits.0 == 0 {
                self.dc.get(component.dc)?.as_ref()?;
            }
            if scan.band.1 > 0 {
                self.ac.get(component.ac)?.as_ref()?;
            }
        }
        let all = across * down;
        let mut bits = Bits::new(self.file, self.at);
        let (mut done, mut mcu, mut run) = (0, 0, 0);
        while mcu < all {
            if self.restart_interval > 0 && mcu > 0 && mcu % self.restart_interval == 0 {
                let Some(after) = after_restart(self.file, bits.at) else {
                    break;
                };
                bits = Bits::new(self.file, after);
                run = 0;
            }
            let mut followed = Ok(());
            for &index in &scan.components {
                let component = &mut frame.components[index];
                let (h, v) = match scan.components.len() {
                    1 => (1, 1),
                    _ => component.sampling,
                };
                for block in 0..h * v {
                    let x = mcu % across * h + block % h;
                    let y = mcu / across * v + block / h;
                    let place = y * component.stride + x;
                    followed = if frame.is_progressive {
                        let (dc, ac) = (&self.dc[component.dc & 3], &self.ac[component.ac & 3]);
                        let nonzero = &mut component.nonzero[place];
                        progressive(&mut bits, scan, dc.as_ref(), ac.as_ref(), nonzero, &mut run)
                    } else {
                        let tables = (&self.dc[component.dc], &self.ac[component.ac]);
                        sequential(&mut bits, tables.0.as_ref()?, tables.1.as_ref()?)
                    };
                    if followed.is_err() {
                        break;
                    }
                }
                if followed.is_err() {
                    break;
                }
            }
            match followed {
                Ok(()) => {
                    done += 1;
                    mcu += 1;
                }
                Err(stop) => {
                    self.is_damaged |= stop == Stop::Damaged;
                    if self.restart_interval == 0 {
                        break;
                    }
                    // The next interval can be read without this one.
                    mcu += self.restart_interval - mcu % self.restart_interval;
                }
            }
        }
        self.at = bits.at;
        // Some encoders leave out the last bits, which are padding or cost a corner; but then the end of the picture is marked.
        let is_end_marked = self
            .file
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(&[0xff, 0xd9]));
        if !frame.is_progressive && done + 1 == all && mcu + 1 >= all && !self.is_damaged && is_end_marked {
            done = all;
        }
        self.is_short |= done < all;
        Some((done, all))
    }

    /// Whether nothing can come that would add to the picture.
    fn is_complete(&self) -> bool {
        !self.is_damaged
            && !self.is_short
            && self.frame.as_ref().is_some_and(|frame| {
                let known = |component: &Component| component.known_to.iter().all(|bit| *bit == Some(0));
                frame.components.iter().all(known)
            })
    }

    /// Whether there are coefficients of which the last bits did not come, though encoders announce only what they send.
    fn is_rough(&self) -> bool {
        let components = self.frame.iter().flat_map(|frame| &frame.components);
        components
            .flat_map(|component| component.known_to)
            .any(|bit| bit.is_some_and(|bit| bit > 0))
    }

    /// What is to be said where the markers end.
    fn verdict(&self, is_end_of_file: bool) -> Extent {
        let share = self.share();
        match () {
            () if self.is_damaged => Extent::Damaged(share),
            () if is_end_of_file => Extent::FileEnds(share),
            () if self.is_short || self.scans == 0 || self.is_rough() => Extent::PictureEnds(share),
            // Coefficients that never came are zero, for which an encoder need not send anything.
            () => Extent::Whole,
        }
    }

    /// The share of all passes over all coefficients that is there.
    fn share(&self) -> f64 {
        let Some(frame) = &self.frame else {
            return 0.0;
        };
        let (mut there, mut all) = (0.0, 0.0);
        for component in &frame.components {
            let blocks = (component.blocks.0 * component.blocks.1) as f64;
            let passes = component
                .passes
                .iter()
                .map(|(passes, made)| (made / passes).min(1.0));
            there += blocks * passes.sum::<f64>() / 64.0;
            all += blocks;
        }
        there / all
    }
}

/// The place after the next restart marker, unless another marker comes first.
fn after_restart(file: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += file.get(at..)?.iter().position(|&byte| byte == 0xff)? + 1;
        match *file.get(at)? {
            0xd0..=0xd7 => return Some(at + 1),
            0 => at += 1,
            0xff => {}
            _ => return None,
        }
    }
}

/// A block of a baseline or extended picture (F.1.2).
fn sequential(bits: &mut Bits, dc: &Table, ac: &Table) -> Result<(), Stop> {
    let length = bits.code(dc)?;
    bits.take(u32::from(length).min(16))?;
    let mut k = 1;
    while k < 64 {
        let code = bits.code(ac)?;
        let (zeros, length) = (usize::from(code >> 4), u32::from(code & 15));
        if length == 0 && zeros < 15 {
            break;
        }
        bits.take(length)?;
        k += zeros + 1;
    }
    Ok(())
}

/// A block of a scan of a progressive picture (G.1.2). `run` counts the blocks that are over before their codes begin.
fn progressive(
    bits: &mut Bits,
    scan: &Scan,
    dc: Option<&Table>,
    ac: Option<&Table>,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    let is_first = scan.bits.0 == 0;
    match (scan.band.0, is_first) {
        (0, true) => {
            let length = bits.code(dc.ok_or(Stop::Damaged)?)?;
            bits.take(u32::from(length).min(16)).map(|_| ())
        }
        (0, false) => bits.take(1).map(|_| ()),
        (_, true) => first_coefficients(bits, scan.band, ac.ok_or(Stop::Damaged)?, nonzero, run),
        (_, false) => refined_coefficients(bits, scan.band, ac.ok_or(Stop::Damaged)?, nonzero, run),
    }
}

fn first_coefficients(
    bits: &mut Bits,
    (first, last): (usize, usize),
    table: &Table,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = first;
    while k <= last {
        let code = bits.code(table)?;
        let (zeros, length) = (usize::from(code >> 4), u32::from(code & 15));
        if length == 0 && zeros < 15 {
            *run = (1 << zeros) - 1 + bits.take(zeros as u32)?;
            break;
        }
        bits.take(length)?;
        k += zeros;
        if length > 0 && k <= last {
            *nonzero |= 1 << k;
        }
        k += 1;
    }
    Ok(())
}

fn refined_coefficients(
    bits: &mut Bits,
    (first, last): (usize, usize),
    table: &Table,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Stop> {
    let mut k = first;
    if *run == 0 {
        while k <= last {
            let code = bits.code(table)?;
            let (mut zeros, length) = (u32::from(code >> 4), code & 15);
            if length == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            if length > 0 {
                // Its sign.
                bits.take(1)?;
            }
            // Coefficients that are known already take a bit each on the way.
            while k <= last {
                if *nonzero >> k & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    *nonzero |= u64::from(length > 0) << k;
                    k += 1;
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
        }
    }
    if *run > 0 {
        let rest = if k > last {
            0
        } else {
            (*nonzero >> k) & (u64::MAX >> (63 - (last - k)))
        };
        for _ in 0..rest.count_ones() {
            bits.take(1)?;
        }
        *run -= 1;
    }
    Ok(())
}
