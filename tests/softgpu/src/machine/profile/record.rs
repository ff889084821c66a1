// SPDX-License-Identifier: MIT OR Apache-2.0

//! A profile as a line of JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Banked, Class, Profile, class};
use crate::machine::WARP;
use crate::machine::launch::Shape;
use crate::ptx::instruction::{Kernel, Op};

/// A launch and what was counted of it.
pub struct Record<'a> {
    pub kernel: &'a Kernel,
    /// The source files of the module by their number, and the number of its `.target`.
    pub files: &'a [(u32, String)],
    pub target: u32,
    pub shape: Shape,
    /// Blocks that were run.
    pub sampled: usize,
    /// The bytes of the kernel's parameters.
    pub parameters: &'a [u8],
    pub profile: &'a Profile,
}

#[derive(Default)]
struct Line {
    warps: u64,
    wavefronts: u64,
    ideal: u64,
    mma: u64,
}

impl Record<'_> {
    /// One object without a line break.
    pub fn json(&self) -> String {
        let (kernel, shape, profile) = (self.kernel, self.shape, self.profile);
        let warps = shape.blocks() * u64::from(shape.threads().div_ceil(WARP as u32));
        let lanes: u64 = profile.places.iter().map(|place| place.lanes).sum();
        let (loads, stores, atomics) = (profile.loads(), profile.stores(), profile.atomics());
        let sectors = loads.sectors + stores.sectors;
        let coalescing = (loads.bytes + stores.bytes) as f64 / (32 * sectors.max(1)) as f64;
        let module = quoted(module(self.files));
        let head = format!(
            r#""module":{module},"target":"sm_{}","kernel":{},"grid":{:?},"block":{:?},"warps":{warps},"sampled":{},"parameters":{}"#,
            self.target,
            quoted(&kernel.name),
            shape.grid,
            shape.block,
            self.sampled,
            self.words(),
        );
        let sizes = format!(
            r#""static_shared":{},"dynamic_shared":{},"registers":{}"#,
            kernel.static_shared, shape.dynamic_shared, kernel.registers
        );
        let traffic = [("load", loads), ("store", stores)].map(|(name, traffic)| {
            format!(
                r#""{name}_requests":{},"{name}_sectors":{},"{name}_bytes":{},"{name}_block_sectors":{},"{name}_unique_sectors":{}"#,
                traffic.requests, traffic.sectors, traffic.bytes, traffic.block_sectors, traffic.unique_sectors
            )
        });
        let [loaded, stored] = traffic;
        let atomic = format!(
            r#""atomic_requests":{},"atomic_sectors":{}"#,
            atomics.requests, atomics.sectors
        );
        let banked = |name: &str, banked: &Banked| {
            format!(
                r#""{name}_requests":{},"{name}_wavefronts":{},"{name}_ideal":{}"#,
                banked.requests, banked.wavefronts, banked.ideal
            )
        };
        let shared_loads = banked("load", &profile.shared_loads);
        let shared_stores = banked("store", &profile.shared_stores);
        format!(
            concat!(
                r#"{{{},{},"instructions":{},"lanes":{},"mma_products":{},"global":{{{},{},{}}},"#,
                r#""coalescing":{:.6},"shared":{{{},{}}},"per_line":{}}}"#
            ),
            head,
            sizes,
            self.instructions(),
            lanes,
            self.products(),
            loaded,
            stored,
            atomic,
            coalescing,
            shared_loads,
            shared_stores,
            self.per_line(),
        )
    }

    /// Warps by the class of what they ran.
    pub fn classes(&self) -> Vec<u64> {
        let mut counts = vec![0; Class::NAMES.len()];
        for (instruction, place) in self.kernel.code.iter().zip(&self.profile.places) {
            counts[class(&instruction.op, place.space) as usize] += place.warps;
        }
        counts
    }

    /// The parameters in their order: those of 32 bits as integers, whatever they are; others, which are addresses and so
    /// other ones each time, as null.
    fn words(&self) -> String {
        let words = self.kernel.parameters.iter().map(|parameter| {
            let bytes = self
                .parameters
                .get(parameter.offset as usize..)
                .unwrap_or_default();
            match (parameter.bytes, bytes.first_chunk()) {
                (4, Some(word)) => i32::from_le_bytes(*word).to_string(),
                _ => "null".to_owned(),
            }
        });
        format!("[{}]", words.collect::<Vec<_>>().join(","))
    }

    fn instructions(&self) -> String {
        let counts = self.classes();
        let mut said = format!(r#"{{"total":{}"#, counts.iter().sum::<u64>());
        for (name, count) in Class::NAMES.iter().zip(counts) {
            // Writing to a text cannot fail.
            let _ = write!(said, r#","{name}":{count}"#);
        }
        said + "}"
    }

    /// Multiply-adds of the tensor core: 16 × 8 results, each of so many products as the shape is deep.
    pub fn products(&self) -> u64 {
        let code = self.kernel.code.iter().zip(&self.profile.places);
        code.map(|(instruction, place)| match instruction.op {
            Op::Mma { depth, .. } => place.warps * 16 * 8 * u64::from(depth),
            _ => 0,
        })
        .sum()
    }

    fn per_line(&self) -> String {
        let mut lines: BTreeMap<(&str, u32), Line> = BTreeMap::new();
        let code = self.kernel.code.iter().zip(&self.kernel.places);
        for ((instruction, source), place) in code.zip(&self.profile.places) {
            let file = self.files.iter().find(|(number, _)| *number == source.file);
            let Some((_, path)) = file.filter(|_| place.warps != 0) else {
                continue;
            };
            let name = path.rsplit('/').next().unwrap_or(path);
            let line = lines.entry((name, source.source_line)).or_default();
            line.warps += place.warps;
            line.wavefronts += place.shared.taken;
            line.ideal += place.shared.ideal;
            if matches!(instruction.op, Op::Mma { .. }) {
                line.mma += place.warps;
            }
        }
        let said: Vec<String> = lines
            .iter()
            .map(|((file, number), line)| {
                format!(
                    r#"{}:{{"n":{},"shared_wavefronts":{},"shared_ideal":{},"mma":{}}}"#,
                    quoted(&format!("{file}:{number}")),
                    line.warps,
                    line.wavefronts,
                    line.ideal,
                    line.mma
                )
            })
            .collect();
        format!("{{{}}}", said.join(","))
    }
}

/// `conv_forward` where the first source file is kernels/conv_forward.cu.
fn module(files: &[(u32, String)]) -> &str {
    let path = files.first().map_or("", |(_, path)| path.as_str());
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".cu").unwrap_or(name)
}

/// A text of JSON. Names in PTX and of files hold no control characters, which would need more than this.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
