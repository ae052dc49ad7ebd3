/* The width of this instruction set's vectors, and what GCC is told about them. */
#ifndef PLEAT_KERNELS_VECTOR_H
#define PLEAT_KERNELS_VECTOR_H

#if defined PLEAT_ISA_avx512
#define PLEAT_VECTOR_BYTES 64
#elif defined PLEAT_ISA_avx2
#define PLEAT_VECTOR_BYTES 32
#else
#define PLEAT_VECTOR_BYTES 16
#endif

/* Loops over registers must be unrolled, or the registers become memory. Sanitizers watch every step of an unrolled
 * loop, and a file then compiles for minutes: there it is memory. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define PLEAT_UNROLL(n)
#else
#define PLEAT_UNROLL_(text) _Pragma(#text)
#define PLEAT_UNROLL(n) PLEAT_UNROLL_(GCC unroll n)
#endif

#define PLEAT_INLINE static inline __attribute__((always_inline, unused))

/* Holds v in a register: where it was read from memory, GCC else reads it again for every use. */
#if defined __x86_64__
#define PLEAT_HOLD(v) __asm__("" : "+v"(v))
#elif defined __aarch64__
#define PLEAT_HOLD(v) __asm__("" : "+w"(v))
#else
#define PLEAT_HOLD(v) ((void)0)
#endif
/* From here on the compiler does not know where p points: it computes no pointer of its own from it, and what it reads
 * by p it has not read before. */
#define PLEAT_FORGET(p) __asm__("" : "+r"(p))

#endif
