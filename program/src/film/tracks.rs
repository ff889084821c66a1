// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which of the tracks of a file make the film.
//!
//! Tracks come in groups: where a program or a chain ends, its tracks end and others begin. Of each group one track is
//! painted and one is heard.

use super::feed::Frame;

/// What is known of a track with pictures.
struct Track {
    id: usize,
    group: usize,
    /// Whether it is encoded as still pictures are: perhaps it is only a cover.
    still: bool,
    ended: bool,
    left_out: bool,
    /// What was read before it was chosen.
    held: Vec<Frame>,
}

/// What becomes of a frame.
pub enum Fate {
    /// These are the next frames of the film.
    Painted(Vec<Frame>),
    /// It is kept until it is known whether its track is painted.
    Held,
    /// Its track is not painted, or not yet.
    Wait,
    LeftOut,
}

/// The tracks with pictures, and those with sound by number alone.
#[derive(Default)]
pub struct Tracks {
    pictures: Vec<Track>,
    chosen: Option<usize>,
    group: usize,
    /// Whether all tracks of the group are known.
    complete: bool,
    heard: Option<usize>,
    sounds: Vec<(usize, usize)>,
    next: usize,
}

impl Tracks {
    /// A new track with pictures.
    pub fn add_pictures(&mut self, still: bool) -> usize {
        let id = self.new_id();
        self.pictures.push(Track {
            id,
            group: self.group,
            still,
            ended: false,
            left_out: false,
            held: Vec::new(),
        });
        id
    }

    /// A new track with sound.
    pub fn add_sound(&mut self) -> usize {
        let id = self.new_id();
        self.sounds.push((id, self.group));
        id
    }

    fn new_id(&mut self) -> usize {
        if self.complete {
            self.complete = false;
            self.group += 1;
        }
        self.next += 1;
        self.next
    }

    /// All tracks of this group are there: how many there are with pictures and with sound.
    pub fn complete(&mut self) -> (usize, usize) {
        self.complete = true;
        let pictures = self.pictures.iter().filter(|track| track.group == self.group);
        let sounds = self.sounds.iter().filter(|(_, group)| *group == self.group);
        (pictures.count(), sounds.count())
    }

    /// Whether any tracks have pictures.
    pub fn has_pictures(&self) -> bool {
        !self.pictures.is_empty()
    }

    pub fn end(&mut self, id: usize) {
        if self.chosen == Some(id) {
            self.chosen = None;
        }
        if self.heard == Some(id) {
            self.heard = None;
        }
        if let Some(track) = self.pictures.iter_mut().find(|track| track.id == id) {
            track.ended = true;
        }
        self.sounds.retain(|(known, _)| *known != id);
    }

    /// Whether a track is the one that is heard: the first of its group, once the one before has ended.
    pub fn is_heard(&mut self, id: usize) -> bool {
        if self.heard.is_none() {
            let first = self.sounds.iter().find(|(_, group)| *group == self.group);
            self.heard = first.map(|(id, _)| *id);
        }
        self.heard == Some(id)
    }

    /// Says what becomes of a frame, and chooses the track that is painted as soon as that is possible. A frame that
    /// must wait is given back.
    pub fn take(&mut self, id: usize, frame: Frame) -> (Fate, Option<Frame>) {
        let group = self.group;
        let complete = self.complete;
        let Some(track) = self.pictures.iter_mut().find(|track| track.id == id) else {
            return (Fate::LeftOut, None);
        };
        if track.left_out {
            return (Fate::LeftOut, None);
        }
        if self.chosen == Some(id) {
            return (Fate::Painted(vec![frame]), None);
        }
        if self.chosen.is_some() || !complete || track.group != group {
            return (Fate::Wait, Some(frame));
        }
        // Two frames say that it is no still; more are not kept.
        if track.held.len() == 2 {
            return (Fate::Wait, Some(frame));
        }
        track.held.push(frame);
        self.choose();
        (self.release(id), None)
    }

    /// Chooses, once it is known which tracks are stills. The frames of a track that ended before are the film where there
    /// is no other.
    pub fn choose(&mut self) -> Option<usize> {
        if self.chosen.is_some() || !self.complete {
            return self.chosen;
        }
        let group = self.group;
        let mut candidates: Vec<&Track> = self
            .pictures
            .iter()
            .filter(|track| track.group == group && !track.left_out)
            .collect();
        candidates.sort_by_key(|track| track.still);
        let chosen = match candidates.as_slice() {
            [] => None,
            [only] => (!only.held.is_empty()).then_some(only.id),
            several => {
                let undecided = several.iter().find(|track| track.held.len() > 1 || !track.ended);
                match undecided {
                    Some(track) => (track.held.len() > 1).then_some(track.id),
                    None => several
                        .iter()
                        .find(|track| !track.held.is_empty())
                        .map(|track| track.id),
                }
            }
        };
        if let Some(chosen) = chosen {
            for track in &mut self.pictures {
                if track.group == group && track.id != chosen {
                    track.left_out = true;
                    track.held.clear();
                }
            }
            self.chosen = Some(chosen);
        }
        chosen
    }

    /// The frames that a track held, if it was chosen.
    pub fn release(&mut self, id: usize) -> Fate {
        let track = self.pictures.iter_mut().find(|track| track.id == id);
        match track {
            Some(track) if self.chosen == Some(id) => Fate::Painted(std::mem::take(&mut track.held)),
            Some(track) if track.left_out => Fate::LeftOut,
            _ => Fate::Held,
        }
    }
}
