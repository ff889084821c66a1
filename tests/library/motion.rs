// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is found out about the motion of clips whose motion is known.

use crate::facts;
use neuralstyle::backend::CancelToken;
use neuralstyle::backend::reference::Reference;
use neuralstyle::motion::{Gray, Stepped, Tracker};

use crate::scenes::NAMES;

const SIZES: [(usize, usize); 2] = [(192, 112), (320, 180)];

/// By the steps that the backends have, one after the other in f64.
fn stepped() -> Stepped<Reference> {
    Stepped::new(Reference::new(CancelToken::new()))
}

#[test]
fn what_is_visible_is_followed_to_a_quarter_of_a_pixel() {
    let photos: Vec<String> = NAMES.iter().map(|name| format!("{name}-photo")).collect();
    let photos: Vec<&str> = photos.iter().map(String::as_str).collect();
    for size in SIZES {
        facts::following(Tracker::new, size, &NAMES, 0.25);
        facts::following(Tracker::new, size, &photos, 0.25);
    }
    facts::following(stepped, (96, 56), &NAMES, 0.25);
}

/// Also in the flats, of which a smooth flow alone would say that they stand still.
#[test]
fn a_camera_that_nears_or_turns_is_followed_closer_still() {
    let names = ["zoom-photo", "rotation-photo"];
    for size in SIZES {
        facts::following(Tracker::new, size, &names, 0.03);
    }
    facts::following(stepped, (96, 56), &names, 0.05);
}

#[test]
fn a_still_scene_stands_still_and_noise_hardly_moves_it() {
    facts::standing_still(Tracker::new, SIZES[0]);
}

#[test]
fn what_an_object_uncovers_is_marked_and_what_stays_is_not() {
    facts::uncovering(Tracker::new, SIZES[1], &["object", "object-photo"], (0.45, 0.85));
}

#[test]
fn light_does_not_count_as_another_picture_but_a_cut_does() {
    let [lit, pan] = ["light-photo", "pan"].map(|name| facts::scene(name, SIZES[0]));
    let unexplained = |before: Gray, now: Gray| {
        let mut tracker = Tracker::new();
        tracker.track(&before, &now);
        tracker.unexplained(&before, &now).expect("both have structure")
    };
    let light = unexplained(facts::gray(&lit, 1), facts::gray(&lit, 2));
    assert!(light < 0.1, "{light}");
    let cut = unexplained(facts::gray(&pan, 0), facts::gray(&lit, 0));
    assert!(cut > 0.4, "{cut}");
}

#[test]
fn a_tracker_takes_pictures_of_any_size_after_one_another() {
    let sizes = [(64, 48), (16, 16), (33, 21), (5, 3), (1, 1), (192, 112)];
    facts::changing_size(Tracker::new, &sizes);
    facts::changing_size(stepped, &sizes[..5]);
}

#[test]
fn pictures_without_structure_do_not_move() {
    facts::seeing_nothing(Tracker::new, &[(16, 16), (64, 40)]);
    facts::seeing_nothing(stepped, &[(16, 16)]);
}

#[test]
fn the_same_frames_give_the_same_numbers() {
    facts::repeating(Tracker::new, SIZES[0]);
}
