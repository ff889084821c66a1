// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the library writes into files while a program uses it. The settings are those of a process, so each test runs
//! `work` in one of its own.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use cudarc::driver::{CudaSlice, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;
use softgpu::coverage::{Record, digest};
use softgpu::machine::coverage::{NOT_TAKEN, RAN, TAKEN};

const SCALE: &str = include_str!("ptx/scale.ptx");

/// Scales 300 numbers, adds up so many of 1100 that all of a loop that the compiler unrolled runs, and then twice
/// replays a graph that scales 300 and adds them up.
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
    let mut device = stream.clone_htod(&[1f32; 1100]).unwrap();
    let mut total = stream.alloc_zeros::<f32>(1).unwrap();
    let scaled = |device: &mut CudaSlice<f32>, blocks| {
        let mut launch = stream.launch_builder(&scale);
        launch.arg(device).arg(&2f32).arg(&300i32);
        // SAFETY: the arguments are those of the kernel, and it stays within its array.
        unsafe { launch.launch(shape(blocks)) }.unwrap();
    };
    let summed = |device: &CudaSlice<f32>, total: &mut CudaSlice<f32>, n: i32| {
        let mut launch = stream.launch_builder(&sum);
        launch.arg(device).arg(total).arg(&n);
        // SAFETY: as above.
        unsafe { launch.launch(shape(1)) }.unwrap();
    };
    scaled(&mut device, 3);
    for n in [0, 300, 512, 1100] {
        summed(&device, &mut total, n);
    }
    stream.synchronize().unwrap();
    stream
        .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .unwrap();
    scaled(&mut device, 4);
    summed(&device, &mut total, 300);
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

/// The PTX of `work` in a file of the folder.
fn ptx_file(folder: &Folder, text: &str) -> PathBuf {
    let path = folder.0.join("scale.ptx");
    std::fs::write(&path, text).unwrap();
    path
}

/// What the report says of a file with a list of what is unreachable, and whether it is content.
fn report(records: &Path, file: &Path, list: &str) -> (bool, String) {
    let path = file.with_file_name("unreachable.txt");
    std::fs::write(&path, list).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_coverage"));
    command.arg(records).arg("--unreachable").arg(path).arg(file);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
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
        // The launches, and two in each replay.
        assert_eq!(lines.len(), 9 * process, "{text}");
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
        for replay in [5, 7] {
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

#[test]
fn coverage_is_written_even_by_processes_that_abort() {
    let folder = Folder::new("abort");
    let records = folder.0.join("records");
    assert!(!run("SOFTGPU_COVERAGE", &records, true));
    assert!(run("SOFTGPU_COVERAGE", &records, false));
    let found = Record::read_all(&records).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].digest, digest(SCALE));
    let (scale, sum) = (&found[0].kernels["scale"], &found[0].kernels["sum"]);
    // The guard of `scale` lets lanes by on both ways.
    assert!(scale.contains(&(RAN | TAKEN | NOT_TAKEN)));
    // All was executed but for the end that the machine puts behind each kernel.
    for seen in [scale, sum] {
        let (end, rest) = seen.split_last().unwrap();
        assert_eq!(*end, 0);
        assert!(rest.iter().all(|seen| seen & RAN != 0), "{seen:?}");
    }
}

#[test]
fn a_report_of_what_ran_is_content() {
    let folder = Folder::new("covered");
    let records = folder.0.join("records");
    assert!(run("SOFTGPU_COVERAGE", &records, false));
    let (content, said) = report(&records, &ptx_file(&folder, SCALE), "# nothing\n");
    assert!(content, "{said}");
    assert!(said.contains("scale.ptx: 100.00 % of"), "{said}");
}

#[test]
fn a_report_names_what_did_not_run_unless_it_is_explained() {
    let folder = Folder::new("missing");
    let records = folder.0.join("records");
    assert!(run("SOFTGPU_COVERAGE", &records, false));
    // The return of `sum` is taken away from the record.
    let mut record = Record::read_all(&records).unwrap().remove(0);
    let seen = record.kernels.get_mut("sum").unwrap();
    let last = seen.len() - 2;
    seen[last] = 0;
    std::fs::remove_dir_all(&records).unwrap();
    std::fs::create_dir(&records).unwrap();
    record.write(&records.join("one.coverage")).unwrap();
    let file = ptx_file(&folder, SCALE);
    let (content, said) = report(&records, &file, "");
    assert!(!content);
    let line = SCALE
        .lines()
        .collect::<Vec<_>>()
        .iter()
        .rposition(|line| line.trim() == "ret;");
    let expected = format!("sum, line {} (scale.cu:18): ret;", line.unwrap() + 1);
    assert!(said.contains(&expected), "{said}");
    assert_eq!(said.matches("sum, line").count(), 1, "{said}");

    let explained = "sum | scale.cu:18 | ret; | a test took it away";
    let (content, said) = report(&records, &file, explained);
    assert!(content && said.contains("1 unreachable, 0 missing"), "{said}");
    // Entries for what ran and for what is nowhere are stale; one without a reason is none.
    for stale in [
        "scale | scale.cu:6 | ret; | it ran",
        "sum | scale.cu:19 | ret; | no such line",
    ] {
        let (content, said) = report(&records, &file, &format!("{explained}\n{stale}\n"));
        assert!(!content && said.contains("stale in the list"), "{said}");
    }
    let (content, said) = report(&records, &file, "sum | scale.cu:18 | ret; |");
    assert!(!content && said.contains("is no KERNEL"), "{said}");
}

#[test]
fn records_of_another_text_do_not_count() {
    let folder = Folder::new("stale");
    let records = folder.0.join("records");
    assert!(run("SOFTGPU_COVERAGE", &records, false));
    let (content, said) = report(&records, &ptx_file(&folder, &format!("{SCALE}\n")), "");
    assert!(!content && said.contains("no test ran any of it"), "{said}");
}

#[test]
fn both_settings_may_be_wished_for() {
    let folder = Folder::new("both");
    let (file, records) = (folder.0.join("profile.jsonl"), folder.0.join("records"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "work", "--ignored"]);
    command
        .env("SOFTGPU_PROFILE", &file)
        .env("SOFTGPU_COVERAGE", &records);
    assert!(command.output().unwrap().status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 9);
    assert_eq!(Record::read_all(&records).unwrap().len(), 1);
}
