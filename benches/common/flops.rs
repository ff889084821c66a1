// SPDX-License-Identifier: MIT OR Apache-2.0

//! Time as criterion measures it, and arithmetic as a share of what the machine can do at best, measured in the same run.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use pulp::{Arch, Simd, WithSimd};

/// Wall time; the throughput of a bench is told in GFLOP/s and as a share of the peak.
pub struct Flops {
    time: WallTime,
    /// FLOP per nanosecond, which are GFLOP/s.
    peak: f64,
}

impl Flops {
    /// Measures the peak of this many threads.
    pub fn of_threads(threads: usize) -> Self {
        let peak = peak(threads);
        println!("The peak of {threads} threads is {peak:.0} GFLOP/s of f32 multiply-add.\n");
        Self { time: WallTime, peak }
    }
}

impl Measurement for Flops {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        self.time.start()
    }

    fn end(&self, start: Instant) -> Duration {
        self.time.end(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        self.time.add(a, b)
    }

    fn zero(&self) -> Duration {
        self.time.zero()
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.time.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Flops {
    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        match *throughput {
            Throughput::Elements(flop) => {
                let rate = flop as f64 / nanoseconds;
                format!("{rate:.1} GFLOP/s, {:.0} % of peak", 100.0 * rate / self.peak)
            }
            ref other => self.time.formatter().format_throughput(other, nanoseconds),
        }
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        self.time.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        self.time
            .formatter()
            .scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        self.time.formatter().scale_for_machines(values)
    }
}

/// Chains of multiply-adds that wait for nothing but the one before in their chain.
struct Chains {
    length: usize,
}

/// More than the latency times the throughput of any processor asks for, and few enough for 16 registers.
const CHAINS: usize = 12;

impl WithSimd for Chains {
    /// Floating-point operations done.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        // The compiler must not know that the chains are alike.
        let (factor, term) = black_box((simd.splat_f32s(0.999), simd.splat_f32s(0.001)));
        let mut sums = black_box([simd.splat_f32s(1.0); CHAINS]);
        for _ in 0..self.length {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        black_box(sums);
        (2 * CHAINS * self.length * S::F32_LANES) as f64
    }
}

/// GFLOP/s of multiply-adds in registers, the best of many short runs of all threads at once.
fn peak(threads: usize) -> f64 {
    let arch = Arch::new();
    let barrier = Barrier::new(threads);
    let mut best = 0.0;
    for _ in 0..40 {
        let total = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let start = Instant::now();
                        let flop = arch.dispatch(Chains {
                            length: black_box(2_000_000),
                        });
                        flop / start.elapsed().as_nanos() as f64
                    })
                })
                .collect();
            let rates = running.into_iter().map(|thread| thread.join().unwrap_or(0.0));
            rates.sum::<f64>()
        });
        best = f64::max(best, total);
    }
    best
}
