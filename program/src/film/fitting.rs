// SPDX-License-Identifier: MIT OR Apache-2.0

//! Brings every frame of the input to the one format of the film.

use gst_video::{
    VideoConverter, VideoConverterConfig, VideoFormat, VideoFormatInfo, VideoFrame, VideoInfo,
    VideoInterlaceMode,
};

use super::target::Target;
use crate::failure::Failure;

/// Muxers of GStreamer take no smaller pictures.
const SMALLEST: u32 = 16;

/// Fields of caps that say how bright the display is for which pictures were made.
const HDR: [&str; 2] = ["mastering-display-info", "content-light-level"];

/// The format of the film, and what brings frames to it.
pub struct Fitting {
    film: VideoInfo,
    caps: gst::Caps,
    /// For the kind of frames that came last.
    converter: Option<(gst::Caps, VideoInfo, Option<VideoConverter>)>,
}

impl Fitting {
    /// Chooses the film's format by its first frame, and says what is not as in the input.
    pub fn choose(
        source: &gst::Caps,
        opaque: bool,
        fps: gst::Fraction,
        target: &Target,
        mut tell: impl FnMut(String),
    ) -> Result<Self, Failure> {
        let info = VideoInfo::from_caps(source)?;
        let (mut width, mut height) = (info.width(), info.height());
        let mut formats = target.formats();
        if target.wants_even() && (width % 2 == 1 || height % 2 == 1) {
            if target.exact_size {
                formats = vec!["Y444"];
                tell(format!(
                    "{width}x{height} is kept by H.264 in 4:4:4, which many players and all browsers but a few refuse"
                ));
            } else {
                let (even_width, even_height) = (width & !1, height & !1);
                tell(format!(
                    "The film is {even_width}x{even_height}, without the last line of {width}x{height}: H.264 wants even sizes"
                ));
                (width, height) = (even_width, even_height);
            }
        }
        if width < SMALLEST || height < SMALLEST {
            tell(format!(
                "{width}x{height} is too small for a film and is enlarged"
            ));
            let scale = f64::from(SMALLEST) / f64::from(width.min(height).max(1));
            let enlarged = |side: u32| ((f64::from(side) * scale).round() as u32).next_multiple_of(2);
            (width, height) = (enlarged(width), enlarged(height));
        }
        let format = closest(&info, opaque, &formats).ok_or("there is no format for these pictures")?;
        let film = film_info(&info, format, (width, height), fps)?;
        let mut caps = film.to_caps()?;
        for (name, value) in source.structure(0).into_iter().flat_map(|fields| fields.iter()) {
            if HDR.contains(&name.as_str()) {
                caps.make_mut().set_value(name.as_str(), value.clone());
            }
        }
        Ok(Self {
            film,
            caps,
            converter: None,
        })
    }

    pub fn film(&self) -> &VideoInfo {
        &self.film
    }

    pub fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// The frame in the film's format.
    pub fn fit(&mut self, caps: &gst::Caps, buffer: gst::Buffer) -> Result<gst::Buffer, Failure> {
        if self.converter.as_ref().is_none_or(|(known, ..)| known != caps) {
            let (source, converter) = self.converter(caps)?;
            self.converter = Some((caps.clone(), source, converter));
        }
        let Some((_, source, converter)) = &self.converter else {
            return Ok(buffer);
        };
        if converter.is_none() && is_plain(&buffer, source) {
            return Ok(buffer.copy_region(gst::BufferCopyFlags::MEMORY, ..)?);
        }
        let source = VideoFrame::from_buffer_readable(buffer, source)
            .map_err(|_| "a frame is smaller than its format says")?;
        let memory = gst::Buffer::with_size(self.film.size())?;
        let mut fitted = VideoFrame::from_buffer_writable(memory, &self.film)
            .map_err(|_| "a frame of the film cannot be written")?;
        match converter {
            Some(converter) => converter.frame(&source, &mut fitted),
            None => source.copy(&mut fitted)?,
        }
        Ok(fitted.into_buffer())
    }

    /// How frames with these caps are read, and what converts them, unless they are as they should be.
    fn converter(&self, caps: &gst::Caps) -> Result<(VideoInfo, Option<VideoConverter>), Failure> {
        let given = VideoInfo::from_caps(caps)?;
        let film = &self.film;
        // What converts frames changes neither their rate nor their fields, and insists on that.
        let source = VideoInfo::builder_from_info(&given)
            .fps(film.fps())
            .interlace_mode(VideoInterlaceMode::Progressive)
            .build()?;
        let same_size = (source.width(), source.height()) == (film.width(), film.height());
        let same_pixels = source.format() == film.format()
            && source.colorimetry() == film.colorimetry()
            && source.par() == film.par();
        if same_size && same_pixels {
            return Ok((source, None));
        }
        let config = place(&source, film);
        let converter = VideoConverter::new(&source, film, Some(config))
            .map_err(|_| format!("frames in the format {} cannot be converted", source.format()))?;
        Ok((source, Some(converter)))
    }
}

/// The film's format: that of the input, but for what the encoder wants.
fn film_info(
    source: &VideoInfo,
    format: VideoFormat,
    (width, height): (u32, u32),
    fps: gst::Fraction,
) -> Result<VideoInfo, Failure> {
    let kind = VideoFormatInfo::from_format(format);
    let film = VideoInfo::builder(format, width, height)
        .fps(fps)
        .par(source.par());
    let was_rgb = source.format_info().is_rgb();
    let film = if kind.is_rgb() {
        film.build()?
    } else if was_rgb {
        // What players assume of pictures that say nothing, by their size.
        let named = if height >= 720 { "bt709" } else { "bt601" };
        film.colorimetry(&named.parse()?).build()?
    } else {
        film.colorimetry(&source.colorimetry())
            .chroma_site(source.chroma_site())
            .build()?
    };
    Ok(film)
}

/// Where a frame goes in the film: all of it, with its own proportions, and bars beside it.
fn place(source: &VideoInfo, film: &VideoInfo) -> VideoConverterConfig {
    let mut config = VideoConverterConfig::new();
    let ratio = |par: gst::Fraction| f64::from(par.numer()) / f64::from(par.denom().max(1));
    let (width, height) = (f64::from(film.width()), f64::from(film.height()));
    let one_line_more = |size: u32, of: u32| size == of || size == of + 1;
    if source.par() == film.par()
        && one_line_more(source.width(), film.width())
        && one_line_more(source.height(), film.height())
    {
        // Nothing is scaled for the sake of one line.
        config.set_src_width(Some(film.width() as i32));
        config.set_src_height(Some(film.height() as i32));
        return config;
    }
    let shape = f64::from(source.width()) * ratio(source.par()) / ratio(film.par());
    let scale = (width / shape).min(height / f64::from(source.height()));
    let side = |length: f64, most: f64| length.round().clamp(1.0, most) as i32;
    let (inner_width, inner_height) = (
        side(shape * scale, width),
        side(f64::from(source.height()) * scale, height),
    );
    config.set_dest_width(Some(inner_width));
    config.set_dest_height(Some(inner_height));
    config.set_dest_x((film.width() as i32 - inner_width) / 2);
    config.set_dest_y((film.height() as i32 - inner_height) / 2);
    config.set_fill_border(true);
    config
}

/// The format among `formats` that loses least of the input; the smallest where several do.
fn closest(source: &VideoInfo, opaque: bool, formats: &[&str]) -> Option<VideoFormat> {
    let wanted = Detail::of(source.format_info(), opaque);
    let known = formats.iter().filter_map(|name| name.parse::<VideoFormat>().ok());
    known.min_by_key(|format| Detail::of(VideoFormatInfo::from_format(*format), false).distance(&wanted))
}

/// What a format can hold.
struct Detail {
    depth: u32,
    /// 0 for grey, then rising with the resolution of the chroma.
    chroma: u32,
    alpha: bool,
    rgb: bool,
}

impl Detail {
    fn of(format: VideoFormatInfo, opaque: bool) -> Self {
        let chroma = if format.is_gray() {
            0
        } else if format.is_rgb() {
            16
        } else {
            // 4:4:4 has 16 quarters of each direction, 4:2:0 four.
            16 >> (format.w_sub()[1] + format.h_sub()[1])
        };
        Self {
            depth: format.depth().iter().copied().max().unwrap_or(8),
            chroma,
            alpha: format.has_alpha() && !opaque,
            rgb: format.is_rgb(),
        }
    }

    /// First what is lost, then what is wasted.
    fn distance(&self, wanted: &Self) -> (u32, u32, u32, u32) {
        let lost = |has: u32, wanted: u32| wanted.saturating_sub(has);
        let wasted = |has: u32, wanted: u32| has.saturating_sub(wanted);
        (
            lost(self.chroma, wanted.chroma) + 16 * u32::from(wanted.alpha && !self.alpha),
            lost(self.depth, wanted.depth) + u32::from(self.rgb != wanted.rgb),
            wasted(self.depth, wanted.depth),
            wasted(self.chroma, wanted.chroma) + 16 * u32::from(self.alpha && !wanted.alpha),
        )
    }
}

/// Whether the rows of a frame lie where its format says without being told more.
fn is_plain(buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    buffer
        .meta::<gst_video::VideoMeta>()
        .is_none_or(|meta| meta.stride().iter().eq(info.stride()) && meta.offset().iter().eq(info.offset()))
}
