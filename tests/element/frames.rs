// SPDX-License-Identifier: MIT OR Apache-2.0

//! What comes out of the element for what goes in: formats, sizes, bytes, times and metas.

use crate::common::*;
use crate::formats::raw_formats;
use gst_video::VideoFormat;

/// Places of the colours in a pixel, and of the fourth byte if there is one.
fn places(format: VideoFormat) -> ([usize; 3], Option<usize>) {
    match format {
        VideoFormat::Rgb => ([0, 1, 2], None),
        VideoFormat::Bgr => ([2, 1, 0], None),
        VideoFormat::Rgbx | VideoFormat::Rgba => ([0, 1, 2], Some(3)),
        VideoFormat::Bgrx | VideoFormat::Bgra => ([2, 1, 0], Some(3)),
        VideoFormat::Xrgb | VideoFormat::Argb => ([1, 2, 3], Some(0)),
        VideoFormat::Xbgr | VideoFormat::Abgr => ([3, 2, 1], Some(0)),
        other => panic!("{other:?}"),
    }
}

/// The colours of all pixels, and their fourth bytes.
fn take_apart(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> (Vec<u8>, Vec<u8>) {
    let (colours, fourth) = places(info.format());
    let bytes_per_pixel = if fourth.is_some() { 4 } else { 3 };
    let data = bytes(buffer);
    let (mut rgb, mut rest) = (Vec::new(), Vec::new());
    for row in data.chunks(info.stride()[0] as usize) {
        for pixel in row[..info.width() as usize * bytes_per_pixel].chunks(bytes_per_pixel) {
            rgb.extend(colours.map(|place| pixel[place]));
            rest.extend(fourth.map(|place| pixel[place]));
        }
    }
    (rgb, rest)
}

#[test]
fn every_packed_format_at_every_size_is_painted_and_keeps_its_alpha() {
    let pictures = Pictures::new();
    let style = pictures.red();
    for (width, height) in [(1, 1), (3, 5), (33, 17), (32, 24)] {
        for format in PACKED_FORMATS {
            init();
            let info = info(format, width, height);
            let mut rig = Rig::new(element(&style, ""), &info);
            for number in 0..2 {
                let input = rig.frame(number);
                let (rgb, rest) = take_apart(&input, &info);
                let output = rig.paint(input);
                assert_eq!(output.size(), info.size(), "{format:?} {width}×{height}");
                let (painted, kept) = take_apart(&output, &info);
                assert_ne!(painted, rgb, "{format:?} {width}×{height} is painted");
                if info.format_info().has_alpha() {
                    assert_eq!(kept, rest, "{format:?} {width}×{height} keeps alpha");
                }
                assert!(
                    painted.iter().any(|&value| value > 0),
                    "{format:?} {width}×{height} is not black"
                );
            }
        }
    }
}

/// The same scene is the same painting, however its bytes lie.
#[test]
fn the_painting_does_not_depend_on_the_format() {
    init();
    let pictures = Pictures::new();
    let style = pictures.blue();
    let (width, height) = (31, 18);
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * 29 % 253) as u8).collect();
    let mut paintings = Vec::new();
    for format in PACKED_FORMATS {
        let info = info(format, width as u32, height as u32);
        let (colours, _) = places(format);
        let bytes_per_pixel = info.format_info().pixel_stride()[0] as usize;
        let mut data = vec![0; info.size()];
        for (y, row) in data.chunks_mut(info.stride()[0] as usize).enumerate() {
            for x in 0..width {
                for (place, value) in colours.iter().zip(&rgb[(y * width + x) * 3..]) {
                    row[x * bytes_per_pixel + place] = *value;
                }
            }
        }
        let mut buffer = gst::Buffer::from_slice(data);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        let output = Rig::new(element(&style, ""), &info).paint(buffer);
        paintings.push((format, take_apart(&output, &info).0));
    }
    let (_, first) = &paintings[0];
    for (format, painting) in &paintings {
        assert!(painting == first, "{format:?} shows another painting than RGB");
    }
}

#[test]
fn a_frame_with_long_rows_is_the_same_painting() {
    init();
    let pictures = Pictures::new();
    let style = pictures.red();
    let info = info(VideoFormat::Rgb, 21, 9);
    let tight = frame(&info, 3);
    let stride = info.stride()[0] as usize + 13;
    let offset = 7;
    let mut data = vec![0x55; offset + stride * 9];
    for (row, source) in data[offset..]
        .chunks_mut(stride)
        .zip(bytes(&tight).chunks(info.stride()[0] as usize))
    {
        row[..21 * 3].copy_from_slice(&source[..21 * 3]);
    }
    let mut long = gst::Buffer::from_slice(data);
    {
        let long = long.get_mut().unwrap();
        long.set_pts(tight.pts());
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(long, flags, VideoFormat::Rgb, 21, 9, &[offset], &[stride as i32])
            .unwrap();
    }
    let expected = Rig::new(element(&style, ""), &info).paint(tight);
    let painted = Rig::new(element(&style, ""), &info).paint(long);
    assert_eq!(take_apart(&painted, &info), take_apart(&expected, &info));
}

#[test]
fn times_offsets_flags_and_metas_survive() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let mut input = rig.frame(5);
    let clock = gst::Caps::builder("timestamp/x-ntp").build();
    {
        let input = input.get_mut().unwrap();
        input.set_dts(gst::ClockTime::from_mseconds(160));
        input.set_offset(5);
        input.set_offset_end(6);
        input.set_flags(gst::BufferFlags::MARKER | gst::BufferFlags::CORRUPTED);
        gst::ReferenceTimestampMeta::add(input, &clock, gst::ClockTime::from_seconds(77), None);
        gst_video::VideoRegionOfInterestMeta::add(input, "face", (3, 4, 5, 6));
        let flags = gst_video::VideoTimeCodeFlags::empty();
        let fps = gst::Fraction::new(25, 1);
        let time_code = gst_video::ValidVideoTimeCode::new(fps, None, flags, 10, 9, 8, 7, 0).unwrap();
        gst_video::VideoTimeCodeMeta::add(input, &time_code);
    }
    let output = rig.paint(input);
    assert_eq!(output.pts(), Some(FRAME * 5));
    assert_eq!(output.dts(), Some(gst::ClockTime::from_mseconds(160)));
    assert_eq!(output.duration(), Some(FRAME));
    assert_eq!((output.offset(), output.offset_end()), (5, 6));
    assert!(
        output
            .flags()
            .contains(gst::BufferFlags::MARKER | gst::BufferFlags::CORRUPTED)
    );
    let reference = output
        .meta::<gst::ReferenceTimestampMeta>()
        .expect("the reference timestamp is there");
    assert_eq!(reference.timestamp(), gst::ClockTime::from_seconds(77));
    let region = output
        .meta::<gst_video::VideoRegionOfInterestMeta>()
        .expect("the region of interest is there");
    assert_eq!(region.rect(), (3, 4, 5, 6));
    let time_code = output
        .meta::<gst_video::VideoTimeCodeMeta>()
        .expect("the time code is there");
    assert_eq!(time_code.tc().to_string(), "10:09:08:07");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let pictures = Pictures::new();
    let style = pictures.red();
    let film = |seed: u32| -> Vec<Vec<u8>> {
        let line = format!(
            "videotestsrc num-buffers=4 pattern=ball ! video/x-raw,format=RGB,width=33,height=21 \
             ! neuralstyle style={} {QUICK} init=noise seed={seed} ! appsink",
            style.display()
        );
        render(&line)
            .iter()
            .map(|sample| bytes(sample.buffer().unwrap()))
            .collect()
    };
    let first = film(1);
    assert_eq!(first.len(), 4);
    assert!(film(1) == first, "the same seed, the same film");
    assert!(film(2) != first, "another seed, another film");
}

#[test]
fn without_strength_the_very_buffers_pass() {
    init();
    let pictures = Pictures::new();
    let style = pictures.red();
    for format in raw_formats() {
        let mut rig = Rig::new(element(&style, "strength=0"), &info(format, 13, 7));
        for number in 0..3 {
            let input = rig.frame(number);
            let (expected, memory) = (bytes(&input), input.peek_memory(0).as_ptr());
            let output = rig.paint(input);
            assert_eq!(bytes(&output), expected, "{format:?}");
            assert_eq!(
                output.peek_memory(0).as_ptr(),
                memory,
                "{format:?} is not even copied"
            );
        }
        assert_eq!(rig.stats().get::<u64>("frames"), Ok(0), "nothing was painted");
    }
}

#[test]
fn strength_mixes_the_painting_with_the_original() {
    let pictures = Pictures::new();
    let style = pictures.red();
    let painted = |strength: f64| {
        let mut rig = Rig::rgb(element(&style, &format!("strength={strength}")), 32, 24);
        let input = rig.frame(0);
        bytes(&rig.paint(input))
    };
    let (full, half, little) = (painted(1.0), painted(0.5), painted(0.01));
    let info = info(VideoFormat::Rgb, 32, 24);
    for (little, original) in little.into_iter().zip(bytes(&frame(&info, 0))) {
        assert!(
            little.abs_diff(original) <= 4,
            "a little strength changes little: {original} to {little}"
        );
    }
    for ((&full, &half), original) in full.iter().zip(&half).zip(bytes(&frame(&info, 0))) {
        let (least, most) = (
            full.min(original).saturating_sub(1),
            full.max(original).saturating_add(1),
        );
        assert!(
            (least..=most).contains(&half),
            "{half} lies between {original} and {full}"
        );
    }
}

#[test]
fn an_empty_gap_is_left_out_in_silence() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let first = rig.frame(0);
    rig.paint(first);
    let mut gap = gst::Buffer::new();
    gap.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    rig.harness.push(gap).unwrap();
    assert!(rig.harness.try_pull().is_none());
    assert!(rig.bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
    let next = rig.frame(1);
    rig.paint(next);
}

#[test]
fn a_gap_that_shows_something_is_painted_like_any_frame() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let mut gap = rig.frame(0);
    gap.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let original = bytes(&gap);
    assert_ne!(bytes(&rig.paint(gap)), original);
}

#[test]
fn a_frame_that_is_too_short_is_left_out_with_a_warning_and_the_stream_goes_on() {
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), ""), 32, 24);
    let mut short = gst::Buffer::with_size(100).unwrap();
    short.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    rig.harness.push(short).unwrap();
    assert!(
        rig.harness.try_pull().is_none(),
        "what nobody has painted is not shown"
    );
    let warning = rig.message(gst::MessageType::Warning);
    let gst::MessageView::Warning(warning) = warning.view() else {
        panic!("{warning:?}")
    };
    assert!(warning.error().matches(gst::StreamError::Format), "{warning:?}");
    assert!(warning.error().message().contains("32×24"), "{warning:?}");
    let next = rig.frame(1);
    rig.paint(next);
}
