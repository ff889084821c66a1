// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is counted of a launch, against numbers that were worked out by hand.

mod common;

use common::{Bench, module};
use softgpu::machine::launch::{Launch, Shape};
use softgpu::machine::profile::{Banked, Class, Profile, Record, Traffic};

const PRELUDE: &str = ".reg .b64 %p, %o; .reg .b32 %t, %u, %s, %b, %v, %w, %x, %y; .reg .pred %a;\n\
     .shared .align 128 .b8 mem[8192];\n\
     mov.u32 %t, %tid.x;\nmov.u32 %s, mem;\nmov.u32 %b, %ctaid.x;\nld.param.u64 %p, [data];\n";

/// Instructions of the prelude and the `ret` behind the body.
const AROUND: u64 = 5;

struct Counted {
    profile: Profile,
    classes: Vec<u64>,
    products: u64,
    json: String,
}

impl Counted {
    fn class(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }
}

/// Runs a body on `data`, 16 KiB of zeros at a multiple of 512 bytes.
fn count(body: &str, grid: u32, block: u32) -> Counted {
    let text = module(".param .u64 data", &format!("{PRELUDE}{body}")) + ".file 1 \"kernels/small.cu\"\n";
    let mut bench = Bench::new(&text);
    let data = bench.upload(&[0u32; 4096]);
    let profile = bench.profile("kernel", grid, block, &[data]);
    let record = Record {
        kernel: &bench.program.kernels[0],
        files: &bench.program.files,
        target: bench.program.target,
        shape: Shape {
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            dynamic_shared: 0,
        },
        sampled: grid as usize,
        parameters: &data.to_le_bytes(),
        profile: &profile,
    };
    let (classes, products, json) = (record.classes(), record.products(), record.json());
    Counted {
        profile,
        classes,
        products,
        json,
    }
}

/// `%p` moves on by so many bytes for each thread.
fn apart(bytes: u32) -> String {
    format!("mul.wide.u32 %o, %t, {bytes};\nadd.s64 %p, %p, %o;\n")
}

/// `%s` moves on by so many bytes for each thread.
fn shared_apart(bytes: u32) -> String {
    format!("mad.lo.u32 %s, %t, {bytes}, %s;\n")
}

fn traffic(requests: u64, sectors: u64, block_sectors: u64, unique_sectors: u64, bytes: u64) -> Traffic {
    Traffic {
        requests,
        sectors,
        block_sectors,
        unique_sectors,
        bytes,
    }
}

fn banked(requests: u64, wavefronts: u64, ideal: u64) -> Banked {
    Banked {
        requests,
        wavefronts,
        ideal,
    }
}

#[test]
fn words_in_a_row_take_as_few_sectors_as_their_bytes() {
    let counted = count(
        &(apart(4) + "ld.global.u32 %v, [%p]; st.global.u32 [%p], %v;"),
        1,
        64,
    );
    // 2 warps, each 32 · 4 = 128 bytes in 4 sectors.
    assert_eq!(counted.profile.loads(), traffic(2, 8, 8, 8, 256));
    assert_eq!(counted.profile.stores(), traffic(2, 8, 8, 8, 256));
    assert!(
        counted.json.contains(r#""coalescing":1.000000"#),
        "{}",
        counted.json
    );
    assert_eq!(
        (
            counted.class(Class::LoadGlobal),
            counted.class(Class::StoreGlobal)
        ),
        (2, 2)
    );
}

#[test]
fn words_further_apart_take_more_sectors() {
    let body = |bytes| apart(bytes) + "ld.global.u32 %v, [%p];";
    // Every second word: 256 bytes are touched for 128.
    let counted = count(&body(8), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 8, 8, 8, 128));
    assert!(
        counted.json.contains(r#""coalescing":0.500000"#),
        "{}",
        counted.json
    );
    // 128 bytes apart, each word has a sector of its own.
    let counted = count(&body(128), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 32, 32, 32, 128));
    assert!(
        counted.json.contains(r#""coalescing":0.125000"#),
        "{}",
        counted.json
    );
    // All lanes at one word ask for 4 bytes.
    let counted = count(&body(0), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 1, 1, 1, 4));
}

#[test]
fn a_row_that_begins_within_a_sector_takes_one_more() {
    let counted = count(&(apart(4) + "ld.global.u32 %v, [%p+4];"), 1, 32);
    // Bytes 4 to 131: sectors 0 to 4.
    assert_eq!(counted.profile.loads(), traffic(1, 5, 5, 5, 128));
}

#[test]
fn vectors_count_all_their_bytes() {
    let counted = count(&(apart(16) + "ld.global.v4.u32 {%v, %w, %x, %y}, [%p];"), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 16, 16, 16, 512));
}

#[test]
fn sectors_of_a_block_and_of_the_launch_count_once() {
    // Both warps of all 3 blocks read the same 128 bytes twice: 12 requests of 4 sectors, 4 for each block.
    let body = "and.b32 %u, %t, 31; mul.wide.u32 %o, %u, 4; add.s64 %p, %p, %o;\n\
                ld.global.u32 %v, [%p]; ld.global.u32 %w, [%p];";
    let counted = count(body, 3, 64);
    assert_eq!(counted.profile.loads(), traffic(12, 48, 12, 4, 12 * 128));
    // 5 blocks store 64 bytes each, side by side.
    let body =
        "mad.lo.u32 %u, %b, 16, %t; mul.wide.u32 %o, %u, 4; add.s64 %p, %p, %o; st.global.u32 [%p], %t;";
    let counted = count(body, 5, 16);
    assert_eq!(counted.profile.stores(), traffic(5, 10, 10, 10, 5 * 64));
}

#[test]
fn lanes_whose_guard_is_false_ask_for_nothing() {
    let body = apart(4) + "setp.lt.u32 %a, %t, 8; @%a ld.global.u32 %v, [%p];";
    let counted = count(&body, 1, 64);
    // 8 lanes of the first warp ask for 32 bytes; no lane of the second comes by.
    assert_eq!(counted.profile.loads(), traffic(1, 1, 1, 1, 32));
    assert_eq!(counted.class(Class::LoadGlobal), 1);
    // Per warp: what is around the body, mul, add, setp; and one load with 8 lanes.
    let everywhere = AROUND + 3;
    assert_eq!(counted.classes.iter().sum::<u64>(), 2 * everywhere + 1);
    let lanes: u64 = counted.profile.places.iter().map(|place| place.lanes).sum();
    assert_eq!(lanes, 2 * 32 * everywhere + 8);
}

#[test]
fn divergent_lanes_run_an_instruction_each_on_their_own() {
    // Of 32 lanes 20 jump: bra runs for them, xor for the other 12; then all meet again.
    let body = "setp.ge.u32 %a, %t, 12; @%a bra L; xor.b32 %v, %t, 1;\nL:\nadd.u32 %w, %t, 1;";
    let counted = count(body, 1, 32);
    assert_eq!(counted.classes.iter().sum::<u64>(), AROUND + 4);
    let lanes: u64 = counted.profile.places.iter().map(|place| place.lanes).sum();
    assert_eq!(lanes, 32 * (AROUND + 2) + 20 + 12);
    // The branch and the return.
    assert_eq!(counted.class(Class::Branch), 2);
    // setp, xor and add.
    assert_eq!(counted.class(Class::Integer), 3);
}

#[test]
fn words_of_shared_memory_in_one_bank_take_turns() {
    let store = |bytes: u32| shared_apart(bytes) + "st.shared.u32 [%s], %t; ld.shared.u32 %v, [%s];";
    for (bytes, wavefronts) in [(4, 1), (8, 2), (16, 4), (128, 32), (132, 1)] {
        let counted = count(&store(bytes), 1, 32);
        let expected = banked(1, wavefronts, 1);
        assert_eq!(counted.profile.shared_stores, expected, "{bytes} bytes apart");
        assert_eq!(counted.profile.shared_loads, expected, "{bytes} bytes apart");
    }
    // All lanes read one word: a broadcast.
    let body = "st.shared.u32 [%s], 7; ld.shared.u32 %v, [%s];";
    assert_eq!(count(body, 1, 32).profile.shared_loads, banked(1, 1, 1));
    // Bytes of the same words share them: 32 bytes in 8 banks.
    let body = shared_apart(1) + "st.shared.u8 [%s], %t;";
    assert_eq!(count(&body, 1, 32).profile.shared_stores, banked(1, 1, 1));
}

#[test]
fn wide_accesses_of_shared_memory_go_by_half_and_quarter_warps() {
    // In a row, 8 bytes take 2 turns and 16 bytes 4, as their 256 and 512 bytes need.
    let body = shared_apart(8) + "st.shared.v2.u32 [%s], {%t, %t};";
    assert_eq!(count(&body, 1, 32).profile.shared_stores, banked(1, 2, 2));
    let body = shared_apart(16) + "st.shared.v4.u32 [%s], {%t, %t, %t, %t};";
    assert_eq!(count(&body, 1, 32).profile.shared_stores, banked(1, 4, 4));
    // 32 bytes apart, 8 lanes name 8 · 4 words in 16 banks: 2 in each, in each of 4 turns.
    let body = shared_apart(32) + "st.shared.v4.u32 [%s], {%t, %t, %t, %t};";
    assert_eq!(count(&body, 1, 32).profile.shared_stores, banked(1, 8, 4));
    // Only lanes 0 to 11 store 16 bytes: turns for lanes 0 to 7 and for 8 to 11; 192 bytes.
    let body = shared_apart(16) + "setp.lt.u32 %a, %t, 12; @%a st.shared.v4.u32 [%s], {%t, %t, %t, %t};";
    assert_eq!(count(&body, 1, 32).profile.shared_stores, banked(1, 2, 2));
}

#[test]
fn rows_of_ldmatrix_conflict_by_matrix() {
    // 4 KiB of zeros first, 16 bytes by each of 32 lanes in 8 steps: 4 turns each without a conflict.
    let fill: String = (0..8)
        .map(|step| format!("st.shared.v4.u32 [%u+{}], {{%t, %t, %t, %t}};\n", 512 * step))
        .collect();
    let fill = format!("mad.lo.u32 %u, %t, 16, %s;\n{fill}bar.warp.sync -1;\n");
    let body = |stride: u32| {
        format!(
            "{fill}{}ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%v, %w, %x, %y}}, [%s];",
            shared_apart(stride)
        )
    };
    // Rows one behind the other: each matrix is 128 bytes in a row.
    let counted = count(&body(16), 1, 32);
    assert_eq!(counted.profile.shared_stores, banked(8, 32, 32));
    assert_eq!(counted.profile.shared_loads, banked(1, 4, 4));
    // Rows 64 bytes apart: rows r and r + 2 are in the same banks, 4 rows in each.
    assert_eq!(count(&body(64), 1, 32).profile.shared_loads, banked(1, 16, 4));
    // Rows 80 bytes apart: row r begins in bank 20·r % 32, which is 0, 20, 8, 28, 16, 4, 24, 12.
    assert_eq!(count(&body(80), 1, 32).profile.shared_loads, banked(1, 4, 4));
    // One matrix by the addresses of 8 lanes, all of one row.
    let one = format!("{fill}ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%v}}, [%s];");
    let counted = count(&one, 1, 32);
    assert_eq!(counted.profile.shared_loads, banked(1, 1, 1));
    assert_eq!(counted.class(Class::LoadMatrix), 1);
    assert_eq!(counted.class(Class::Barrier), 1);
}

#[test]
fn an_asynchronous_copy_loads_from_memory_and_stores_to_shared_memory() {
    let copy = |source: &str| {
        apart(16)
            + &shared_apart(16)
            + &format!("{source}cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %v, [%s];")
    };
    let counted = count(&copy("cp.async.cg.shared.global [%s], [%p], 16;\n"), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 16, 16, 16, 512));
    assert_eq!(counted.profile.shared_stores, banked(1, 4, 4));
    // 16 bytes apart, 32 words lie in 8 banks, 4 in each.
    assert_eq!(counted.profile.shared_loads, banked(1, 4, 1));
    assert_eq!(
        (counted.class(Class::CopyAsync), counted.class(Class::Other)),
        (1, 2)
    );
    // Lanes 8 and later take nothing from memory, and write zeros.
    let source = "setp.lt.u32 %a, %t, 8; selp.u32 %u, 16, 0, %a;\n\
                  cp.async.cg.shared.global [%s], [%p], 16, %u;\n";
    let counted = count(&copy(source), 1, 32);
    assert_eq!(counted.profile.loads(), traffic(1, 4, 4, 4, 128));
    assert_eq!(counted.profile.shared_stores, banked(1, 4, 4));
}

#[test]
fn products_of_the_tensor_core() {
    let deep = "mov.u32 %v, 0;\n\
        mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, {%v, %v, %v, %v}, {%v, %v}, \
        {%f0, %f1, %f2, %f3};\n";
    let flat = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, {%v, %v}, {%v}, \
        {%f0, %f1, %f2, %f3};\n";
    let zeros = ".reg .f32 %f<4>;\nmov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\nmov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\n";
    let counted = count(&format!("{zeros}{deep}{flat}{flat}"), 2, 64);
    // 4 warps, each 16 · 8 · 16 and twice 16 · 8 · 8.
    assert_eq!(counted.products, 4 * (2048 + 2 * 1024));
    assert_eq!(counted.class(Class::Mma), 12);
}

#[test]
fn atomic_operations_are_counted_on_their_own() {
    let counted = count(&(apart(8) + "atom.global.add.u32 %v, [%p], 1;"), 1, 32);
    assert_eq!(counted.profile.atomics(), traffic(1, 8, 8, 8, 128));
    assert_eq!(counted.profile.loads(), Traffic::default());
    assert_eq!(counted.class(Class::AtomicGlobal), 1);
}

#[test]
fn generic_addresses_count_where_they_lead() {
    let body = shared_apart(4)
        + "cvt.u64.u32 %o, %s; cvta.shared.u64 %o, %o; st.u32 [%o], %t; ld.u32 %v, [%o]; ld.u32 %w, [%p];";
    let counted = count(&body, 1, 32);
    assert_eq!(counted.profile.shared_stores, banked(1, 1, 1));
    assert_eq!(counted.profile.shared_loads, banked(1, 1, 1));
    assert_eq!(counted.profile.loads(), traffic(1, 1, 1, 1, 4));
    assert_eq!(
        (
            counted.class(Class::StoreShared),
            counted.class(Class::LoadShared),
            counted.class(Class::LoadGlobal)
        ),
        (1, 1, 1)
    );
}

#[test]
fn classes_of_arithmetic() {
    let body = ".reg .f32 %f; .reg .f64 %d;\n\
        cvt.rn.f32.u32 %f, %t; fma.rn.f32 %f, %f, %f, %f; ex2.approx.f32 %f, %f; setp.gt.f32 %a, %f, %f;\n\
        cvt.f64.f32 %d, %f; add.rn.f64 %d, %d, %d; div.rn.f64 %d, %d, %d; selp.u32 %v, %t, %s, %a;\n\
        shfl.sync.bfly.b32 %v, %v, 1, 31, -1; bar.sync 0;";
    let counted = count(body, 1, 32);
    let found = |class| counted.class(class);
    assert_eq!((found(Class::Convert), found(Class::Float)), (2, 2));
    assert_eq!((found(Class::Special), found(Class::Double)), (1, 2));
    // Four of the prelude, and the selection.
    assert_eq!((found(Class::Move), found(Class::Other)), (5, 0));
    assert_eq!((found(Class::Shuffle), found(Class::Barrier)), (1, 1));
}

#[test]
fn a_record_is_a_line_of_json() {
    let body = ".loc 1 7 5\n".to_owned()
        + &shared_apart(8)
        + ".loc 1 9 5\nst.shared.u32 [%s], %t;\n.loc 1 11 5\nld.global.u32 %v, [%p];\n.loc 1 12 1\n";
    let counted = count(&body, 1, 32);
    let registers = counted.json.split(r#""registers":"#).nth(1).unwrap();
    let registers: u32 = registers.split(',').next().unwrap().parse().unwrap();
    let expected = format!(
        concat!(
            r#"{{"module":"small","target":"sm_80","kernel":"kernel","grid":[1, 1, 1],"block":[32, 1, 1],"warps":1,"#,
            r#""sampled":1,"parameters":[null],"#,
            r#""static_shared":8192,"dynamic_shared":0,"registers":{},"#,
            r#""instructions":{{"total":8,"mma":0,"ldmatrix":0,"load_global":1,"store_global":0,"atomic_global":0,"#,
            r#""load_shared":0,"store_shared":1,"local":0,"copy_async":0,"barrier":0,"shuffle":0,"branch":1,"#,
            r#""float":0,"double":0,"integer":1,"convert":0,"move":4,"special":0,"other":0}},"#,
            r#""lanes":256,"mma_products":0,"#,
            r#""global":{{"load_requests":1,"load_sectors":1,"load_bytes":4,"load_block_sectors":1,"#,
            r#""load_unique_sectors":1,"store_requests":0,"store_sectors":0,"store_bytes":0,"#,
            r#""store_block_sectors":0,"store_unique_sectors":0,"atomic_requests":0,"atomic_sectors":0}},"#,
            r#""coalescing":0.125000,"#,
            r#""shared":{{"load_requests":0,"load_wavefronts":0,"load_ideal":0,"store_requests":1,"#,
            r#""store_wavefronts":2,"store_ideal":1}},"#,
            r#""per_line":{{"small.cu:7":{{"n":1,"shared_wavefronts":0,"shared_ideal":0,"mma":0}},"#,
            r#""small.cu:9":{{"n":1,"shared_wavefronts":2,"shared_ideal":1,"mma":0}},"#,
            r#""small.cu:11":{{"n":1,"shared_wavefronts":0,"shared_ideal":0,"mma":0}},"#,
            r#""small.cu:12":{{"n":1,"shared_wavefronts":0,"shared_ideal":0,"mma":0}}}}}}"#
        ),
        registers
    );
    assert_eq!(counted.json, expected);
}

#[test]
fn of_many_blocks_a_sample_is_enough() {
    let text = module(".param .u64 data, .param .u32 count", PRELUDE);
    let mut bench = Bench::new(&text);
    let numbers = |bench: &mut Bench, grid: u32, sample: Option<u32>| {
        bench.launch("kernel", grid, 32, &[0, 7], |launch| {
            Launch { sample, ..*launch }.sampled()
        })
    };
    assert_eq!(numbers(&mut bench, 33, None).len(), 33);
    // Up to 16 times the sample all are run; of more the middles of as many parts.
    assert_eq!(numbers(&mut bench, 32, Some(2)).len(), 32);
    assert_eq!(numbers(&mut bench, 100, Some(2)), [25, 75]);
}
