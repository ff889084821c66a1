// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library's settings as flags.

use neuralstyle::settings::{self, Kind, Value};

use crate::running::{command, run, said, words};

fn help(words: &[&str]) -> String {
    said(&run(command(words).arg("--help")))
}

#[test]
fn every_setting_is_a_flag_with_its_default() {
    let help = help(&["film"]);
    // What the command decides: a film always waits for its frames.
    for setting in settings::all().filter(|setting| setting.name != "mode") {
        let flag = format!("--{} <", setting.name);
        let about = help
            .split_once(&flag)
            .unwrap_or_else(|| panic!("there is no {flag}"))
            .1;
        let about = about.split("\n      --").next().unwrap();
        match setting.default() {
            Value::Unset => {}
            value => assert!(about.contains(&format!("[default: {value}]")), "{flag}{about}"),
        }
        if let Kind::Choice(choice) = &setting.kind {
            for value in choice.values.iter().filter(|value| !value.hidden) {
                assert!(about.contains(&format!("- {}:", value.name)), "{flag}{about}");
            }
        }
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_what_would_work() {
    for (flag, value, expected) in [
        ("--scales", "5", "write a whole number from 0 to 4"),
        ("--moment-blur", "-1", "write a whole number from 0 to 16"),
        ("--strength", "NaN", "write a number from 0 to 1"),
        (
            "--style-layers",
            "relu1_1=much",
            "‘much’ in ‘relu1_1=much’ is not a number",
        ),
        (
            "--init",
            "bright",
            "[possible values: matched, content, noise, previous]",
        ),
        ("--backend", "reference", "[possible values: auto, cpu, cuda]"),
    ] {
        let film = ["film", "in.webm", "out.webm", "--style", "s.png", flag, value];
        let answer = run(&mut command(&film));
        let error = words(&answer);
        assert_eq!(answer.status.code(), Some(2), "{error}");
        assert!(error.contains(flag) && error.contains(expected), "{error}");
    }
}
