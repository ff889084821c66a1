// SPDX-License-Identifier: MIT OR Apache-2.0

//! All raw formats: what is painted, and what stays as it was.

use crate::common::*;
use gst::prelude::*;
use gst_video::{VideoConverter, VideoFormat, VideoFrameRef, VideoInfo};

/// What the element's template says that it takes.
pub fn raw_formats() -> Vec<VideoFormat> {
    init();
    let factory = gst::ElementFactory::find("neuralstyle").unwrap();
    let sink = factory
        .static_pad_templates()
        .into_iter()
        .find(|template| template.direction() == gst::PadDirection::Sink);
    let caps = sink.unwrap().caps();
    let formats: gst::List = caps.structure(0).unwrap().get("format").unwrap();
    let names = formats.iter().map(|name| name.get::<&str>().unwrap());
    names.map(VideoFormat::from_string).collect()
}

/// The pixels of a frame, [H, W] of alpha, red, green and blue with 16 bits each.
fn seen(buffer: &gst::BufferRef, info: &VideoInfo) -> Vec<[u16; 4]> {
    let wide = VideoInfo::builder(VideoFormat::Argb64, info.width(), info.height())
        .fps(info.fps())
        .build()
        .unwrap();
    let converter = VideoConverter::new(info, &wide, None).unwrap();
    let mut out = gst::Buffer::with_size(wide.size()).unwrap();
    let from = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut to = VideoFrameRef::from_buffer_ref_writable(out.get_mut().unwrap(), &wide).unwrap();
    converter.frame_ref(&from, &mut to);
    drop(to);
    let bytes = bytes(&out);
    let pixels = bytes.chunks_exact(8).map(|pixel| {
        let channel = |c: usize| u16::from_ne_bytes([pixel[2 * c], pixel[2 * c + 1]]);
        [0, 1, 2, 3].map(channel)
    });
    pixels.collect()
}

#[test]
fn the_formats_are_those_that_people_have() {
    let known = raw_formats();
    for name in "I420 YV12 NV12 NV21 NV16 Y42B Y41B Y444 YUY2 UYVY YVYU AYUV VUYA A420 P010_10LE I420_10LE I422_10LE Y444_10LE \
                 I420_12LE Y210 Y410 v210 v216 GRAY8 GRAY16_LE RGB BGRx RGB16 RGB15 RGB8P ARGB64 RGBA64_LE GBR GBR_10LE \
                 GBRA RGB10A2_LE r210"
        .split_whitespace()
    {
        assert!(known.contains(&VideoFormat::from_string(name)), "{name}");
    }
}

#[test]
fn every_format_is_painted_and_keeps_its_alpha() {
    let pictures = Pictures::new();
    let style = pictures.red();
    for format in raw_formats() {
        let info = info(format, 33, 17);
        let mut rig = Rig::new(element(&style, ""), &info);
        let input = rig.frame(0);
        let output = rig.paint(input.clone());
        assert_eq!(output.size(), info.size(), "{format:?}");
        let (before, after) = (seen(&input, &info), seen(&output, &info));
        assert!(before != after, "{format:?} is painted");
        // Y410 and its like have alpha, but are not marked so.
        if info.format_info().n_components() > 3 {
            let alpha = |pixels: &[[u16; 4]]| pixels.iter().map(|pixel| pixel[0]).collect::<Vec<_>>();
            assert!(alpha(&before) == alpha(&after), "{format:?} keeps alpha");
        }
        if !info.format_info().is_gray() {
            let mean = |channel: usize| {
                let sum: u64 = after.iter().map(|pixel| u64::from(pixel[channel])).sum();
                sum / after.len() as u64
            };
            assert!(mean(1) > 2 * mean(3), "{format:?} takes the style's red");
        }
    }
}

/// A slope of 600 codes of 10 bits along a row: at 8 bits there are 150.
#[test]
fn deep_frames_are_painted_in_all_of_their_codes() {
    init();
    let pictures = Pictures::new();
    let info = info(VideoFormat::Gray10Le32, 600, 2);
    let words = info.stride()[0] as usize / 4;
    let slope: Vec<u8> = (0..2 * words)
        .flat_map(|word| {
            let code = |i: usize| (200 + (3 * (word % words) + i).min(599)) as u32;
            (code(0) | code(1) << 10 | code(2) << 20).to_le_bytes()
        })
        .collect();
    let mut buffer = gst::Buffer::from_slice(slope);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    // Half of the frame itself, so that its codes are seen in the painting.
    let output = Rig::new(element(&pictures.red(), "strength=0.5"), &info).paint(buffer);
    let mut codes: Vec<u16> = seen(&output, &info).iter().map(|pixel| pixel[1] >> 6).collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 220, "{} codes", codes.len());
}

#[test]
fn what_the_caps_say_of_colours_and_hdr_goes_on() {
    let pictures = Pictures::new();
    init();
    for caps in [
        "video/x-raw,format=P010_10LE,width=32,height=24,framerate=25/1,interlace-mode=progressive,pixel-aspect-ratio=1/1,\
         colorimetry=bt2100-pq,chroma-site=cosited,\
         mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:50,\
         content-light-level=(string)1000:400",
        "video/x-raw,format=I420,width=32,height=24,framerate=25/1,pixel-aspect-ratio=16/15,colorimetry=bt601,chroma-site=jpeg",
        "video/x-raw,format=NV12,width=32,height=24,framerate=0/1,colorimetry=1:4:7:1",
    ] {
        let caps: gst::Caps = caps.parse().unwrap();
        let info = VideoInfo::from_caps(&caps).unwrap();
        let mut rig = Rig::new(element(&pictures.red(), ""), &info);
        rig.harness.set_src_caps(caps.clone());
        let frame = rig.frame(0);
        rig.paint(frame);
        let sent = rig.harness.sinkpad().unwrap().current_caps().unwrap();
        assert!(
            sent.is_subset(&caps) && caps.is_subset(&sent),
            "{caps} became {sent}"
        );
    }
}

/// Matrix and range are undone and done again: what is nearly all of the frame itself has its colours. Of 8 bits GStreamer's
/// converter makes up to 3 codes less of them, of more it makes the nearest.
#[test]
fn matrix_and_range_are_those_of_the_caps() {
    init();
    let pictures = Pictures::new();
    for colorimetry in ["bt601", "bt709", "bt2020", "1:1:5:1", "2:4:7:1"] {
        for (format, shift, most) in [(VideoFormat::Y444, 0, 3), (VideoFormat::Y44410le, 2, 2)] {
            let info = VideoInfo::builder(format, 32, 24)
                .fps(gst::Fraction::new(25, 1))
                .colorimetry(&colorimetry.parse().unwrap())
                .build()
                .unwrap();
            let codes: Vec<u16> = [120u16, 100, 150]
                .into_iter()
                .flat_map(|code| vec![code << shift; 32 * 24])
                .collect();
            let data: Vec<u8> = match shift {
                0 => codes.iter().map(|&code| code as u8).collect(),
                _ => codes.iter().flat_map(|code| code.to_le_bytes()).collect(),
            };
            let mut buffer = gst::Buffer::from_slice(data);
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
            let output = Rig::new(element(&pictures.red(), "strength=0.001"), &info).paint(buffer);
            let painted = bytes(&output);
            for (at, &before) in codes.iter().enumerate() {
                let after = match shift {
                    0 => u16::from(painted[at]),
                    _ => u16::from_le_bytes([painted[2 * at], painted[2 * at + 1]]),
                };
                assert!(
                    before.abs_diff(after) <= most,
                    "{colorimetry} {format:?}: {before} became {after}"
                );
            }
        }
    }
}

#[test]
fn interlaced_video_is_refused_in_a_sentence_that_says_what_to_do() {
    let pictures = Pictures::new();
    for mode in ["interleaved", "mixed", "fields"] {
        let bus = gst::Bus::new();
        let element = element(&pictures.red(), "");
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        let caps = format!("video/x-raw,format=I420,width=32,height=24,framerate=25/1,interlace-mode={mode}");
        harness.set_src_caps_str(&caps);
        let info = info(VideoFormat::I420, 32, 24);
        let pushed = harness.push(frame(&info, 0));
        assert_eq!(pushed, Err(gst::FlowError::NotNegotiated), "{mode}");
        let message = bus
            .timed_pop_filtered(PATIENCE, &[gst::MessageType::Error])
            .unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            panic!("{message:?}")
        };
        let text = error.error().message().to_owned();
        assert!(text.contains("deinterlace") && text.contains(mode), "{text}");
    }
}

#[test]
fn what_can_be_either_way_comes_progressive() {
    let pictures = Pictures::new();
    let bin = gst::parse::bin_from_description(
        &format!(
            "videotestsrc num-buffers=2 ! neuralstyle name=painter {QUICK} style=\"{}\" ! fakesink",
            pictures.red().display()
        ),
        false,
    )
    .unwrap();
    let painter = bin.by_name("painter").unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&bin).unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    let (answer, ..) = pipeline.state(PATIENCE);
    answer.unwrap();
    let caps = painter.static_pad("sink").unwrap().current_caps().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let info = VideoInfo::from_caps(&caps).unwrap();
    assert_eq!(info.interlace_mode(), gst_video::VideoInterlaceMode::Progressive);
}

#[test]
fn strokes_are_round_on_the_screen() {
    let pictures = Pictures::new();
    init();
    for ((width, height), ratio, expected) in [
        ((64, 32), (1, 1), (32, 16)),
        ((32, 32), (2, 1), (32, 16)),
        ((64, 16), (1, 2), (32, 16)),
    ] {
        let info = VideoInfo::builder(VideoFormat::I420, width, height)
            .fps(gst::Fraction::new(25, 1))
            .par(gst::Fraction::new(ratio.0, ratio.1))
            .build()
            .unwrap();
        let mut rig = Rig::new(element(&pictures.red(), ""), &info);
        let frame = rig.frame(0);
        rig.paint(frame);
        let stats = rig.stats();
        let working = ["working-width", "working-height"].map(|name| stats.get::<u32>(name).unwrap());
        assert_eq!(working, [expected.0, expected.1], "{width}×{height} {ratio:?}");
    }
}

/// Some converters split frames among threads.
#[test]
fn the_same_bytes_come_out_on_any_number_of_threads() {
    let pictures = Pictures::new();
    let style = pictures.red();
    for format in [
        VideoFormat::I420,
        VideoFormat::P01010le,
        VideoFormat::Ayuv,
        VideoFormat::V210,
    ] {
        let info = info(format, 66, 50);
        let mut painted = [1, 4].map(|threads| {
            let mut rig = Rig::new(element(&style, &format!("threads={threads}")), &info);
            let frame = rig.frame(0);
            bytes(&rig.paint(frame))
        });
        let [one, four] = &mut painted;
        assert!(one == four, "{format:?}");
    }
}

/// A frame in a layout of its own: planes begin `gap` bytes apart, and rows are `longer` bytes longer.
fn laid_out(info: &VideoInfo, frame: &gst::BufferRef, gap: usize, longer: usize) -> gst::Buffer {
    use gst_video::prelude::*;
    let from = VideoFrameRef::from_buffer_ref_readable(frame, info).unwrap();
    let (mut data, mut offsets, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    for plane in 0..from.n_planes() {
        let stride = from.plane_stride()[plane as usize] as usize;
        data.extend(vec![0x33; gap]);
        offsets.push(data.len());
        strides.push((stride + longer) as i32);
        let rows = info.height() as usize
            / if plane > 0 && info.format_info().h_sub()[1] > 0 {
                2
            } else {
                1
            };
        for row in from.plane_data(plane).unwrap().chunks(stride).take(rows) {
            data.extend(row);
            data.extend(vec![0x33; longer]);
        }
    }
    let mut buffer = gst::Buffer::from_slice(data);
    let layout = buffer.get_mut().unwrap();
    layout.set_pts(gst::ClockTime::ZERO);
    let flags = gst_video::VideoFrameFlags::empty();
    let (width, height) = (info.width(), info.height());
    gst_video::VideoMeta::add_full(layout, flags, info.format(), width, height, &offsets, &strides).unwrap();
    buffer
}

const LAID_OUT: [VideoFormat; 6] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::P01010le,
    VideoFormat::Rgba64Le,
    VideoFormat::Y44410le,
];

#[test]
fn planes_may_lie_anywhere_in_the_buffer() {
    let pictures = Pictures::new();
    let style = pictures.red();
    for format in LAID_OUT {
        let info = info(format, 34, 18);
        let mut rig = Rig::new(element(&style, ""), &info);
        let plain = rig.frame(0);
        let laid_out = laid_out(&info, &plain, 48, 16);
        let expected = rig.paint(plain);
        let painted = Rig::new(element(&style, ""), &info).paint(laid_out);
        assert!(seen(&painted, &info) == seen(&expected, &info), "{format:?}");
    }
}

/// GStreamer's converter would read beyond the memory.
#[test]
fn a_layout_that_leads_beyond_the_memory_is_left_out_with_a_warning() {
    let pictures = Pictures::new();
    let style = pictures.red();
    for format in LAID_OUT {
        let info = info(format, 34, 18);
        let mut rig = Rig::new(element(&style, ""), &info);
        let whole = laid_out(&info, &rig.frame(0), 48, 0);
        let mut short = whole.copy();
        short.get_mut().unwrap().set_size(whole.size() - 8);
        assert!(short.meta::<gst_video::VideoMeta>().is_some());
        // In two pieces, of which GStreamer maps one.
        let mut pieces = gst::Buffer::new();
        {
            let pieces = pieces.get_mut().unwrap();
            pieces.set_pts(gst::ClockTime::ZERO);
            let data = bytes(&whole);
            let (first, second) = data.split_at(100);
            pieces.append_memory(gst::Memory::from_slice(first.to_vec()));
            pieces.append_memory(gst::Memory::from_slice(second.to_vec()));
            let layout = whole.meta::<gst_video::VideoMeta>().unwrap();
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(pieces, flags, format, 34, 18, layout.offset(), layout.stride())
                .unwrap();
        }
        for (bad, why) in [(short, "too short"), (pieces, "in pieces")] {
            rig.harness.push(bad).unwrap();
            assert!(rig.harness.try_pull().is_none(), "{format:?} {why}");
            rig.message(gst::MessageType::Warning);
        }
    }
}

/// Frames that were held back when the caps changed keep what their own say.
#[test]
fn held_frames_keep_the_hdr_metadata_that_they_came_with() {
    let pictures = Pictures::new();
    let light = |light: &str| -> gst::Caps {
        format!(
            "video/x-raw,format=P010_10LE,width=32,height=24,framerate=25/1,interlace-mode=progressive,\
             colorimetry=bt2100-pq,content-light-level=(string){light}"
        )
        .parse()
        .unwrap()
    };
    init();
    let info = VideoInfo::from_caps(&light("1000:400")).unwrap();
    let mut rig = Rig::new(
        element(&pictures.red(), "mode=offline keyframe-interval=5"),
        &info,
    );
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = seen.clone();
    let source = rig.element.static_pad("src").unwrap();
    source.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let caps = pad.current_caps().unwrap();
        let light: String = caps.structure(0).unwrap().get("content-light-level").unwrap();
        kept.lock().unwrap().push(light);
        gst::PadProbeReturn::Ok
    });
    for (number, level) in ["1000:400", "1000:400", "1000:400", "4000:900", "4000:900"]
        .iter()
        .enumerate()
    {
        rig.harness.set_src_caps(light(level));
        let frame = rig.frame(number as u64);
        rig.harness.push(frame).unwrap();
    }
    rig.harness.push_event(gst::event::Eos::new());
    assert_eq!(
        *seen.lock().unwrap(),
        ["1000:400", "1000:400", "1000:400", "4000:900", "4000:900"]
    );
}
