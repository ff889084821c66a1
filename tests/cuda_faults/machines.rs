// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machines on which the backend cannot work. Each is a process of its own, since a driver is loaded once.

use std::path::Path;
use std::process::Command;

use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::stylizer::{BackendChoice, Options, Stylizer};

use crate::softgpu::SoftGpu;

/// Says what becomes of both choices; run by the tests below.
#[test]
#[ignore = "is run by the other tests, on machines of their own"]
fn say_what_happens() {
    let id = std::env::var("TEST_DEVICE_ID").map_or(-1, |id| id.parse().unwrap());
    for backend in [BackendChoice::Cuda, BackendChoice::Auto] {
        let options = Options {
            network: NetworkChoice::Tiny,
            backend,
            cuda_device_id: id,
            ..Options::default()
        };
        match Stylizer::new(&options, CancelToken::new()) {
            Ok(mut stylizer) => {
                let fallback = stylizer.take_fallback();
                let surprising = fallback.as_ref().is_some_and(|fallback| fallback.surprising);
                let why = fallback.map(|fallback| fallback.to_string());
                let stats = stylizer.stats();
                println!(
                    "{backend}: {} on {}, {why:?}, {surprising}",
                    stats.backend, stats.device
                );
            }
            Err(error) => println!("{backend}: refused, {error}"),
        }
    }
}

/// What the ignored `test` says in a process that starts with these variables.
pub fn said(test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn said_of(variables: &[(&str, &str)]) -> String {
    said("machines::say_what_happens", variables)
}

fn assert_refused(variables: &[(&str, &str)], words: &[&str], surprising: bool) {
    let text = said_of(variables);
    let line = |start: &str| text.lines().find(|line| line.contains(start)).map(str::to_owned);
    let refused = line("cuda: refused, backend=cuda").unwrap_or_else(|| panic!("{text}"));
    let replaced = line("auto: cpu on").unwrap_or_else(|| panic!("{text}"));
    for word in words {
        assert!(
            refused.contains(word) && replaced.contains(word),
            "{word} in {text}"
        );
    }
    assert!(replaced.ends_with(&surprising.to_string()), "{text}");
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn a_card_that_works_is_used() {
    let Some(_gpu) = SoftGpu::take() else { return };
    let text = said_of(&[("SOFTGPU_CARD", "sm_75")]);
    assert!(text.contains("cuda: cuda on NVIDIA GeForce RTX 2060"), "{text}");
    assert!(
        text.contains("auto: cuda on NVIDIA GeForce RTX 2060") && text.contains("None"),
        "{text}"
    );
    assert!(said_of(&[("SOFTGPU_CARD", "sm_120")]).contains("auto: cuda on"));
}

#[test]
fn cards_that_are_not_there_or_too_old() {
    let Some(_gpu) = SoftGpu::take() else { return };
    assert_refused(&[("SOFTGPU_DEVICES", "0")], &["knows no card"], false);
    assert_refused(&[("SOFTGPU_CARD", "sm_61")], &["6.1", "7.5"], true);
    assert_refused(&[("TEST_DEVICE_ID", "3")], &["cuda-device-id=3"], true);
    let second = said_of(&[("SOFTGPU_DEVICES", "2"), ("TEST_DEVICE_ID", "1")]);
    assert!(second.contains("device 1"), "{second}");
}

#[test]
fn drivers_that_are_too_old() {
    let Some(_gpu) = SoftGpu::take() else { return };
    assert_refused(&[("SOFTGPU_DRIVER", "11000")], &["CUDA 11.0", "11.4"], true);
    assert_refused(&[("SOFTGPU_DRIVER", "11030")], &["CUDA 11.3", "11.4"], true);
    // The oldest that will do.
    let text = said_of(&[("SOFTGPU_DRIVER", "11040")]);
    assert!(text.contains("auto: cuda on"), "{text}");
}

#[test]
fn drivers_that_are_not_there_or_lack_something() {
    let Some(_gpu) = SoftGpu::take() else { return };
    let nothing = tempfile::tempdir().unwrap();
    assert_refused(
        &[("LD_LIBRARY_PATH", path(nothing.path()))],
        &["no NVIDIA driver"],
        false,
    );
    for name in [
        "cuGraphInstantiateWithFlags",
        "cuLaunchKernel",
        "cuInit",
        "cuGetErrorString",
    ] {
        let folder = tempfile::tempdir().unwrap();
        install(&["--without", name, "--into", path(folder.path())]);
        assert_refused(
            &[("LD_LIBRARY_PATH", path(folder.path()))],
            &[name, "driver"],
            true,
        );
    }
}

/// Runs tests/softgpu/install.sh.
fn install(arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/softgpu/install.sh");
    let status = Command::new(script).args(arguments).status().unwrap();
    assert!(status.success());
}
