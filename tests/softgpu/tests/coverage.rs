// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which instructions count as executed.

mod common;

use common::{Bench, module};
use softgpu::coverage::Record;
use softgpu::machine::coverage::{Coverage, NOT_TAKEN, RAN, TAKEN};

/// What was seen of each instruction of a body behind `mov.u32 %t, %tid.x`, over all threads of the host, and of the
/// return.
fn seen(body: &str, grid: u32, block: u32) -> Vec<u8> {
    let prelude = ".reg .b32 %t, %u; .reg .pred %a, %b;\nmov.u32 %t, %tid.x;\n";
    let mut bench = Bench::new(&module("", &format!("{prelude}{body}")));
    bench.threads = 2;
    let (run, coverages) = bench.launch("kernel", grid, block, &[], |launch| {
        launch.watched(|| Coverage::new(launch.kernel))
    });
    run.unwrap_or_else(|report| panic!("{report}"));
    let mut record = Record::new(0);
    for coverage in &coverages {
        record.add("kernel", &coverage.seen);
    }
    let seen = record.kernels["kernel"].clone();
    // Without the first, and without the end that is the machine's own.
    assert_eq!((seen[0], seen[seen.len() - 1]), (RAN, 0));
    seen[1..seen.len() - 1].to_vec()
}

#[test]
fn a_guard_that_is_false_in_all_lanes_lets_nothing_run() {
    let body = |bound: u32| {
        format!("setp.ge.u32 %a, %t, {bound};\n@%a add.u32 %u, %t, 1;\n@!%a add.u32 %u, %t, 2;\n")
    };
    assert_eq!(seen(&body(32), 1, 32), [RAN, 0, RAN, RAN]);
    assert_eq!(seen(&body(0), 1, 32), [RAN, RAN, 0, RAN]);
    // One lane is enough.
    assert_eq!(seen(&body(31), 1, 32), [RAN; 4]);
}

#[test]
fn branches_say_which_ways_they_went() {
    let body = |bound: u32| format!("setp.ge.u32 %a, %t, {bound};\n@%a bra L;\nadd.u32 %u, %t, 1;\nL:\n");
    // By no lane, by all, and by some lanes of one warp.
    assert_eq!(seen(&body(64), 1, 64), [RAN, NOT_TAKEN, RAN, RAN]);
    assert_eq!(seen(&body(0), 1, 64), [RAN, RAN | TAKEN, 0, RAN]);
    assert_eq!(seen(&body(20), 1, 32), [RAN, RAN | TAKEN | NOT_TAKEN, RAN, RAN]);
    // By all lanes of one warp and no lane of the other.
    assert_eq!(seen(&body(32), 1, 64), [RAN, RAN | TAKEN | NOT_TAKEN, RAN, RAN]);
}

#[test]
fn what_one_block_ran_is_known_whichever_thread_of_the_host_had_it() {
    // Only block 77 of 100 comes by.
    let body = "mov.u32 %u, %ctaid.x;\nsetp.ne.u32 %a, %u, 77;\n@%a bra L;\nadd.u32 %u, %t, 1;\nL:\n";
    assert_eq!(seen(body, 100, 32), [RAN, RAN, RAN | TAKEN | NOT_TAKEN, RAN, RAN]);
}

#[test]
fn a_record_survives_its_file() {
    let mut record = Record::new(0x0123_4567_89ab_cdef);
    assert!(record.add("first", &[0, RAN, RAN | TAKEN]));
    assert!(record.add("second", &[RAN | NOT_TAKEN]));
    assert!(!record.add("first", &[0, RAN, TAKEN]), "nothing of this is new");
    assert!(record.add("first", &[0, 0, NOT_TAKEN]));
    assert_eq!(record.text(), "0123456789abcdef\nfirst 017\nsecond 5\n");
    assert_eq!(Record::parse(&record.text()), Some(record));
    for wrong in [
        "",
        "no digest\n",
        "0123456789abcdef\nfirst 8\n",
        "0123456789abcdef\nfirst\n",
    ] {
        assert_eq!(Record::parse(wrong), None, "{wrong}");
    }
}
