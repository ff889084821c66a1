// SPDX-License-Identifier: MIT OR Apache-2.0

//! The element in pipelines, on the card.

use crate::common::{Pictures, QUICK, Rig, element, mean_colour, render};
use crate::softgpu::SoftGpu;
use crate::{common, recordings, softgpu, start};
use neuralstyle::backend::CancelToken;

#[test]
fn a_pipeline_paints_on_the_card() {
    let Some(_gpu) = SoftGpu::take() else { return };
    let pictures = Pictures::new();
    let red = pictures.red();
    let paint = |backend: &str| {
        let line = format!(
            "videotestsrc num-buffers=3 pattern=smpte ! video/x-raw,format=RGB,width=64,height=48 ! neuralstyle \
             style=\"{}\" backend={backend} network=tiny working-size=64 scales=1 first-iterations=3 iterations=1 ! \
             appsink name=out",
            red.display()
        );
        render(&line)
    };
    let (cuda, cpu) = (paint("cuda"), paint("cpu"));
    assert_eq!((cuda.len(), cpu.len()), (3, 3));
    let info = common::info(gst_video::VideoFormat::Rgb, 64, 48);
    for (cuda, cpu) in cuda.iter().zip(&cpu) {
        let colours = [cuda, cpu].map(|sample| mean_colour(sample.buffer().unwrap(), &info));
        // A few steps of Adam go the same way on both, but for pixels whose gradient is next to nothing.
        for (cuda, cpu) in colours[0].iter().zip(colours[1]) {
            assert!((cuda - cpu).abs() < 2.0, "{colours:?}");
        }
    }
}

#[test]
fn the_figures_name_the_card_and_its_memory() {
    let _alone = softgpu::alone();
    if start::cuda(CancelToken::new()).is_none() {
        return;
    }
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "backend=cuda"), 32, 24);
    rig.paint(rig.frame(0));
    let stats = rig.stats();
    assert_eq!(stats.get::<String>("backend").unwrap(), "cuda");
    let device = stats.get::<String>("device").unwrap();
    assert!(device.contains("NVIDIA") && device.contains(" GB"), "{device}");
    assert!(stats.get::<u64>("bytes-in-use").unwrap() > 0);
}

/// On the software GPU, whose order of summation does not change; a real card has its own.
#[test]
fn the_software_gpu_paints_what_it_painted_before() {
    let Some(_gpu) = SoftGpu::take() else { return };
    let name = match std::env::var("SOFTGPU_CARD").as_deref() {
        Ok("sm_75") => "sm_75.txt",
        Ok(_) => return println!("skipped: only the default card and sm_75 are recorded"),
        Err(_) => "sm_86.txt",
    };
    let mut recording = recordings::Recording::open(name);
    for case in recordings::CARD_CASES {
        recording.check(case.name, &recordings::paint(case, "backend=cuda"));
    }
    recording.close();
}

/// The network and the size that nobody chose are those for a card.
#[test]
fn a_card_gets_the_large_network() {
    let _alone = softgpu::alone();
    if start::cuda(CancelToken::new()).is_none() {
        return;
    }
    let pictures = Pictures::new();
    let settings = "backend=auto network=auto working-size=0";
    let rig = Rig::rgb(element(&pictures.red(), settings), 32, 24);
    let stats = rig.stats();
    assert_eq!(stats.get::<String>("backend").unwrap(), "cuda");
    assert_eq!(stats.get::<String>("network").unwrap(), "vgg16");
}

#[test]
fn a_card_that_is_lost_is_a_warning_and_the_cpu_goes_on() {
    let Some(gpu) = SoftGpu::take() else { return };
    let pictures = Pictures::new();
    let mut rig = Rig::rgb(element(&pictures.red(), "backend=auto"), 32, 24);
    rig.paint(rig.frame(0));
    gpu.faults("lost:3");
    rig.paint(rig.frame(1));
    gpu.faults("");
    let message = rig.message(gst::MessageType::Warning);
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!("only warnings were asked for");
    };
    let text = warning.error().to_string();
    assert!(text.contains("backend=auto") && text.contains("NVIDIA"), "{text}");
    assert_eq!(rig.stats().get::<String>("backend").unwrap(), "cpu");
}

#[test]
fn a_card_that_is_lost_is_an_error_for_who_asked_for_it() {
    let Some(gpu) = SoftGpu::take() else { return };
    let pictures = Pictures::new();
    let line = format!(
        "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,width=32,height=24 ! neuralstyle name=paint style=\"{}\" \
         {QUICK} backend=cuda ! appsink name=out",
        pictures.red().display()
    );
    gpu.faults("lost:1200");
    let told = common::try_render(&line).unwrap_err();
    gpu.faults("");
    assert!(told.contains("NVIDIA"), "{told}");
}
