// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conversion between frames of GStreamer's raw formats and the stylizer's pictures, by GStreamer's own converter.
//!
//! Frames become red, green and blue as they are encoded: the caps' matrix and range are undone, their transfer function and
//! primaries are not, so that HDR is painted on the scale of its signal.

use std::sync::LazyLock;

use gst::glib;
use gst_video::{
    VIDEO_FORMATS_ALL, VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoConverter,
    VideoConverterConfig, VideoFormat, VideoFormatInfo, VideoFrameExt, VideoFrameRef, VideoInfo,
};

use super::argb::{beside_alpha, beside_alpha_of_bytes, leave_alpha, leave_alpha_of_bytes};
use neuralstyle::picture::{Depth, Format, PixelAspect, Samples};
use neuralstyle::stylizer::Frame;

/// What is preferred where both sides leave the choice: nothing is lost, and those that need least memory come first.
const PREFERRED: [VideoFormat; 10] = [
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

/// GStreamer's converter writes beyond frames of the first if their width is odd, and reads beyond those of the others (seen in
/// 1.22 with valgrind).
const UNSAFE: [VideoFormat; 3] = [
    VideoFormat::Uyvp,
    VideoFormat::Nv1210le32,
    VideoFormat::Nv1610le32,
];

/// What the element takes and gives, in the order of preference: all that GStreamer converts but [`UNSAFE`]
/// and tiles, of which its converter reads beyond small frames (seen in 1.22).
pub static FORMATS: LazyLock<Vec<VideoFormat>> = LazyLock::new(|| {
    let is_other = |format: &VideoFormat| {
        let is_tiled = VideoFormatInfo::from_format(*format).is_tiled();
        !is_tiled && !UNSAFE.contains(format) && !PREFERRED.contains(format)
    };
    let others = VIDEO_FORMATS_ALL.iter().copied().filter(is_other);
    PREFERRED.into_iter().chain(others).collect()
});

/// The formats through which frames go, alpha first: those that the converter itself goes through, and so the cheapest.
/// Rows have no padding.
const EIGHT_BITS: VideoFormat = VideoFormat::Argb;
const SIXTEEN_BITS: VideoFormat = VideoFormat::Argb64;

/// 256 colours of four bytes.
const PALETTE_BYTES: usize = 1024;

/// Frames of so few rows are converted by a new converter each: GStreamer's takes rows of the frame before for theirs (seen in
/// 1.22).
const FEW_ROWS: usize = 4;

/// More threads do not convert faster: memory is what takes the time.
const MOST_THREADS: usize = 4;

/// From frames of some caps to pictures and back.
pub struct Conversion {
    info: VideoInfo,
    format: Format,
    /// What frames become on the way.
    working: VideoInfo,
    threads: u32,
    to_working: VideoConverter,
    from_working: VideoConverter,
    /// A frame on the way.
    buffer: gst::Buffer,
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
    pub fn of(info: Option<&VideoInfo>) -> Self {
        Self {
            format: info.map_or(VideoFormat::Unknown, VideoInfo::format),
            width: info.map_or(0, VideoInfo::width),
            height: info.map_or(0, VideoInfo::height),
        }
    }
}

impl Conversion {
    /// Plans for frames of `info`, which are progressive; on as many threads as there are processors if `threads` is 0.
    pub fn new(info: &VideoInfo, threads: usize) -> Result<Self, glib::BoolError> {
        let is_deep = info.format_info().depth().iter().any(|&bits| bits > 8);
        let (working, depth) = match is_deep {
            false => (EIGHT_BITS, Depth::Eight),
            true => (SIXTEEN_BITS, Depth::Sixteen),
        };
        let (width, height) = (info.width(), info.height());
        let encoded = info.colorimetry();
        let colorimetry = VideoColorimetry::new(
            VideoColorRange::Range0_255,
            VideoColorMatrix::Rgb,
            encoded.transfer(),
            encoded.primaries(),
        );
        let working = VideoInfo::builder(working, width, height)
            .fps(info.fps())
            .colorimetry(&colorimetry)
            .build()?;
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            chosen => chosen,
        };
        let threads = threads.min(MOST_THREADS) as u32;
        let buffer = gst::Buffer::with_size(working.size())
            .map_err(|_| glib::bool_error!("there is no memory for a frame"))?;
        Ok(Self {
            threads,
            to_working: converter(info, &working, threads)?,
            from_working: converter(&working, info, threads)?,
            format: Format {
                width: width as usize,
                height: height as usize,
                depth,
                pixel_aspect: pixel_aspect(info),
            },
            info: info.clone(),
            working,
            buffer,
        })
    }

    /// What the caps say.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Whether a buffer holds a whole frame, in the usual layout or in one of its own. GStreamer itself does not look, and a
    /// layout that leads beyond the memory would end the process.
    pub fn fits(&self, buffer: &gst::BufferRef) -> Result<(), Unreachable> {
        let is_there = match buffer.meta::<gst_video::VideoMeta>() {
            Some(layout) => self.has_place(&layout, buffer),
            None => buffer.size() >= self.info.size(),
        };
        is_there.then_some(()).ok_or_else(|| self.unreachable())
    }

    /// Whether a layout is of this kind of frame, and all of its planes are there.
    fn has_place(&self, layout: &gst_video::VideoMeta, buffer: &gst::BufferRef) -> bool {
        let (info, format) = (&self.info, self.info.format_info());
        let (offsets, strides) = (layout.offset(), layout.stride());
        let same = (layout.format(), layout.width(), layout.height())
            == (info.format(), info.width(), info.height());
        if !same || offsets.len() < format.n_planes() as usize {
            return false;
        }
        // With a layout of its own a plane is mapped alone, and only from one piece of memory.
        let is_there = |plane: usize, bytes: usize| {
            let end = offsets[plane]
                .checked_add(bytes)
                .filter(|&end| end <= buffer.size());
            let found = end.and_then(|end| buffer.find_memory(offsets[plane]..end));
            found.is_some_and(|(pieces, _)| pieces.len() == 1)
        };
        if format.has_palette() && !is_there(1, PALETTE_BYTES) {
            return false;
        }
        let components = if format.has_palette() {
            1
        } else {
            format.n_components() as u8
        };
        (0..components).all(|component| {
            let row = match usize::try_from(info.comp_pstride(component)) {
                // Several pixels share some bytes.
                Ok(0) | Err(_) => info.comp_stride(component).unsigned_abs() as usize,
                Ok(step) => info.comp_width(component) as usize * step,
            };
            let plane = info.comp_plane(component) as usize;
            let above = (info.comp_height(component) as usize).saturating_sub(1);
            let bytes = usize::try_from(strides[plane])
                .ok()
                .and_then(|stride| stride.checked_mul(above)?.checked_add(row));
            bytes.is_some_and(|bytes| is_there(plane, bytes))
        })
    }

    /// Takes the colours of a frame.
    pub fn read(&mut self, buffer: &gst::BufferRef, frame: &mut Frame) -> Result<(), Unreachable> {
        self.convert_in(buffer)?;
        let readable = self.buffer.map_readable().map_err(|_| self.unreachable())?;
        frame.reshape(self.format);
        match frame.samples_mut() {
            Samples::Eight(rgb) => leave_alpha_of_bytes(&readable, rgb),
            Samples::Sixteen(rgb) => {
                leave_alpha(bytemuck::try_cast_slice(&readable).unwrap_or_default(), rgb)
            }
        }
        Ok(())
    }

    /// Writes the colours of `frame`, and the alpha of `original`, which it is a painting of, into a frame.
    pub fn write(
        &mut self,
        frame: &Frame,
        original: &gst::BufferRef,
        output: &mut gst::BufferRef,
    ) -> Result<(), Unreachable> {
        if frame.format() != self.format {
            return Err(self.unreachable());
        }
        let has_alpha = has_alpha(&self.info);
        if has_alpha {
            self.convert_in(original)?;
        }
        let unreachable = self.unreachable();
        let Ok(mut writable) = self.buffer.make_mut().map_writable() else {
            return Err(unreachable);
        };
        match frame.samples() {
            Samples::Eight(rgb) => beside_alpha_of_bytes(rgb, &mut writable, has_alpha),
            Samples::Sixteen(rgb) => {
                let argb = bytemuck::try_cast_slice_mut(&mut writable).unwrap_or_default();
                beside_alpha(rgb, argb, has_alpha, u16::MAX);
            }
        }
        drop(writable);
        self.fits(output)?;
        let from = VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.working);
        let to = VideoFrameRef::from_buffer_ref_writable(output, &self.info);
        let (Ok(from), Ok(mut to)) = (from, to) else {
            return Err(unreachable);
        };
        self.clear_padding(&mut to);
        if self.format.height <= FEW_ROWS {
            self.from_working =
                converter(&self.working, &self.info, self.threads).map_err(|_| self.unreachable())?;
        }
        self.from_working.frame_ref(&from, &mut to);
        Ok(())
    }

    /// Brings a frame into the working format.
    fn convert_in(&mut self, buffer: &gst::BufferRef) -> Result<(), Unreachable> {
        self.fits(buffer)?;
        if self.format.height <= FEW_ROWS {
            self.to_working =
                converter(&self.info, &self.working, self.threads).map_err(|_| self.unreachable())?;
        }
        let unreachable = self.unreachable();
        let from = VideoFrameRef::from_buffer_ref_readable(buffer, &self.info);
        let to = VideoFrameRef::from_buffer_ref_writable(self.buffer.make_mut(), &self.working);
        let (Ok(from), Ok(mut to)) = (from, to) else {
            return Err(unreachable);
        };
        self.to_working.frame_ref(&from, &mut to);
        Ok(())
    }

    /// Clears what rounds rows up, which the converter leaves as it is, so that equal pictures are equal bytes. With a
    /// layout of its own a frame may be a part of a larger picture, which is left alone.
    fn clear_padding(&self, frame: &mut VideoFrameRef<&mut gst::BufferRef>) {
        let info = &self.info;
        let is_full = (0..info.format_info().n_components() as u8).all(|component| {
            info.comp_stride(component).unsigned_abs()
                == info.comp_width(component) * info.comp_pstride(component).unsigned_abs()
        });
        if is_full || frame.plane_stride() != info.stride() || frame.plane_offset() != info.offset() {
            return;
        }
        for plane in 0..frame.n_planes() {
            if let Ok(data) = frame.plane_data_mut(plane) {
                data.fill(0);
            }
        }
    }

    fn unreachable(&self) -> Unreachable {
        Unreachable::of(Some(&self.info))
    }
}

fn converter(from: &VideoInfo, to: &VideoInfo, threads: u32) -> Result<VideoConverter, glib::BoolError> {
    let mut config = VideoConverterConfig::new();
    config.set_threads(threads);
    if has_alpha(to) {
        // Dithering would change alpha, too.
        config.set_dither_method(gst_video::VideoDitherMethod::None);
    }
    VideoConverter::new(from, to, Some(config))
}

/// Not all formats with alpha are marked as such.
fn has_alpha(info: &VideoInfo) -> bool {
    info.format_info().n_components() > 3
}

fn pixel_aspect(info: &VideoInfo) -> PixelAspect {
    let ratio = info.par();
    let side = |side: i32| u32::try_from(side).unwrap_or(0);
    PixelAspect::new(side(ratio.numer()), side(ratio.denom())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    /// A frame of noise.
    fn noise(info: &VideoInfo, seed: u8) -> gst::Buffer {
        let mut state = u32::from(seed) + 1;
        let bytes = (0..info.size()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        gst::Buffer::from_slice(bytes.collect::<Vec<u8>>())
    }

    fn picture(conversion: &mut Conversion, buffer: &gst::BufferRef) -> Frame {
        let mut frame = Frame::default();
        conversion.read(buffer, &mut frame).unwrap();
        frame
    }

    /// What lies behind a frame must stay.
    const BEHIND: usize = 4096;

    fn written(conversion: &mut Conversion, frame: &Frame, original: &gst::BufferRef) -> Vec<u8> {
        let size = conversion.info().size();
        let mut output = gst::Buffer::from_mut_slice(vec![0x55u8; size + BEHIND]);
        let bytes = output.get_mut().unwrap();
        conversion.write(frame, original, bytes).unwrap();
        let data = output.map_readable().unwrap();
        let (frame, behind) = data.split_at(size);
        assert!(behind.iter().all(|&byte| byte == 0x55), "{:?}", conversion.info());
        frame.to_vec()
    }

    #[test]
    fn no_frame_shows_anything_of_the_one_before() {
        gst::init().unwrap();
        for &format in FORMATS.iter() {
            for (width, height) in [(1, 1), (3, 1), (5, 2), (2, 3), (7, 4), (9, 5), (4, 8), (17, 33)] {
                let info = info(format, width, height);
                let frames = [noise(&info, 1), noise(&info, 2)];
                let alone = || Conversion::new(&info, 1).unwrap();
                let mut after = alone();
                let what = format!("{format:?} {width}×{height}");
                for frame in &frames {
                    let seen = picture(&mut after, frame);
                    let expected = picture(&mut alone(), frame);
                    assert!(seen == expected, "{what}: read");
                    let out = written(&mut after, &seen, frame);
                    assert!(out == written(&mut alone(), &seen, frame), "{what}: written");
                }
            }
        }
    }
}
