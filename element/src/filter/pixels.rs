// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion between GStreamer's packed RGB formats, with padded rows, any order of the colours and a fourth byte, and the
//! stylizer's.

use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef};

use neuralstyle::stylizer::Frame;

/// What the element takes and gives, in the order of preference: those that need least memory first.
pub const FORMATS: [VideoFormat; 10] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
];

/// How the pixels of a format lie in a row.
#[derive(Clone, Copy)]
struct Layout {
    bytes_per_pixel: usize,
    /// From a row of the format to a row of RGB.
    unpack: fn(&[u8], &mut [u8]),
    /// From a row of RGB, and a row of the format for what RGB lacks, to a row of the format.
    pack: fn(&[u8], &[u8], &mut [u8]),
}

impl Layout {
    /// The layout of a format; `None` for those that the element does not take.
    fn of(format: VideoFormat) -> Option<Self> {
        Some(match format {
            VideoFormat::Rgb => Self::packed::<3, 0, 1, 2>(),
            VideoFormat::Bgr => Self::packed::<3, 2, 1, 0>(),
            VideoFormat::Rgbx | VideoFormat::Rgba => Self::packed::<4, 0, 1, 2>(),
            VideoFormat::Bgrx | VideoFormat::Bgra => Self::packed::<4, 2, 1, 0>(),
            VideoFormat::Xrgb | VideoFormat::Argb => Self::packed::<4, 1, 2, 3>(),
            VideoFormat::Xbgr | VideoFormat::Abgr => Self::packed::<4, 3, 2, 1>(),
            _ => return None,
        })
    }

    /// `BYTES` per pixel, with red, green and blue at the given places.
    fn packed<const BYTES: usize, const R: usize, const G: usize, const B: usize>() -> Self {
        Self {
            bytes_per_pixel: BYTES,
            unpack: unpack::<BYTES, R, G, B>,
            pack: pack::<BYTES, R, G, B>,
        }
    }
}

fn unpack<const BYTES: usize, const R: usize, const G: usize, const B: usize>(row: &[u8], rgb: &mut [u8]) {
    if let (3, 0, 1, 2) = (BYTES, R, G, B) {
        rgb.copy_from_slice(row);
        return;
    }
    for (pixel, rgb) in row.chunks_exact(BYTES).zip(rgb.chunks_exact_mut(3)) {
        rgb[0] = pixel[R];
        rgb[1] = pixel[G];
        rgb[2] = pixel[B];
    }
}

fn pack<const BYTES: usize, const R: usize, const G: usize, const B: usize>(
    rgb: &[u8],
    original: &[u8],
    row: &mut [u8],
) {
    if let (3, 0, 1, 2) = (BYTES, R, G, B) {
        row.copy_from_slice(rgb);
        return;
    }
    let pixels = row
        .chunks_exact_mut(BYTES)
        .zip(original.chunks_exact(BYTES))
        .zip(rgb.chunks_exact(3));
    for ((pixel, original), rgb) in pixels {
        if BYTES == 4 {
            // The places of the four bytes add up to 6; alpha or padding has the one that is left.
            pixel[6 - R - G - B] = original[6 - R - G - B];
        }
        pixel[R] = rgb[0];
        pixel[G] = rgb[1];
        pixel[B] = rgb[2];
    }
}

/// GStreamer rounds rows up to a multiple of so many bytes.
const ROW_GRAIN: usize = 4;

/// A picture of some format in memory: rows that start `stride` bytes apart.
#[derive(Clone, Copy)]
struct Rows<T> {
    data: T,
    stride: usize,
    width: usize,
    height: usize,
}

fn read_rows(layout: Layout, rows: Rows<&[u8]>, frame: &mut Frame) {
    frame.reshape((rows.width, rows.height).into());
    let row_bytes = rows.width * layout.bytes_per_pixel;
    for (row, rgb) in rows
        .data
        .chunks(rows.stride)
        .zip(frame.rgb_mut().chunks_exact_mut(rows.width * 3))
    {
        (layout.unpack)(&row[..row_bytes], rgb);
    }
}

fn write_rows(layout: Layout, frame: &Frame, original: Rows<&[u8]>, rows: Rows<&mut [u8]>) {
    let row_bytes = rows.width * layout.bytes_per_pixel;
    let originals = original.data.chunks(original.stride);
    let painted = frame.rgb().chunks_exact(rows.width * 3);
    for ((row, original), rgb) in rows.data.chunks_mut(rows.stride).zip(originals).zip(painted) {
        let (row, beyond) = row.split_at_mut(row_bytes);
        (layout.pack)(rgb, &original[..row_bytes], row);
        // Clears what rounds a row up, so that equal pictures are equal bytes. A longer rest is not padding: this picture may
        // be a part of a larger one.
        if beyond.len() < ROW_GRAIN {
            beyond.fill(0);
        }
    }
}

/// Why a picture cannot be read or written: its memory is not what negotiation promised.
#[derive(Debug, thiserror::Error)]
#[error("a {format:?} frame of {width}×{height} pixels has no memory of that shape")]
pub struct Unreachable {
    format: VideoFormat,
    width: u32,
    height: u32,
}

impl Unreachable {
    /// A frame of the given caps, as far as they are known.
    pub fn of(info: Option<&gst_video::VideoInfo>) -> Self {
        Self {
            format: info.map_or(VideoFormat::Unknown, gst_video::VideoInfo::format),
            width: info.map_or(0, gst_video::VideoInfo::width),
            height: info.map_or(0, gst_video::VideoInfo::height),
        }
    }

    fn new(frame: &impl VideoFrameExt) -> Self {
        Self {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
        }
    }
}

/// Whether a buffer is long enough for the frames of `info`. A buffer with a layout of its own is checked when it is mapped.
pub fn fits(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<(), Unreachable> {
    if buffer.size() >= info.size() || buffer.meta::<gst_video::VideoMeta>().is_some() {
        return Ok(());
    }
    Err(Unreachable::of(Some(info)))
}

/// Copies a video frame's colours.
pub fn read(video: &VideoFrameRef<&gst::BufferRef>, frame: &mut Frame) -> Result<(), Unreachable> {
    let layout = Layout::of(video.format()).ok_or_else(|| Unreachable::new(video))?;
    read_rows(layout, rows(video)?, frame);
    Ok(())
}

/// Writes the colours of `frame`, and alpha or padding from `original`, into a video frame of the same format and size.
pub fn write(
    frame: &Frame,
    original: &VideoFrameRef<&gst::BufferRef>,
    video: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), Unreachable> {
    let unreachable = Unreachable::new(video);
    let (stride, width, height) = shape(video);
    if (frame.width(), frame.height()) != (width, height) || stride == 0 {
        return Err(unreachable);
    }
    let Some(layout) = Layout::of(video.format()) else {
        return Err(unreachable);
    };
    let Ok(data) = video.plane_data_mut(0) else {
        return Err(unreachable);
    };
    write_rows(
        layout,
        frame,
        rows(original)?,
        Rows {
            data,
            stride,
            width,
            height,
        },
    );
    Ok(())
}

fn rows<'a>(video: &'a VideoFrameRef<&gst::BufferRef>) -> Result<Rows<&'a [u8]>, Unreachable> {
    let (stride, width, height) = shape(video);
    match video.plane_data(0) {
        Ok(data) if stride > 0 => Ok(Rows {
            data,
            stride,
            width,
            height,
        }),
        _ => Err(Unreachable::new(video)),
    }
}

/// Stride in bytes (0 if there is no such memory), width and height in pixels.
fn shape(video: &impl VideoFrameExt) -> (usize, usize, usize) {
    let stride = usize::try_from(video.plane_stride()[0]).unwrap_or(0);
    (stride, video.width() as usize, video.height() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of one pixel whose colours are 1, 2, 3 and whose fourth byte is 9.
    fn pixel(format: VideoFormat) -> &'static [u8] {
        match format {
            VideoFormat::Rgb => &[1, 2, 3],
            VideoFormat::Bgr => &[3, 2, 1],
            VideoFormat::Rgbx | VideoFormat::Rgba => &[1, 2, 3, 9],
            VideoFormat::Bgrx | VideoFormat::Bgra => &[3, 2, 1, 9],
            VideoFormat::Xrgb | VideoFormat::Argb => &[9, 1, 2, 3],
            VideoFormat::Xbgr | VideoFormat::Abgr => &[9, 3, 2, 1],
            other => panic!("{other:?} has no place here"),
        }
    }

    #[test]
    fn every_format_knows_its_colours_and_keeps_its_fourth_byte() {
        for format in FORMATS {
            let layout = Layout::of(format).unwrap();
            let mut rgb = [0; 3];
            (layout.unpack)(pixel(format), &mut rgb);
            assert_eq!(rgb, [1, 2, 3], "{format:?}");
            let mut row = vec![0; layout.bytes_per_pixel];
            (layout.pack)(&rgb, pixel(format), &mut row);
            assert_eq!(row, pixel(format), "{format:?}");
        }
        assert!(Layout::of(VideoFormat::I420).is_none());
    }

    #[test]
    fn what_lies_between_rows_is_not_read_and_only_what_rounds_them_up_is_cleared() {
        for format in FORMATS {
            for (width, height) in [(1, 1), (3, 5), (7, 2), (32, 24)] {
                there_and_back(format, width, height, 3, 0);
                there_and_back(format, width, height, 8, 0xEE);
            }
        }
    }

    fn there_and_back(format: VideoFormat, width: usize, height: usize, beyond: usize, left: u8) {
        let layout = Layout::of(format).unwrap();
        let row_bytes = width * layout.bytes_per_pixel;
        let (stride_in, stride_out) = (row_bytes + 5, row_bytes + beyond);
        let data: Vec<u8> = (0..stride_in * height).map(|i| (i * 7 % 251) as u8).collect();
        let original = Rows {
            data: data.as_slice(),
            stride: stride_in,
            width,
            height,
        };
        let mut frame = Frame::default();
        read_rows(layout, original, &mut frame);
        assert_eq!((frame.width(), frame.height()), (width, height));
        let mut written = vec![0xEE; stride_out * height];
        write_rows(
            layout,
            &frame,
            original,
            Rows {
                data: &mut written,
                stride: stride_out,
                width,
                height,
            },
        );
        for (row, source) in written.chunks(stride_out).zip(data.chunks(stride_in)) {
            assert_eq!(
                row[..row_bytes],
                source[..row_bytes],
                "{format:?} {width}×{height}"
            );
            assert!(
                row[row_bytes..].iter().all(|&byte| byte == left),
                "{format:?} {width}×{height}"
            );
        }
    }

    #[test]
    fn the_last_row_may_end_with_its_pixels() {
        let layout = Layout::of(VideoFormat::Rgb).unwrap();
        let rows = Rows {
            data: &[1, 2, 3, 0, 4, 5, 6][..],
            stride: 4,
            width: 1,
            height: 2,
        };
        let mut frame = Frame::default();
        read_rows(layout, rows, &mut frame);
        assert_eq!(frame.rgb(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn video_frames_are_read_and_written_with_their_own_strides() {
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(VideoFormat::Argb, 3, 2)
            .build()
            .unwrap();
        let mut original = gst::Buffer::with_size(info.size()).unwrap();
        let bytes: Vec<u8> = (0..info.size()).map(|i| i as u8).collect();
        original.get_mut().unwrap().copy_from_slice(0, &bytes).unwrap();
        let mut painted = gst::Buffer::with_size(info.size()).unwrap();
        let original = VideoFrameRef::from_buffer_ref_readable(&original, &info).unwrap();
        let mut video = VideoFrameRef::from_buffer_ref_writable(painted.get_mut().unwrap(), &info).unwrap();
        let mut frame = Frame::default();
        read(&original, &mut frame).unwrap();
        write(&frame, &original, &mut video).unwrap();
        assert_eq!(video.plane_data(0).unwrap(), bytes);
        write(&Frame::new(2, 2), &original, &mut video).unwrap_err();
    }
}
