// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What all kernels are made of: fp16 that cannot overflow unnoticed, the tensor core, shared memory without bank
// conflicts, sums in a fixed order. The only file that knows of architectures, and in one place.
//
// Instructions: NVIDIA, "Parallel Thread Execution ISA" 9.0, chapters 9.7.9 (cp.async) and 9.7.14 (mma.sync, ldmatrix).

#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// An fp16 number as it lies in memory; arithmetic happens in f32. A class of its own, so that nobody takes it for a u16.
struct half {
    u16 bits;
};

#define KERNEL extern "C" __global__ void
#define INLINE __device__ __forceinline__

// ---- fp16 ----

constexpr float GREATEST_HALF = 65504.0f;

INLINE float to_float(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

INLINE u16 to_half(float value) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

INLINE float low_half(u32 pair) {
    return to_float(static_cast<u16>(pair));
}

INLINE float high_half(u32 pair) {
    return to_float(static_cast<u16>(pair >> 16));
}

INLINE u32 to_half2(float low, float high) {
    return static_cast<u32>(to_half(low)) | static_cast<u32>(to_half(high)) << 16;
}

INLINE float saturated(float value) {
    return fminf(fmaxf(value, -GREATEST_HALF), GREATEST_HALF);
}

// Whether a gradient cannot be told in fp16. True for NaN too.
INLINE bool overflows(float value) {
    return !(fabsf(value) <= GREATEST_HALF);
}

// Several blocks may notice; their order does not matter.
INLINE void raise(u32 *overflow, bool overflowed) {
    if (overflowed && overflow != nullptr) {
        atomicOr(overflow, 1u);
    }
}

// Eight channels of a pixel: 16 bytes, loaded and stored at once.
struct Eight {
    float values[8];
};

INLINE Eight unpacked(uint4 vector) {
    return {low_half(vector.x),  high_half(vector.x), low_half(vector.y), high_half(vector.y),
            low_half(vector.z),  high_half(vector.z), low_half(vector.w), high_half(vector.w)};
}

INLINE uint4 packed(const Eight &eight) {
    const float *v = eight.values;
    return make_uint4(to_half2(v[0], v[1]), to_half2(v[2], v[3]), to_half2(v[4], v[5]), to_half2(v[6], v[7]));
}

INLINE Eight load_eight(const half *from) {
    return unpacked(*reinterpret_cast<const uint4 *>(from));
}

// Saturates and says whether it had to.
INLINE bool store_eight(half *to, Eight eight) {
    bool overflowed = false;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        overflowed |= overflows(eight.values[i]);
        eight.values[i] = saturated(eight.values[i]);
    }
    *reinterpret_cast<uint4 *>(to) = packed(eight);
    return overflowed;
}

// ---- numbers that the host may leave out ----

INLINE float scale_or_one(const float *loss_scale) {
    return loss_scale == nullptr ? 1.0f : *loss_scale;
}

// ---- shared memory ----

INLINE u32 shared_address(const void *pointer) {
    return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// Shared tiles have rows of 32 halves: 64 bytes, four vectors of 16. Eight consecutive rows occupy four times all 32
// banks; vector `vector` of row `row` goes to place vector ^ (row/2 mod 4) of its row, so that the same vector of eight
// consecutive rows, which is what ldmatrix reads at once, lies in eight different groups of four banks:
//
//     row 0   v0 v1 v2 v3 | row 1   v0 v1 v2 v3      banks  0 … 31
//     row 2   v1 v0 v3 v2 | row 3   v1 v0 v3 v2
//     row 4   v2 v3 v0 v1 | row 5   v2 v3 v0 v1
//     row 6   v3 v2 v1 v0 | row 7   v3 v2 v1 v0
INLINE u32 swizzled(int row, int vector) {
    return row * 64 + (vector ^ (row >> 1 & 3)) * 16;
}

INLINE void store_shared(u32 address, uint4 v) {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
}

// Four 8×8 matrices of halves; lane 8 j + i gives the address of row i of matrix j, lane 4 i + k gets columns 2 k and
// 2 k + 1 of row i of each.
INLINE void load_matrices(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// The same, each matrix transposed.
INLINE void load_matrices_transposed(u32 (&to)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// ---- what differs between sm_75 and sm_80 ----

// multiply_add: d[16, 8] += a[16, 16] · b[16, 8], f32 += fp16 · fp16. With g = lane/4 and t = lane%4 a lane holds
//     a: rows g, g + 8 at columns 2t, 2t + 1 (a[0], a[1]) and 2t + 8, 2t + 9 (a[2], a[3])
//     b: rows 2t, 2t + 1 (b0) and 2t + 8, 2t + 9 (b1) at column g
//     d: row g at columns 2t, 2t + 1 (d[0], d[1]), row g + 8 (d[2], d[3])
//
// copy_async: 16 bytes from global to shared memory, or zeros. Turing has no such instruction: there tiles travel
// through registers, see `Staged` and its users.
#if __CUDA_ARCH__ >= 800

constexpr bool ASYNC = true;

INLINE void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

INLINE void copy_async(u32 to, const void *from, bool exists) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                 "r"(exists ? 16 : 0)
                 : "memory");
}

INLINE void commit_copies() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most `PENDING` of the latest groups are on their way.
template <int PENDING>
INLINE void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#else

constexpr bool ASYNC = false;

INLINE void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2]), "r"(a[3]), "r"(b1));
}

INLINE void copy_async(u32 to, const void *from, bool exists) {
    store_shared(to, exists ? *static_cast<const uint4 *>(from) : make_uint4(0, 0, 0, 0));
}

INLINE void commit_copies() {}

template <int PENDING>
INLINE void await_copies() {}

#endif

// ---- sums in a fixed order ----

constexpr int BLOCK_THREADS = 256;

// The sum over a warp, in all its lanes: a tree of five levels.
INLINE float warp_sum(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    return value;
}

INLINE float warp_greatest(float value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
}

// The sum over a block of 256 threads, in all of them: the warps' sums one after the other.
INLINE float block_sum(float value) {
    __shared__ float warps[BLOCK_THREADS / 32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = value;
    }
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int warp = 0; warp < BLOCK_THREADS / 32; ++warp) {
        sum += warps[warp];
    }
    return sum;
}

INLINE float block_greatest(float value) {
    __shared__ float warps[BLOCK_THREADS / 32];
    value = warp_greatest(value);
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = value;
    }
    __syncthreads();
    float greatest = 0.0f;
#pragma unroll
    for (int warp = 0; warp < BLOCK_THREADS / 32; ++warp) {
        greatest = fmaxf(greatest, warps[warp]);
    }
    return greatest;
}

// The sums over a block of 256 threads of each of N numbers: a tree of eight levels.
template <int N>
INLINE void block_sums(const double (&values)[N], double *to) {
    __shared__ double threads[BLOCK_THREADS];
#pragma unroll
    for (int i = 0; i < N; ++i) {
        threads[threadIdx.x] = values[i];
        __syncthreads();
        for (int distance = BLOCK_THREADS / 2; distance > 0; distance /= 2) {
            if (threadIdx.x < distance) {
                threads[threadIdx.x] += threads[threadIdx.x + distance];
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) {
            to[i] = threads[0];
        }
        __syncthreads();
    }
}

// ---- loops over items ----

// Of the launches of passes, and so of partial sums.
constexpr int MOST_BLOCKS = 1024;

// Calls f(block) for each of `blocks` partial results, divided among the threads of a block. All that a thread loads is
// under way at once.
template <class F>
INLINE void each_partial(int blocks, F f) {
#pragma unroll
    for (int turn = 0; turn < MOST_BLOCKS; turn += BLOCK_THREADS) {
        const int block = turn + threadIdx.x;
        if (block < blocks) {
            f(block);
        }
    }
}

// Each thread takes every (threads of the launch)-th item; threads that are neighbours take items that are.
#define EACH(item, count)                                                                                              \
    for (int item = blockIdx.x * BLOCK_THREADS + threadIdx.x; item < (count); item += gridDim.x * BLOCK_THREADS)
