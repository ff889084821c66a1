// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each check finds a planted bug, and says nothing about the kernel without it.

mod common;

use common::{Bench, module};
use softgpu::machine::report::{Kind, Report};

const PRELUDE: &str = ".reg .b64 %p, %o, %q; .reg .b32 %t, %s, %u, %v, %w, %x, %y, %z; .reg .f32 %f; .reg .b16 %h;\n\
     .reg .pred %a, %b;\n.shared .align 16 .b8 mem[1024];\n\
     mov.u32 %t, %tid.x;\nmov.u32 %s, mem;\nshl.b32 %u, %t, 2;\nadd.u32 %s, %s, %u;\nld.param.u64 %p, [data];\n";

/// 1024 written bytes of `data` and as many in `spare` that nobody wrote.
fn run_on(body: &str, grid: u32, block: u32, data: &[u32]) -> Result<Vec<u32>, Box<Report>> {
    let mut found = None;
    // Nothing may depend on the order that a seed gives.
    for seed in 1..6 {
        let text = module(".param .u64 data, .param .u64 spare", &format!("{PRELUDE}{body}"));
        let mut bench = Bench::new(&text);
        bench.seed = seed;
        let parameters = [bench.upload(data), bench.empty(1024)];
        bench.run("kernel", grid, block, &parameters)?;
        let now = bench.download(parameters[0], data.len());
        assert!(
            found.is_none_or(|before| before == now),
            "the result depends on the seed"
        );
        found = Some(now);
    }
    Ok(found.expect("it ran"))
}

fn run(body: &str, grid: u32, block: u32) -> Result<Vec<u32>, Box<Report>> {
    run_on(body, grid, block, &(0..256).collect::<Vec<u32>>())
}

fn passes(body: &str, grid: u32, block: u32) {
    if let Err(report) = run(body, grid, block) {
        panic!("{report}\n{body}");
    }
}

fn fails(kind: Kind, body: &str, grid: u32, block: u32) -> Report {
    let report = *run(body, grid, block).expect_err("the bug is found");
    assert_eq!(report.kind, kind, "{report}");
    report
}

/// Without an order, either warp may come first: the reader finds a race, or what nobody has written yet.
fn fails_unordered(body: &str) {
    fails_unordered_of(body, 64);
}

fn fails_unordered_of(body: &str, threads: u32) {
    let report = run(body, 1, threads).expect_err("the bug is found");
    assert!(
        matches!(report.kind, Kind::Race | Kind::Uninitialised),
        "{report}"
    );
}

/// The address of this thread's word of `data`, `add` bytes further on.
fn word(add: i64) -> String {
    format!("mul.wide.u32 %o, %t, 4;\nadd.s64 %p, %p, %o;\nadd.s64 %p, %p, {add};\n")
}

#[test]
fn reads_and_writes_past_an_array() {
    passes(
        &(word(0) + "ld.global.u32 %v, [%p]; st.global.u32 [%p], %v;"),
        1,
        256,
    );
    let report = fails(Kind::OutOfBounds, &(word(4) + "ld.global.u32 %v, [%p];"), 1, 256);
    assert_eq!((report.thread, report.lane), (Some([255, 0, 0]), Some(31)));
    fails(Kind::OutOfBounds, &(word(4) + "st.global.u32 [%p], %t;"), 1, 256);
    fails(Kind::OutOfBounds, &(word(-4) + "ld.global.u32 %v, [%p];"), 1, 32);
    fails(Kind::OutOfBounds, "mov.u64 %p, 0; ld.global.u32 %v, [%p];", 1, 1);
    fails(
        Kind::OutOfBounds,
        &(word(4) + "atom.global.add.u32 %v, [%p], 1;"),
        1,
        256,
    );
    // A vector whose first bytes lie within the array and whose last do not.
    fails(
        Kind::OutOfBounds,
        "add.s64 %p, %p, 1016; ld.global.v2.u32 {%v, %w}, [%p+8];",
        1,
        1,
    );
}

#[test]
fn a_report_says_where() {
    let body = ".loc 1 42 0\n@%a bra L;\nadd.s64 %p, %p, 2048;\nst.global.u32 [%p], %t;\nL:\n";
    let text = module(
        ".param .u64 data, .param .u64 spare",
        &format!("{PRELUDE}setp.ne.u32 %a, %t, 37;\n{body}"),
    );
    let text = text + ".file 1 \"conv.cu\"\n";
    let mut bench = Bench::new(&text);
    let parameters = [bench.upload(&[0u32; 256]), bench.empty(16)];
    let report = bench.run("kernel", 1, 64, &parameters).unwrap_err();
    let line = text
        .lines()
        .position(|line| line.starts_with("st.global"))
        .unwrap() as u32
        + 1;
    assert_eq!(
        (report.kernel.as_str(), report.block, report.ptx_line),
        ("kernel", [0; 3], line)
    );
    assert_eq!(
        (report.warp, report.lane, report.thread),
        (1, Some(5), Some([37, 0, 0]))
    );
    assert_eq!(report.source, Some(("conv.cu".to_owned(), 42)));
    let said = report.to_string();
    for part in [
        "kernel kernel",
        "block (0, 0, 0)",
        "lane 5",
        "thread (37, 0, 0)",
        "conv.cu:42",
        "SOFTGPU_SEED=1",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn misaligned_accesses() {
    passes("ld.global.v4.u32 {%v, %w, %x, %y}, [%p+16];", 1, 1);
    fails(
        Kind::Misaligned,
        "ld.global.v4.u32 {%v, %w, %x, %y}, [%p+8];",
        1,
        1,
    );
    fails(Kind::Misaligned, "ld.global.u32 %v, [%p+2];", 1, 1);
    fails(Kind::Misaligned, "st.shared.u32 [%s+2], %t;", 1, 1);
    fails(
        Kind::Misaligned,
        "st.shared.u32 [%s], %t; ld.shared.v2.u32 {%v, %w}, [%s+4];",
        1,
        1,
    );
}

#[test]
fn ldmatrix_rows_must_be_aligned_to_16_bytes() {
    let fill = "st.shared.u32 [%s], %t; st.shared.u32 [%s+128], %t; bar.warp.sync -1;\n\
                and.b32 %v, %t, 7; shl.b32 %v, %v, 4; mov.u32 %w, mem; add.u32 %v, %v, %w;\n";
    passes(
        &format!("{fill}ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%x}}, [%v];"),
        1,
        32,
    );
    fails(
        Kind::Misaligned,
        &format!("{fill}ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%x}}, [%v+8];"),
        1,
        32,
    );
}

#[test]
fn freed_memory() {
    let text = module(
        ".param .u64 data",
        "ld.param.u64 %p, [data]; ld.global.u32 %v, [%p+4];",
    );
    let mut bench = Bench::new(&text.replace("{\n", "{\n.reg .b64 %p; .reg .b32 %v;\n"));
    let address = bench.upload(&[1u32, 2, 3]);
    bench.run("kernel", 1, 1, &[address]).unwrap();
    bench.memory.free(address).unwrap();
    assert_eq!(
        bench.run("kernel", 1, 1, &[address]).unwrap_err().kind,
        Kind::UseAfterFree
    );
    assert!(bench.memory.free(address).is_err(), "freed twice");
    assert!(bench.memory.free(address + 4).is_err(), "never allocated");
}

#[test]
fn memory_that_nothing_wrote() {
    let spare = "ld.param.u64 %p, [spare];\n".to_owned();
    passes(
        &(spare.clone() + &word(0) + "st.global.u32 [%p], %t; ld.global.u32 %v, [%p];"),
        1,
        32,
    );
    fails(
        Kind::Uninitialised,
        &(spare.clone() + &word(0) + "ld.global.u32 %v, [%p];"),
        1,
        32,
    );
    // By bytes: the upper half of a word is another matter than the lower.
    let halves = "st.global.u16 [%p], %h; ld.global.u16 %h, [%p";
    passes(&format!("{spare}mov.u16 %h, 1; {halves}];"), 1, 1);
    fails(
        Kind::Uninitialised,
        &format!("{spare}mov.u16 %h, 1; {halves}+2];"),
        1,
        1,
    );
    passes("st.shared.u32 [%s], %t; ld.shared.u32 %v, [%s];", 1, 32);
    fails(
        Kind::Uninitialised,
        "st.shared.u32 [%s], %t; ld.shared.u32 %v, [%s+128];",
        1,
        32,
    );
    fails(
        Kind::Uninitialised,
        "mov.u16 %h, 1; st.shared.u16 [%s], %h; ld.shared.u32 %v, [%s];",
        1,
        32,
    );
    fails(
        Kind::Uninitialised,
        ".local .align 4 .b8 mine[8]; st.local.u32 [mine], %t; ld.local.u32 %v, [mine+4];",
        1,
        1,
    );
}

#[test]
fn shared_memory_outside_of_the_block() {
    fails(Kind::OutOfBounds, "st.shared.u32 [%s+1024], %t;", 1, 1);
    fails(Kind::OutOfBounds, "mov.u32 %s, 0; st.shared.u32 [%s], %t;", 1, 1);
    fails(Kind::OutOfBounds, "st.shared.u32 [%s+-4], %t;", 1, 1);
}

/// Each thread writes its word and reads that of its neighbour in the other warp.
const EXCHANGE: [&str; 2] = [
    "st.shared.u32 [%s], %t;\n",
    "xor.b32 %u, %u, 128; mov.u32 %v, mem; add.u32 %v, %v, %u; ld.shared.u32 %w, [%v];\n",
];

#[test]
fn races_in_shared_memory() {
    let [write, read] = EXCHANGE;
    passes(&format!("{write}bar.sync 0;\n{read}"), 1, 64);
    fails_unordered(&format!("{write}{read}"));
    fails(Kind::Race, &format!("{write}bar.sync 0;\n{write}{read}"), 1, 64);
    // The next round overwrites what another warp may not have read yet.
    passes(&format!("{write}bar.sync 0;\n{read}bar.sync 0;\n{write}"), 1, 64);
    fails(Kind::Race, &format!("{write}bar.sync 0;\n{read}{write}"), 1, 64);
    // Two warps write one word.
    fails(Kind::Race, "mov.u32 %v, mem; st.shared.u32 [%v], %t;", 1, 64);
    // Within a warp a barrier of the warp is enough.
    passes(
        &format!("{write}bar.warp.sync -1;\n{}", read.replace("128", "4")),
        1,
        32,
    );
    // Two warps write two halves of one word.
    let halves = "and.b32 %u, %t, 31; shl.b32 %u, %u, 2; shr.u32 %v, %t, 5; shl.b32 %v, %v, 1; add.u32 %u, %u, %v;\n\
                  mov.u32 %v, mem; add.u32 %v, %v, %u; mov.u16 %h, 7; st.shared.u16 [%v], %h;";
    passes(halves, 1, 64);
}

#[test]
fn lanes_of_one_store_agree() {
    passes("st.global.u32 [%p], 7;", 1, 32);
    fails(Kind::Race, "st.global.u32 [%p], %t;", 1, 32);
    fails(Kind::Race, "mov.u32 %v, mem; st.shared.u32 [%v], %t;", 1, 32);
    passes("setp.eq.u32 %a, %t, 5; @%a st.global.u32 [%p], %t;", 1, 32);
}

#[test]
fn races_between_blocks() {
    let block = "mov.u32 %v, %ctaid.x; mul.wide.u32 %o, %v, 4; add.s64 %q, %p, %o;\n";
    passes(&format!("{block}st.global.u32 [%q], %v;"), 8, 1);
    fails(Kind::Race, "mov.u32 %v, %ctaid.x; st.global.u32 [%p], %v;", 8, 1);
    // Block b reads what block b + 1 writes.
    fails(
        Kind::Race,
        &format!("{block}ld.global.u32 %w, [%q+4]; st.global.u32 [%q], %v;"),
        8,
        1,
    );
    passes("red.global.add.u32 [%p], 1;", 8, 32);
    // Bytes of one word in different blocks.
    let byte = "mov.u32 %v, %ctaid.x; cvt.u64.u32 %o, %v; add.s64 %q, %p, %o; st.global.u8 [%q], %v;";
    passes(byte, 8, 1);
    // Weak is what a load is anyway.
    fails(
        Kind::Race,
        &format!("{block}ld.weak.global.u32 %w, [%q+4]; st.weak.global.u32 [%q], %v;"),
        8,
        1,
    );
    // What others do is meant to be seen by volatile loads.
    passes(
        &format!("{block}ld.volatile.global.u32 %w, [%q+4]; st.global.u32 [%q+512], %v;"),
        8,
        1,
    );
}

/// By whichever order two warps or blocks run, a race is found: seeds draw the order.
#[test]
fn either_order_of_a_race_is_found() {
    let [write, read] = EXCHANGE;
    // Written before, so that whoever reads first finds something.
    let place = &read[..read.find("ld.shared").expect("it reads")];
    for seed in 1..12 {
        let shared = format!(
            "{write}bar.sync 0;\n{place}setp.lt.u32 %a, %t, 32;\n\
             @%a st.shared.u32 [%s], %t; @!%a ld.shared.u32 %w, [%v];"
        );
        assert_eq!(seeded(&shared, 1, 64, seed), Some(Kind::Race), "{shared}");
        let global = format!(
            "{}setp.lt.u32 %a, %t, 32; @%a st.global.u32 [%p+128], %t; @!%a ld.global.u32 %v, [%p];",
            word(0)
        );
        assert_eq!(seeded(&global, 1, 64, seed), Some(Kind::Race));
        let blocks = "mov.u32 %v, %ctaid.x; setp.eq.u32 %a, %v, 0;\n\
                      @%a st.global.u32 [%p], 7; @!%a ld.global.u32 %v, [%p];";
        assert_eq!(seeded(blocks, 2, 1, seed), Some(Kind::Race));
    }
}

/// What comes of a body whose order is drawn by a seed.
fn seeded(body: &str, grid: u32, block: u32, seed: u64) -> Option<Kind> {
    let text = module(".param .u64 data, .param .u64 spare", &format!("{PRELUDE}{body}"));
    let mut bench = Bench::new(&text);
    bench.seed = seed;
    let parameters = [bench.upload(&(0..256).collect::<Vec<u32>>()), bench.empty(1024)];
    let answer = bench.run("kernel", grid, block, &parameters);
    answer.err().map(|report| report.kind)
}

#[test]
fn races_in_global_memory_between_the_warps_of_a_block() {
    let mine = word(0);
    let (write, read) = ("st.global.u32 [%p], %t;\n", "ld.global.u32 %v, [%q];\n");
    // The word of the thread 32 further on, in a ring of 64.
    let other = "xor.b32 %u, %t, 32; mul.wide.u32 %o, %u, 4; ld.param.u64 %q, [data]; add.s64 %q, %q, %o;\n";
    let exchange = format!("{mine}{other}");
    for grid in [1, 3] {
        // Blocks of their own, so that only warps meet.
        let apart =
            "mov.u32 %x, %ctaid.x; mul.wide.u32 %o, %x, 256; add.s64 %p, %p, %o; add.s64 %q, %q, %o;\n";
        let begin = format!("{exchange}{apart}");
        passes(&format!("{begin}{write}bar.sync 0;\n{read}"), grid, 64);
        fails(Kind::Race, &format!("{begin}{write}{read}"), grid, 64);
        fails(Kind::Race, &format!("{begin}{read}{write}"), grid, 64);
        passes(&format!("{begin}{read}bar.sync 0;\n{write}"), grid, 64);
        fails(
            Kind::Race,
            &format!("{begin}{write}bar.sync 0;\n{read}{write}"),
            grid,
            64,
        );
    }
    // A barrier of the warp is none of the block.
    fails(
        Kind::Race,
        &format!("{exchange}{write}bar.warp.sync -1;\n{read}"),
        1,
        64,
    );
    // Reading is no race, by however many.
    passes(&format!("{exchange}{read}"), 1, 64);
    // Several writers, even of one value.
    fails(Kind::Race, "st.global.u32 [%p], 7;", 1, 64);
    passes("setp.lt.u32 %a, %t, 32; @%a st.global.u32 [%p], 7;", 1, 64);
    // A row that is read at once, and one that is read lane by lane.
    let vector = "shl.b32 %u, %t, 4; and.b32 %u, %u, 1008; cvt.u64.u32 %o, %u; add.s64 %q, %p, %o;\n\
                  setp.lt.u32 %a, %t, 32; @%a st.global.u32 [%p+64], 7; @!%a ld.global.v4.u32 {%v, %w, %x, %y}, [%q];";
    fails(Kind::Race, vector, 1, 96);
}

#[test]
fn bytes_of_a_word_are_accessed_by_whom_they_belong_to() {
    // Warp w has the half w of each word.
    let halves = "and.b32 %u, %t, 31; shl.b32 %u, %u, 2; shr.u32 %v, %t, 5; shl.b32 %v, %v, 1; add.u32 %u, %u, %v;\n\
                  cvt.u64.u32 %o, %u; add.s64 %q, %p, %o; mov.u32 %v, mem; add.u32 %s, %v, %u; mov.u16 %h, 7;\n";
    let first = "setp.lt.u32 %a, %t, 32; @%a";
    for (write, read, whole) in [
        (
            "st.shared.u16 [%s], %h;\n",
            "ld.shared.u16 %h, [%s];\n",
            "ld.shared.u32 %w, [%s];\n",
        ),
        (
            "st.global.u16 [%q], %h;\n",
            "ld.global.u16 %h, [%q];\n",
            "ld.global.u32 %w, [%q];\n",
        ),
    ] {
        passes(&format!("{halves}{write}{read}{write}"), 1, 64);
        passes(&format!("{halves}{write}bar.sync 0;\n{first} {whole}"), 1, 64);
        fails_unordered(&format!("{halves}{write}{first} {whole}"));
        // Both halves were written; what the one that came second left must not cover what the first did.
        let second = read.replace("%s]", "%s+-2]").replace("%q]", "%q+-2]");
        fails_unordered(
            &format!("{halves}{write}@!%a {second}").replace("@!%a", "setp.lt.u32 %a, %t, 32; @!%a"),
        );
        // Both halves were read, then one of them is written by the other warp.
        let foreign = write.replace("%s]", "%s+-2]").replace("%q]", "%q+-2]");
        let body = format!("{halves}{write}bar.sync 0;\n{read}setp.lt.u32 %a, %t, 32; @!%a {foreign}");
        fails(Kind::Race, &body, 1, 64);
        passes(&body.replace(read, &format!("{read}bar.sync 0;\n")), 1, 64);
    }
    // By blocks.
    let byte = "mov.u32 %v, %ctaid.x; cvt.u64.u32 %o, %v; add.s64 %q, %p, %o; st.global.u8 [%q], %v;\n";
    passes(&format!("{byte}ld.global.u8 %w, [%q];"), 8, 1);
    fails(Kind::Race, &format!("{byte}ld.global.u8 %w, [%q+1];"), 8, 1);
}

#[test]
fn barriers_of_some_warps_order_those_alone() {
    let warp = "shr.u32 %x, %t, 5; setp.eq.u32 %a, %x, 0; setp.eq.u32 %b, %x, 2;\n";
    let pair = "setp.ne.u32 %b, %x, 2; @%b bar.sync 1, 64;\n";
    let mine = word(0);
    // Warp 0 writes, warps 0 and 1 meet, and warp `reader` reads.
    let body = |reader: u32| {
        format!(
            "{mine}{warp}@%a st.global.u32 [%p], %t;\n{pair}setp.eq.u32 %b, %x, {reader};\n\
             mul.wide.u32 %o, %x, 128; sub.s64 %q, %p, %o; @%b ld.global.u32 %v, [%q];"
        )
    };
    passes(&body(1), 1, 96);
    fails(Kind::Race, &body(2), 1, 96);
    // A chain: 0 and 1 meet, then 1 and 2.
    let chain = body(2).replace(
        "setp.eq.u32 %b, %x, 2;\nmul",
        "setp.ne.u32 %b, %x, 0; @%b bar.sync 2, 64;\nsetp.eq.u32 %b, %x, 2;\nmul",
    );
    passes(&chain, 1, 96);
    // Warp 2 waits at another barrier meanwhile, which all come to later: its place in the code is no order.
    let late = body(2) + "\nbar.sync 0;";
    fails(Kind::Race, &late, 1, 96);
    // The same in shared memory.
    let shared = |reader: u32| {
        format!(
            "{warp}st.shared.u32 [%s], %t; bar.sync 0; @%a st.shared.u32 [%s], 5;\n{pair}\
             setp.eq.u32 %b, %x, {reader}; and.b32 %u, %t, 31; shl.b32 %u, %u, 2; mov.u32 %v, mem; add.u32 %v, %v, %u;\n\
             @%b ld.shared.u32 %w, [%v];"
        )
    };
    passes(&shared(1), 1, 96);
    fails(Kind::Race, &shared(2), 1, 96);
}

#[test]
fn barriers_count_those_who_come() {
    passes("bar.sync 1, 64;", 1, 64);
    passes("bar.sync 1, 96; bar.sync 0;", 1, 96);
    // One warp says 64, another one 96.
    let differing = "mov.u32 %v, 96; setp.lt.u32 %a, %t, 32; @%a mov.u32 %v, 64; bar.sync 1, %v;";
    fails(Kind::Divergence, differing, 1, 96);
    // Lanes of one warp.
    fails(Kind::Divergence, "and.b32 %w, %t, 1; bar.sync %w, 64;", 1, 64);
    fails(
        Kind::Divergence,
        "and.b32 %w, %t, 1; shl.b32 %w, %w, 5; add.u32 %w, %w, 32; bar.sync 1, %w;",
        1,
        64,
    );
    // All of the block against a count.
    let implied = "setp.lt.u32 %a, %t, 32; @%a bra L; bar.sync 1; bra M; L: bar.sync 1, 64; M:";
    fails(Kind::Divergence, implied, 1, 96);
    passes(&implied.replace("64", "96"), 1, 96);
    // Three warps at a barrier for two.
    fails(Kind::Divergence, "bar.sync 1, 64;", 1, 96);
    // No whole warps.
    fails(Kind::Divergence, "bar.sync 1, 48;", 1, 64);
    // More than there are.
    fails(Kind::Divergence, "bar.sync 1, 128;", 1, 96);
}

#[test]
fn atomic_operations_race_with_plain_accesses() {
    let add = "red.global.add.u32 [%p], 1;\n";
    passes(add, 4, 64);
    // Another block reads or writes it plainly, or another warp without a barrier.
    let block = "mov.u32 %v, %ctaid.x; setp.eq.u32 %a, %v, 0;\n";
    fails(
        Kind::Race,
        &format!("{block}@%a bra L; {add}bra M; L: ld.global.u32 %w, [%p]; M:"),
        2,
        1,
    );
    fails(
        Kind::Race,
        &format!("{block}@%a bra L; {add}bra M; L: st.global.u32 [%p], 0; M:"),
        2,
        1,
    );
    // Of several blocks that add, one reads what it has added to itself.
    fails(
        Kind::Race,
        &format!("{add}{block}@%a ld.global.u32 %w, [%p];"),
        4,
        1,
    );
    passes(&format!("{add}{block}@%a ld.volatile.global.u32 %w, [%p];"), 4, 1);
    let first = "setp.lt.u32 %a, %t, 32;\n";
    fails(
        Kind::Race,
        &format!("{first}{add}@%a ld.global.u32 %w, [%p];"),
        1,
        64,
    );
    passes(
        &format!("{first}{add}bar.sync 0;\n@%a ld.global.u32 %w, [%p];"),
        1,
        64,
    );
    // A part of the word.
    fails(
        Kind::Race,
        &format!("{block}@%a bra L; {add}bra M; L: ld.global.u16 %h, [%p+2]; M:"),
        2,
        1,
    );
    // In shared memory: cleared by one thread, counted by all, read by one.
    let clear = "setp.eq.u32 %a, %t, 0; mov.u32 %v, mem; @%a st.shared.u32 [%v], 0;\n";
    let count = "atom.shared.add.u32 %w, [%v], 1;\n";
    let look = "@%a ld.shared.u32 %w, [%v];\n";
    passes(&format!("{clear}bar.sync 0;\n{count}bar.sync 0;\n{look}"), 1, 96);
    fails_unordered_of(&format!("{clear}{count}bar.sync 0;\n{look}"), 96);
    fails(Kind::Race, &format!("{clear}bar.sync 0;\n{count}{look}"), 1, 96);
}

#[test]
fn barriers_that_not_all_lanes_come_to() {
    passes("bar.sync 0;", 2, 96);
    fails(Kind::Divergence, "setp.lt.u32 %a, %t, 16; @%a bar.sync 0;", 1, 32);
    fails(
        Kind::Divergence,
        "setp.lt.u32 %a, %t, 16; @%a bra L; bar.sync 0; bra M; L: bar.sync 0; M:",
        1,
        32,
    );
    // A whole warp that leaves early.
    fails(
        Kind::Divergence,
        "setp.lt.u32 %a, %t, 32; @%a ret; bar.sync 0;",
        1,
        64,
    );
    // Lanes that meet again before the barrier have not diverged, wherever the detour lies.
    passes(
        "setp.lt.u32 %a, %t, 16; @%a bra L; M: bar.sync 0; ret; L: add.u32 %v, %t, 1; bra M;",
        1,
        32,
    );
    passes(
        "setp.lt.u32 %a, %t, 7; @%a bra L; add.u32 %v, %t, 1; L: bar.sync 0;",
        1,
        64,
    );
}

#[test]
fn shuffles_and_votes_want_their_members() {
    let shuffle = |members: &str| format!("shfl.sync.bfly.b32 %v|%b, %t, 1, 31, {members};");
    passes(&shuffle("-1"), 1, 64);
    fails(
        Kind::Divergence,
        &format!("setp.lt.u32 %a, %t, 16; @%a {}", shuffle("-1")),
        1,
        32,
    );
    fails(
        Kind::Divergence,
        &format!("setp.lt.u32 %a, %t, 16; @%a ret; {}", shuffle("-1")),
        1,
        32,
    );
    passes(
        &format!("setp.ge.u32 %a, %t, 16; @%a ret; {}", shuffle("0xffff")),
        1,
        32,
    );
    fails(Kind::Divergence, &shuffle("0xffff"), 1, 32);
    // A lane that takes no part is asked for its value.
    let beyond = "setp.ge.u32 %a, %t, 16; @%a ret; shfl.sync.bfly.b32 %v, %t, 16, 31, 0xffff;";
    fails(Kind::Divergence, beyond, 1, 32);
    passes(
        "setp.lt.u32 %a, %t, 7; vote.sync.ballot.b32 %v, %a, -1; bar.warp.sync -1;",
        1,
        32,
    );
    fails(
        Kind::Divergence,
        "setp.lt.u32 %a, %t, 7; @%a vote.sync.any.pred %b, %a, -1;",
        1,
        32,
    );
    fails(
        Kind::Divergence,
        "setp.lt.u32 %a, %t, 7; @%a bar.warp.sync -1;",
        1,
        32,
    );
}

#[test]
fn the_tensor_core_wants_whole_warps() {
    let mma =
        "mov.u32 %v, 0; mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%w, %x}, {%v, %v}, {%v}, {%v, %v};";
    passes(mma, 1, 64);
    fails(
        Kind::Divergence,
        &format!("setp.lt.u32 %a, %t, 31; @!%a ret; {mma}"),
        1,
        32,
    );
    fails(Kind::Divergence, mma, 1, 48);
}

/// A word per thread from `data` to shared memory.
fn copy(size: &str) -> String {
    word(0) + &format!("cp.async.ca.shared.global [%s], [%p], 4{size};\ncp.async.commit_group;\n")
}

#[test]
fn copies_that_nobody_waits_for() {
    let read = "ld.shared.u32 %v, [%s];\nst.global.u32 [%p], %v;";
    passes(&format!("{}cp.async.wait_group 0;\n{read}", copy("")), 1, 64);
    passes(&format!("{}cp.async.wait_all;\n{read}", copy("")), 1, 64);
    fails(Kind::Pending, &format!("{}{read}", copy("")), 1, 64);
    // One group may still be pending, and it is this one.
    fails(
        Kind::Pending,
        &format!("{}cp.async.wait_group 1;\n{read}", copy("")),
        1,
        64,
    );
    passes(
        &format!(
            "{}cp.async.commit_group;\ncp.async.wait_group 1;\n{read}",
            copy("")
        ),
        1,
        64,
    );
    // Waiting is for one's own copies: for those of another warp it takes a barrier.
    let other = EXCHANGE[1];
    passes(
        &format!("{}cp.async.wait_all;\nbar.sync 0;\n{other}", copy("")),
        1,
        64,
    );
    fails_unordered(&format!("{}cp.async.wait_all;\n{other}", copy("")));
    fails(Kind::Pending, &format!("{}bar.sync 0;\n{other}", copy("")), 1, 64);
    // Overwriting what another warp may still read.
    let again = copy("").replace(&word(0), "");
    let body = format!(
        "{}cp.async.wait_all;\nbar.sync 0;\n{other}{again}cp.async.wait_all;",
        copy("")
    );
    fails(Kind::Race, &body, 1, 64);
    fails(Kind::Misaligned, &copy("").replace("[%s]", "[%s+2]"), 1, 1);
    fails(Kind::OutOfBounds, &copy("").replace("[%p]", "[%p+4]"), 1, 256);
}

#[test]
fn copies_fill_up_with_zeros() {
    let body = copy(", 0") + "cp.async.wait_all; ld.shared.u32 %v, [%s]; st.global.u32 [%p], %v;";
    assert_eq!(run(&body, 1, 256).unwrap(), [0; 256]);
    // The source of nothing need not be an address.
    passes(&copy(", 0").replace("[%p]", "[%p+65536]"), 1, 64);
    fails(Kind::OutOfBounds, &copy("").replace("[%p]", "[%p+65536]"), 1, 64);
}

#[test]
fn diverging_lanes_compute_what_they_would_alone() {
    // Collatz steps: every lane has a loop of its own length.
    let body = word(0)
        + "ld.global.u32 %v, [%p]; mov.u32 %w, 0;\n\
           loop: setp.le.u32 %a, %v, 1; @%a bra done;\n\
           and.b32 %x, %v, 1; setp.eq.u32 %b, %x, 0; @%b bra even;\n\
           mad.lo.u32 %v, %v, 3, 1; bra next;\n\
           even: shr.u32 %v, %v, 1;\n\
           next: add.u32 %w, %w, 1; bra loop;\n\
           done: bar.sync 0; st.global.u32 [%p], %w;";
    let steps = |mut n: u32| {
        let mut count = 0;
        while n > 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            count += 1;
        }
        count
    };
    assert_eq!(
        run(&body, 1, 256).unwrap(),
        (0..256).map(steps).collect::<Vec<u32>>()
    );
}

#[test]
fn shuffles_move_values_as_the_manual_says() {
    let moved = |shuffle: &str| {
        run(
            &(word(0) + &format!("shfl.sync.{shuffle}, -1; st.global.u32 [%p], %v;")),
            1,
            32,
        )
        .unwrap()[..32]
            .to_vec()
    };
    let lanes = |f: fn(u32) -> u32| (0..32).map(f).collect::<Vec<u32>>();
    assert_eq!(moved("bfly.b32 %v, %t, 5, 31"), lanes(|lane| lane ^ 5));
    assert_eq!(
        moved("down.b32 %v, %t, 3, 31"),
        lanes(|lane| if lane + 3 < 32 { lane + 3 } else { lane })
    );
    assert_eq!(
        moved("up.b32 %v, %t, 3, 0"),
        lanes(|lane| if lane >= 3 { lane - 3 } else { lane })
    );
    assert_eq!(moved("idx.b32 %v, %t, 9, 31"), lanes(|_| 9));
    // Segments of eight lanes: the clamp is 31 − 7 = 24 in bits 8…12.
    assert_eq!(moved("idx.b32 %v, %t, 2, 0x181f"), lanes(|lane| (lane & 24) + 2));
    assert_eq!(
        moved("down.b32 %v, %t, 3, 0x181f"),
        lanes(|lane| if lane % 8 < 5 { lane + 3 } else { lane })
    );
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    let text = module(
        ".param .u64 data",
        ".reg .b32 %r<3>;\nadd.u32 %r0, %r1, 1;\ntex.2d.v4 %r0, [%r1];",
    );
    let error = softgpu::ptx::lower(&softgpu::ptx::parse(&text).unwrap(), &|_| None).unwrap_err();
    let line = text.lines().position(|line| line.starts_with("tex")).unwrap() + 1;
    assert_eq!(
        error.to_string(),
        format!("PTX line {line}: the instruction `tex.2d.v4` is not known")
    );
    let error = softgpu::ptx::lower(
        &softgpu::ptx::parse(&module(
            ".param .u64 data",
            ".reg .b32 %r<3>;\nadd.rn.wide.u32 %r0, %r1, 1;",
        ))
        .unwrap(),
        &|_| None,
    );
    assert!(error.unwrap_err().to_string().contains("add.rn.wide.u32"));
}

#[test]
fn registers_that_nothing_sets() {
    let read = |body: &str| {
        let text = module(
            ".param .u64 data",
            &format!(".reg .b32 %a, %b; .reg .b64 %c;\n{body}"),
        );
        softgpu::ptx::lower(&softgpu::ptx::parse(&text).unwrap(), &|_| None)
    };
    let refused = |body: &str, name: &str| {
        let error = read(body).unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{name}` is read, and no instruction sets it")),
            "{error}"
        );
    };
    refused("add.u32 %a, %b, 1;", "%b");
    // A later instruction may come first, in a loop.
    assert!(read("add.u32 %a, %b, 1;\nmov.u32 %b, %a;").is_ok());
    assert!(read("mov.u32 %b, %tid.x;\nadd.u32 %a, %b, 1;").is_ok());
    // As an address, in a vector, behind a guard.
    refused("ld.global.u32 %a, [%c];", "%c");
    refused("ld.param.u64 %c, [data];\nst.global.v2.u32 [%c], {0, %b};", "%b");
    refused(
        ".reg .pred %p;\nsetp.eq.u32 %p, %b, 0;\n@%p mov.u32 %b, 1;\n@%p add.u32 %b, %a, 1;",
        "%a",
    );
}

#[test]
fn instructions_demand_their_card() {
    let read = |text: String| softgpu::ptx::lower(&softgpu::ptx::parse(&text).unwrap(), &|_| None);
    let text = module(".param .u64 data", "cp.async.commit_group;");
    assert!(read(text.clone()).is_ok());
    let error = read(text.replace("sm_80", "sm_75")).unwrap_err().to_string();
    assert!(
        error.contains("`cp.async.commit_group` needs .target sm_80"),
        "{error}"
    );
    let error = read(text.replace("7.0", "6.5")).unwrap_err().to_string();
    assert!(
        error.contains("needs .version 7.0, the module has 6.5"),
        "{error}"
    );
}
