use softgpu::machine::launch::{Launch, Shape};
use softgpu::machine::memory::Memory;
use softgpu::ptx;
fn main() {
    let mut args = std::env::args().skip(1);
    let text = std::fs::read_to_string(args.next().unwrap()).unwrap();
    let name = args.next().unwrap();
    let threads: usize = args.next().unwrap().parse().unwrap();
    let program = ptx::lower(&ptx::parse(&text).unwrap(), &|_| Some(0)).unwrap();
    let kernel = program.kernels.iter().find(|k| k.name == name).unwrap();
    let mut memory = Memory::new(1 << 28).unwrap();
    let (h, w, cin, cout) = (64u32, 64u32, 64u32, 128u32);
    let mut up = |n: usize| { let a = memory.allocate(n as u64).unwrap(); memory.set(a, 0x20, n as u64).unwrap(); a };
    let from = up((h * w * cin * 2) as usize);
    let pack = up((9 * cin * cout * 2) as usize);
    let bias = up((cout * 4) as usize);
    let to = up((h * w * cout * 2) as usize);
    let mask = up((h * w * cout / 8) as usize);
    let mut p = Vec::new();
    for x in [from, pack, bias, to, mask] { p.extend_from_slice(&x.to_le_bytes()); }
    for x in [h, w, cin, cout, 0] { p.extend_from_slice(&x.to_le_bytes()); }
    let (rows, cols, res, block) = if name.ends_with("large") { (8, 16, 128, 256) } else if name.ends_with("medium") { (8, 16, 64, 256) } else { (8, 8, 64, 128) };
    let shape = Shape { grid: [h.div_ceil(rows) * w.div_ceil(cols), cout.div_ceil(res), 1], block: [block, 1, 1], dynamic_shared: 0 };
    for _ in 0..3 {
        let start = std::time::Instant::now();
        memory.begin_launch();
        let l = Launch { kernel, files: &program.files, shape, parameters: &p, memory: &memory, multiprocessors: 28, seed: 1, base_seed: 1, threads, wrong_mma: false };
        if let Err(r) = l.run() { println!("{r}"); return; }
        let t = start.elapsed().as_secs_f64();
        println!("{name}: {:.3} s, {:.2} GFLOP/s", t, 2.0 * 9.0 * (h * w * cin * cout) as f64 / t / 1e9);
    }
}
