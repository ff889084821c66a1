// SPDX-License-Identifier: MIT OR Apache-2.0

//! The losses of every step as a document.

use neuralstyle::gatys::Step;
use neuralstyle::settings::Value;
use neuralstyle::stylizer::{Frame, Stylizer};
use serde_json::json;

use super::Arguments;

/// The steps that led to the painting: those before a start with a smaller rate did not.
pub fn last_run(told: impl Iterator<Item = Step>) -> Vec<Step> {
    told.fold(Vec::new(), |mut steps, step| {
        if step.done == 1 {
            steps.clear();
        }
        steps.push(step);
        steps
    })
}

/// What was asked for, where it was painted, and the losses of each step.
pub fn document(
    arguments: &Arguments,
    stylizer: &Stylizer,
    painting: &Frame,
    steps: &[Step],
    seconds: f64,
) -> serde_json::Value {
    let stats = stylizer.stats();
    let mut options = serde_json::Map::new();
    options.insert("iterations".to_owned(), arguments.iterations.into());
    for (setting, value) in arguments.flags.all() {
        options.insert(setting.name.to_owned(), as_json(value));
    }
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            json!({
                "content": step.losses.content,
                "style": step.losses.style,
                "tv": step.losses.tv,
                "total": step.losses.total,
                "scale": step.scale,
                "width": step.width,
                "height": step.height,
            })
        })
        .collect();
    json!({
        "backend": stats.backend,
        "device": stats.device,
        "network": stats.network,
        "width": painting.width(),
        "height": painting.height(),
        "seconds": seconds,
        // Without what comes before the first step, reading the style above all; `null` if there was no step.
        "seconds_per_step": (!steps.is_empty()).then_some(stats.ms_per_step / 1e3),
        "options": options,
        "steps": rows,
    })
}

fn as_json(value: Value) -> serde_json::Value {
    match value {
        Value::Unset => serde_json::Value::Null,
        Value::Int(number) => number.into(),
        Value::Double(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Path(path) => path.display().to_string().into(),
        Value::Choice(name) => name.into(),
    }
}
