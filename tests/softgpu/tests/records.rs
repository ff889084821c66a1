// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the library writes into files while a program uses it. The settings are those of a process, so each test runs
//! `work` in one of its own.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use cudarc::driver::{LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

const SCALE: &str = include_str!("ptx/scale.ptx");

/// Scales 300 numbers, and then twice replays a graph that scales and adds them up.
#[test]
#[ignore = "is run by the other tests, with settings of their own"]
fn work() {
    let shape = |blocks| LaunchConfig {
        grid_dim: (blocks, 1, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 0,
    };
    let context = common::context();
    // SAFETY: everything here happens in one stream.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
    let (scale, sum) = (
        module.load_function("scale").unwrap(),
        module.load_function("sum").unwrap(),
    );
    let mut device = stream.clone_htod(&[1f32; 300]).unwrap();
    let mut total = stream.alloc_zeros::<f32>(1).unwrap();
    let n = 300i32;
    let mut scaled = |blocks| {
        let mut launch = stream.launch_builder(&scale);
        launch.arg(&mut device).arg(&2f32).arg(&n);
        // SAFETY: the arguments are those of the kernel, and it stays within its array.
        unsafe { launch.launch(shape(blocks)) }.unwrap();
    };
    scaled(3);
    stream.synchronize().unwrap();
    stream
        .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    scaled(4);
    let mut launch = stream.launch_builder(&sum);
    launch.arg(&device).arg(&mut total).arg(&n);
    // SAFETY: as above.
    unsafe { launch.launch(shape(1)) }.unwrap();
    let graph = stream
        .end_capture(sys::CUgraphInstantiate_flags(0))
        .unwrap()
        .unwrap();
    graph.launch().unwrap();
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&total).unwrap(), [300.0 * 8.0]);
    if std::env::var_os("ABORTS").is_some() {
        std::process::abort();
    }
}

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("softgpu-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on whether the folder stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `work` with a setting, and says whether it ended well.
fn run(name: &str, value: &Path, aborts: bool) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "work", "--ignored"]).env(name, value);
    if aborts {
        command.env("ABORTS", "1");
    }
    command.output().unwrap().status.success()
}

#[test]
fn each_launch_adds_a_line_to_the_profile() {
    let folder = Folder::new("profile");
    let file = folder.0.join("profile.jsonl");
    for process in 1..=2 {
        assert!(run("SOFTGPU_PROFILE", &file, false));
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        // The launch and two in each replay.
        assert_eq!(lines.len(), 5 * process, "{text}");
        let begins = |line: usize, kernel: &str, blocks: u32, warps: u32| {
            let expected = format!(
                r#"{{"module":"scale","target":"sm_75","kernel":"{kernel}","grid":[{blocks}, 1, 1],"block":[128, 1, 1],"warps":{warps},"#
            );
            assert!(
                lines[line].starts_with(&expected),
                "{} is not {expected}",
                lines[line]
            );
        };
        begins(0, "scale", 3, 12);
        for replay in [1, 3] {
            begins(replay, "scale", 4, 16);
            begins(replay + 1, "sum", 1, 4);
        }
        // 300 numbers of 4 bytes are 37.5 sectors.
        assert!(
            lines[0].contains(r#""load_bytes":1200,"load_block_sectors":38,"load_unique_sectors":38"#),
            "{text}"
        );
    }
}
