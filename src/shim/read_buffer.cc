#include "shim/read_buffer.h"

#include <sys/mman.h>

namespace berth::shim {
namespace {

// Pages of .bss cost nothing until they are first touched.
alignas(4096) char buffer[64U << 10];

}  // namespace

std::span<char> read_buffer() { return buffer; }

void release_read_buffer() { ::madvise(buffer, sizeof buffer, MADV_DONTNEED); }

}  // namespace berth::shim
