// SPDX-License-Identifier: MIT OR Apache-2.0

//! Films of many kinds, made by ffmpeg and looked at by ffprobe.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::running::{PATIENCE, Running, assert_refused, command, run, said, words};

/// Why nothing can be tried here, if that is so.
static LACKING: LazyLock<Option<&str>> = LazyLock::new(|| {
    gst::init().unwrap();
    let has = |name| gst::ElementFactory::find(name).is_some();
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        Some("there is no ffmpeg")
    } else if !has("avdec_h264") || !has("h264parse") || !has("x264enc") {
        Some("GStreamer lacks gstreamer1.0-libav, -plugins-bad or -plugins-ugly")
    } else {
        None
    }
});

/// Says why a test is skipped.
fn skips() -> bool {
    if let Some(why) = *LACKING {
        println!("skipped: {why}");
    }
    LACKING.is_some()
}

const PICTURES: &str = "-f lavfi -i testsrc=size=64x48:rate=10:duration=0.6";
const SOUND: &str = "-f lavfi -i sine=frequency=440:duration=0.6";
const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

impl Folder {
    /// Runs ffmpeg here.
    fn ffmpeg(&self, arguments: &str) {
        let made = run(Command::new("ffmpeg")
            .current_dir(self.0.path())
            .args(["-y", "-v", "error"])
            .args(arguments.split_whitespace()));
        assert!(made.status.success(), "{arguments}: {}", words(&made));
    }

    /// One file behind the other.
    fn join(&self, names: &[&str], joined: &str) {
        let bytes = names.iter().flat_map(|name| fs::read(self.path(name)).unwrap());
        fs::write(self.path(joined), bytes.collect::<Vec<u8>>()).unwrap();
    }

    fn film(&self, input: &str, output: &str, more: &[&str]) -> Command {
        let mut film = command(&["film", input, output, "--style", "style.png", "--network", "tiny"]);
        film.current_dir(self.0.path())
            .args([
                "--first-iterations",
                "2",
                "--iterations",
                "1",
                "--working-size",
                "48",
            ])
            .args(more);
        film
    }
}

/// What ffprobe says of the tracks of a kind, one a line, with the number of frames at the end.
fn tracks(path: &Path, kind: &str, entries: &str) -> String {
    let probed = run(Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            kind,
            "-of",
            "csv=p=0",
        ])
        .args(["-show_entries", &format!("stream={entries},nb_read_frames")])
        .arg(path));
    assert!(probed.status.success(), "{}", words(&probed));
    said(&probed).trim().to_owned()
}

#[test]
fn whatever_can_be_decoded_is_painted() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    for (file, how, sound) in [
        ("huffyuv.avi", "-c:v huffyuv", false),
        ("theora.ogv", "-c:v libtheora -pix_fmt yuv422p", false),
        (
            "deep.mp4",
            "-c:v libx264 -preset ultrafast -pix_fmt yuv422p10le",
            false,
        ),
        ("quarter.mkv", "-c:v ffv1 -pix_fmt yuv411p", false),
        ("gbr.mkv", "-c:v ffv1 -pix_fmt gbrp", false),
        ("gray.mkv", "-c:v ffv1 -pix_fmt gray16le", false),
        ("alpha.mkv", "-c:v ffv1 -pix_fmt bgra", false),
        ("v210.avi", "-c:v v210", false),
        ("raw.mjpeg", "-f mjpeg", false),
        ("raw.h264", X264, false),
        ("moving.gif", "-f gif", false),
        ("moving.png", "-f apng", false),
        ("sound.mkv", &format!("{X264} -c:a pcm_s16le -ac 2"), true),
    ] {
        let sources = if sound {
            format!("{PICTURES} {SOUND}")
        } else {
            PICTURES.to_owned()
        };
        folder.ffmpeg(&format!("{sources} {how} {file}"));
        let output = run(&mut folder.film(file, "out.mp4", &["--force"]));
        assert!(output.status.success(), "{file}: {}", words(&output));
        let found = tracks(&folder.path("out.mp4"), "v", "codec_name,width,height,pix_fmt");
        let expected = ["h264,64,48,yuv420p,6", "h264,64,48,yuvj420p,6"];
        assert!(expected.contains(&found.as_str()), "{file}: {found}");
        assert_eq!(
            !tracks(&folder.path("out.mp4"), "a", "codec_name").is_empty(),
            sound,
            "{file}"
        );
    }
}

#[test]
fn a_film_whose_tracks_change_goes_on() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    folder.ffmpeg(&format!("{PICTURES} {SOUND} {X264} -c:a mp2 one.ts"));
    folder.ffmpeg(&format!(
        "{PICTURES} {SOUND} {X264} -c:a mp2 -streamid 0:0x200 -streamid 1:0x201 -output_ts_offset 1 moved.ts"
    ));
    folder.ffmpeg(&format!(
        "{PICTURES} {SOUND} {X264} -c:a ac3 -output_ts_offset 1 other.ts"
    ));
    folder.ffmpeg(&format!("{PICTURES} {X264} -output_ts_offset 1 silent.ts"));
    folder.ffmpeg(&format!(
        "{} {SOUND} {X264} -c:a mp2 -output_ts_offset 1 wide.ts",
        PICTURES.replace("64x48", "96x48")
    ));
    folder.ffmpeg(&format!(
        "{PICTURES} {SOUND} -c:v libtheora -c:a libvorbis one.ogg"
    ));
    folder.ffmpeg(&format!("{PICTURES} -c:v libtheora silent.ogg"));
    for (first, second) in [
        ("one.ts", "moved.ts"),
        ("one.ts", "other.ts"),
        ("one.ts", "silent.ts"),
        ("silent.ts", "one.ts"),
        ("one.ts", "wide.ts"),
        ("one.ogg", "silent.ogg"),
        ("silent.ogg", "one.ogg"),
    ] {
        let joined = format!("joined.{}", &first[first.len() - 3..]);
        folder.join(&[first, second], &joined);
        let output = run(&mut folder.film(&joined, "out.mp4", &["--force"]));
        assert!(output.status.success(), "{first} {second}: {}", words(&output));
        let found = tracks(&folder.path("out.mp4"), "v", "width,height");
        assert_eq!(found, "64,48,12", "{first} {second}");
        let sound = tracks(&folder.path("out.mp4"), "a", "codec_name");
        assert!(!sound.is_empty(), "{first} {second}: the sound is gone");
    }
}

#[test]
fn a_cover_is_not_taken_for_the_film() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    folder.ffmpeg(&format!(
        "-i content.png {PICTURES} -map 0 -map 1 -c:v:0 mjpeg -c:v:1 mjpeg cover.mkv"
    ));
    let output = run(&mut folder.film("cover.mkv", "out.mp4", &[]));
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(tracks(&folder.path("out.mp4"), "v", "width,height"), "64,48,6");
}

#[test]
fn every_codec_goes_into_the_files_that_hold_it() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    folder
        .ffmpeg("-f lavfi -i testsrc=size=65x49:rate=10:duration=0.4 -c:v ffv1 -pix_fmt yuv420p10le in.mkv");
    for (codec, ending, expected) in [
        ("h264", "mp4", "h264,64,48,yuv420p,4"),
        ("h264", "mov", "h264,64,48,yuv420p,4"),
        ("vp8", "webm", "vp8,65,49,yuv420p,4"),
        ("vp9", "webm", "vp9,65,49,yuv420p10le,4"),
        ("vp9", "mkv", "vp9,65,49,yuv420p10le,4"),
        ("av1", "mp4", "av1,65,49,yuv420p,4"),
        ("ffv1", "mkv", "ffv1,65,49,yuv420p10le,4"),
        ("prores", "mov", "prores,65,49,yuv422p10le,4"),
    ] {
        let name = format!("out.{ending}");
        let output = run(&mut folder.film("in.mkv", &name, &["--codec", codec, "--force"]));
        assert!(output.status.success(), "{codec}: {}", words(&output));
        let found = tracks(&folder.path(&name), "v", "codec_name,width,height,pix_fmt");
        // Where there is a newer encoder, AV1 keeps the depth.
        assert_eq!(
            found.replace("av1,65,49,yuv420p10le", "av1,65,49,yuv420p"),
            expected,
            "{codec}"
        );
    }
    let misfit = run(&mut folder.film("in.mkv", "no.mp4", &["--codec", "prores"]));
    assert_refused(&misfit, "prores goes into .mov");
}

#[test]
fn pictures_with_numbers_are_a_film_until_a_number_is_missing() {
    let folder = Folder::new();
    for name in ["a003.png", "a004.png", "a006.png"] {
        fs::copy(folder.path("content.png"), folder.path(name)).unwrap();
    }
    let output = run(&mut folder.film("a%03d.png", "b%02d.png", &[]));
    assert!(output.status.success(), "{}", words(&output));
    assert!(
        words(&output).contains("a005.png is missing"),
        "{}",
        words(&output)
    );
    let painted: Vec<_> = folder
        .names()
        .into_iter()
        .filter(|name| name.starts_with('b'))
        .collect();
    assert_eq!(painted, ["b03.png", "b04.png"]);
    assert_refused(&run(&mut folder.film("a%03d.png", "b%02d.png", &[])), "--force");
    assert_refused(
        &run(&mut folder.film("c%03d.png", "d%02d.png", &[])),
        "there is no picture like c001.png",
    );
}

#[test]
fn what_there_is_of_a_file_that_is_cut_short_is_kept_and_told() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    folder.ffmpeg(&format!(
        "{} {X264} -g 5 long.mkv",
        PICTURES.replace("duration=0.6", "duration=4")
    ));
    let bytes = fs::read(folder.path("long.mkv")).unwrap();
    fs::write(folder.path("cut.mkv"), &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&mut folder.film("cut.mkv", "out.mp4", &[]));
    assert_refused(&output, "cut.mkv: it is cut short");
    assert!(
        words(&output).contains("out.mp4 holds the first "),
        "{}",
        words(&output)
    );
    let frames: usize = tracks(&folder.path("out.mp4"), "v", "codec_name")["h264,".len()..]
        .parse()
        .unwrap();
    assert!((10..40).contains(&frames), "{frames}");
}

#[cfg(unix)]
#[test]
fn a_frame_that_would_take_for_ever_is_given_up_for_an_interrupt() {
    let folder = Folder::with_clip(5);
    // After a first frame that is quickly done.
    let mut endless = command(&[
        "film",
        "clip.webm",
        "painted%d.png",
        "--style",
        "style.png",
        "--network",
        "tiny",
    ]);
    endless
        .current_dir(folder.0.path())
        .args(["--first-iterations", "1", "--iterations", "1000000"]);
    let mut film = Running::start(&mut endless);
    let begun = Instant::now();
    while !folder.path("painted1.png").exists() {
        assert!(begun.elapsed() < PATIENCE, "nothing is painted");
        assert_eq!(film.status(), None, "it has ended before it was interrupted");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let killed = Command::new("kill")
        .args(["-TERM", &film.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert_refused(
        &film.finish(PATIENCE),
        "interrupted; painted%d.png holds the first frame",
    );
}

#[test]
fn interlaced_video_is_painted_live() {
    if skips() {
        return;
    }
    let folder = Folder::new();
    folder.ffmpeg(&format!(
        "{PICTURES} -vf tinterlace=interleave_top,setfield=tff -flags +ildct+ilme -c:v mpeg2video fields.mpg"
    ));
    let output = run(command(&[
        "live",
        "fields.mpg",
        "--to",
        "fakesink",
        "--frames",
        "2",
        "--size",
        "64x48",
    ])
    .current_dir(folder.0.path())
    .args([
        "--style",
        "style.png",
        "--network",
        "tiny",
        "--first-iterations",
        "1",
    ]));
    assert!(output.status.success(), "{}", words(&output));
}
