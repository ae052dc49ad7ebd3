/* The width of this instruction set's vectors, for kernels that size theirs by it. */
#ifndef PLEAT_KERNELS_VECTOR_H
#define PLEAT_KERNELS_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define PLEAT_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define PLEAT_VECTOR_BYTES 32
#else
#define PLEAT_VECTOR_BYTES 16
#endif

#define INLINE static inline __attribute__((always_inline, unused))

#endif
