// SPDX-License-Identifier: MIT OR Apache-2.0

//! All the figures of a painted clip, and how they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use neuralstyle::stylizer::{Frame, Report};
use serde_json::{Value, json};

use super::clip::Clip;
use super::figures::{Look, change, drift, mean, warping_error};
use super::judge::Judge;
use crate::failure::Failure;

/// Frames over which the long-term warping error is taken.
pub const FAR: usize = 10;

/// How long an area counts as revealed, in frames.
pub const REVEALED_AGE: usize = 3;

/// The share of the frame below which a revealed area says nothing.
const REVEALED_SHARE: f32 = 0.03;

/// The first frame whose high frequencies are looked at: the fresh start has settled.
const SETTLED: usize = 5;

/// What was painted.
#[derive(Default)]
pub struct Paintings {
    pub ours: Vec<Frame>,
    reports: Vec<Report>,
    times: Vec<Duration>,
    /// Frames from which independent frames are compared with later ones.
    pub places: Vec<usize>,
    /// Frames painted one by one, by index.
    pub independent: BTreeMap<usize, Frame>,
}

impl Paintings {
    /// Nothing yet; independent frames will be compared with later ones at `places`.
    pub fn at(places: Vec<usize>) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    pub fn add(&mut self, frame: Frame, report: Report) {
        self.ours.push(frame);
        self.reports.push(report);
    }

    /// What was spent while a frame was the newest.
    pub fn add_time(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// The frames that must be painted one by one.
    pub fn alone_at(places: &[usize], frames: usize) -> Vec<usize> {
        let mut alone: Vec<usize> = places
            .iter()
            .flat_map(|&place| [place, place + 1, place + FAR])
            .filter(|&index| index < frames)
            .collect();
        alone.sort_unstable();
        alone.dedup();
        alone
    }
}

/// Means of the same figure of three clips.
#[derive(Clone, Copy, Debug)]
struct Trio {
    input: f64,
    ours: f64,
    independent: f64,
}

/// The style losses of revealed areas and of what they are compared with, summed over frames.
#[derive(Clone, Copy, Debug, Default)]
struct Revealed {
    frames: usize,
    share: f64,
    inside: f64,
    mirrored: f64,
    frame: f64,
}

impl Revealed {
    /// Adds a frame if something was revealed in it.
    fn add(&mut self, judge: &mut Judge, frame: &Frame, area: &[f32]) -> Result<(), Failure> {
        let mirrored = mirrored(area, frame.width(), frame.height());
        if mirrored.is_empty() || share(area) < REVEALED_SHARE {
            return Ok(());
        }
        let mut areas = vec![area];
        areas.extend(mirrored.iter().map(Vec::as_slice));
        let losses = judge.losses(frame, &areas)?;
        self.frames += 1;
        self.share += f64::from(share(area));
        self.frame += losses[0];
        self.inside += losses[1];
        self.mirrored += mean(losses[2..].iter().copied());
        Ok(())
    }

    fn against_mirrored(&self) -> f64 {
        self.inside / self.mirrored
    }
}

/// An area turned over left-right, top-bottom and both ways, where that is not new itself.
fn mirrored(area: &[f32], width: usize, height: usize) -> Vec<Vec<f32>> {
    let turned = |across: bool, down: bool| -> Vec<f32> {
        let of = |at: usize| {
            let (x, y) = (at % width, at / width);
            let x = if across { width - 1 - x } else { x };
            let y = if down { height - 1 - y } else { y };
            // What is new in both places is old in none.
            area[y * width + x] * (1.0 - area[at])
        };
        (0..area.len()).map(of).collect()
    };
    let all = [turned(true, false), turned(false, true), turned(true, true)];
    let enough = 0.8 * share(area);
    all.into_iter()
        .filter(|mirrored| share(mirrored) >= enough)
        .collect()
}

fn share(area: &[f32]) -> f32 {
    area.iter().sum::<f32>() / area.len() as f32
}

/// Everything that is measured.
pub struct Measured {
    size: (usize, usize),
    frames: usize,
    next: Trio,
    far: Trio,
    style: Trio,
    revealed: Revealed,
    /// The same areas in frames that were painted one by one, and in ours at the same times.
    revealed_alone: (Revealed, Revealed),
    luma_drift: f64,
    spread_drift: f64,
    input: Vec<Look>,
    ours: Vec<Look>,
    /// Mean change from frame to frame, in steps of a byte, of a clip that stands still: of the input and of ours.
    still: Option<(f64, f64)>,
    first_ms: f64,
    ms: f64,
    median_ms: f64,
    first_steps: usize,
    steps: f64,
    restarts: usize,
}

impl Measured {
    pub fn of(
        clip: &Clip,
        painted: &Paintings,
        judge: &mut Judge,
        judge_every: usize,
    ) -> Result<Self, Failure> {
        let Paintings {
            ours, independent, ..
        } = painted;
        let count = ours.len();
        let looks = |frames: &[Frame]| frames.iter().map(Look::of).collect::<Vec<_>>();
        let (input_looks, our_looks) = (looks(&clip.frames), looks(ours));
        let mut style = (Vec::new(), Vec::new());
        let mut revealed = Revealed::default();
        for at in (0..count).step_by(judge_every).skip(1) {
            style.0.push(judge.loss(&ours[at])?);
            revealed.add(judge, &ours[at], &clip.revealed(at, REVEALED_AGE))?;
        }
        let mut revealed_alone = (Revealed::default(), Revealed::default());
        for (&at, frame) in independent {
            style.1.push(judge.loss(frame)?);
            if at >= REVEALED_AGE {
                let area = clip.revealed(at, REVEALED_AGE);
                revealed_alone.0.add(judge, frame, &area)?;
                revealed_alone.1.add(judge, &ours[at], &area)?;
            }
        }
        let changes = |frames: &[Frame]| mean(frames.windows(2).map(|pair| change(&pair[0], &pair[1])));
        let ms: Vec<f64> = painted
            .times
            .iter()
            .map(|time| time.as_secs_f64() * 1e3)
            .collect();
        let mut later = ms[1..].to_vec();
        later.sort_by(f64::total_cmp);
        let reports = &painted.reports;
        Ok(Self {
            size: (ours[0].width(), ours[0].height()),
            frames: count,
            next: warping(clip, painted, 1),
            far: warping(clip, painted, FAR),
            style: Trio {
                input: judge.loss(&clip.frames[count / 2])?,
                ours: mean(style.0.into_iter()),
                independent: mean(style.1.into_iter()),
            },
            revealed,
            revealed_alone,
            luma_drift: drift(&our_looks, &input_looks, |look| look.brightness),
            spread_drift: drift(&our_looks, &input_looks, |look| look.spread),
            input: input_looks,
            ours: our_looks,
            still: clip
                .stands_still()
                .then(|| (changes(&clip.frames), changes(ours))),
            first_ms: ms[0],
            ms: mean(ms[1..].iter().copied()),
            median_ms: later[later.len() / 2],
            first_steps: reports[0].iterations,
            steps: mean(reports[1..].iter().map(|report| report.iterations as f64)),
            restarts: reports[1..].iter().filter(|report| report.restarted).count(),
        })
    }

    pub fn document(&self) -> Value {
        let trio = |trio: &Trio| {
            json!({
                "input": trio.input,
                "ours": trio.ours,
                "independent": trio.independent,
                "ours_to_input": trio.ours / trio.input,
                "ours_to_independent": trio.ours / trio.independent,
            })
        };
        let high = |looks: &[Look]| {
            let at = self.settled();
            json!({
                "at_frame_5": looks[at].high_frequencies,
                "in_the_middle": looks[looks.len() / 2].high_frequencies,
                "at_the_end": looks[looks.len() - 1].high_frequencies,
                "end_to_frame_5": looks[looks.len() - 1].high_frequencies / looks[at].high_frequencies,
            })
        };
        let revealed = (self.revealed.frames > 0).then(|| {
            json!({
                "frames": self.revealed.frames,
                "share_of_the_frame": self.revealed.share / self.revealed.frames as f64,
                "style_loss": self.revealed.inside / self.revealed.frames as f64,
                "to_mirrored": self.revealed.against_mirrored(),
                "to_frame": self.revealed.inside / self.revealed.frame,
                "double_ratio": self.double_ratio(),
            })
        });
        json!({
            "width": self.size.0,
            "height": self.size.1,
            "frames": self.frames,
            "time": {
                "first_frame_ms": self.first_ms,
                "first_frame_steps": self.first_steps,
                "ms_per_frame": self.ms,
                "median_ms_per_frame": self.median_ms,
                "steps_per_frame": self.steps,
                "restarts": self.restarts,
            },
            "warping_error": { "next_frame": trio(&self.next), "over_10_frames": trio(&self.far) },
            "style_loss": trio(&self.style),
            "revealed": revealed,
            "drift_percent": { "luma": 100.0 * self.luma_drift, "spread": 100.0 * self.spread_drift },
            "high_frequencies": { "input": high(&self.input), "ours": high(&self.ours) },
            "still": self.still.map(|(input, ours)| json!({
                "change_of_input": input,
                "change_of_ours": ours,
                "ours_to_input": ours / input,
            })),
        })
    }

    /// The same for people.
    pub fn table(&self) -> String {
        let (first, last) = (self.settled(), self.frames - 1);
        let high = |looks: &[Look]| {
            let middle = looks.len() / 2;
            let [a, b, c] = [first, middle, last].map(|at| looks[at].high_frequencies);
            format!("{a:.6} {b:.6} {c:.6}, last to first {:.3}", c / a)
        };
        let row = |name: &str, trio: &Trio| {
            format!(
                "{name:<22} input {:.6}  ours {:.6}  independent {:.6}  ours/independent {:.4}\n",
                trio.input,
                trio.ours,
                trio.independent,
                trio.ours / trio.independent
            )
        };
        let mut table = format!(
            "{} frames of {}×{}: {:.1} ms a frame (median {:.1}), {:.1} steps; the first {:.0} ms, {} steps; {} restarts\n",
            self.frames,
            self.size.0,
            self.size.1,
            self.ms,
            self.median_ms,
            self.steps,
            self.first_ms,
            self.first_steps,
            self.restarts
        );
        table += &row("E_warp, next frame", &self.next);
        table += &row("E_warp, over 10 frames", &self.far);
        table += &row("style loss", &self.style);
        table += &match self.revealed.frames {
            0 => "revealed areas         too small to be measured\n".into(),
            frames => format!(
                "revealed areas         style loss to mirrored {:.3}, to the frame {:.3}, double ratio {:.3} ({frames} frames, {:.1} % of each)\n",
                self.revealed.against_mirrored(),
                self.revealed.inside / self.revealed.frame,
                self.double_ratio(),
                100.0 * self.revealed.share / frames as f64
            ),
        };
        table += &format!(
            "drift                  luma {:+.2} %, spread {:+.2} %\n",
            100.0 * self.luma_drift,
            100.0 * self.spread_drift
        );
        table += &format!(
            "high frequencies       ours {}; input {}\n",
            high(&self.ours),
            high(&self.input)
        );
        if let Some((input, ours)) = self.still {
            table += &format!(
                "standing still         change input {input:.3}, ours {ours:.3} steps of a byte, ratio {:.3}\n",
                ours / input
            );
        }
        table
    }

    fn double_ratio(&self) -> f64 {
        let (alone, ours) = &self.revealed_alone;
        ours.against_mirrored() / alone.against_mirrored()
    }

    fn settled(&self) -> usize {
        SETTLED.min(self.frames - 1)
    }
}

/// The mean warping error to the frame `distance` later: over all frames, of the independent ones at their places.
fn warping(clip: &Clip, painted: &Paintings, distance: usize) -> Trio {
    let (mut input, mut ours, mut independent) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..painted.ours.len().saturating_sub(distance) {
        let to = at + distance;
        let motion = clip.flow(at, to);
        let error = |now: &Frame, then: &Frame| warping_error(now, then, &motion.flow, &motion.trust);
        input.extend(error(&clip.frames[at], &clip.frames[to]));
        ours.extend(error(&painted.ours[at], &painted.ours[to]));
        if painted.places.contains(&at)
            && let (Some(now), Some(then)) = (painted.independent.get(&at), painted.independent.get(&to))
        {
            independent.extend(error(now, then));
        }
    }
    Trio {
        input: mean(input.into_iter()),
        ours: mean(ours.into_iter()),
        independent: mean(independent.into_iter()),
    }
}
