#include "shim/idle_memory.h"

#include <sys/mman.h>

#include "linux/idle_memory.h"

namespace berth::shim {
namespace {

// Pages of .bss cost nothing until they are first touched.
alignas(4096) char buffer[64U << 10];

}  // namespace

std::span<char> read_buffer() { return buffer; }

void release_idle_memory() {
    ::madvise(buffer, sizeof buffer, MADV_DONTNEED);
    linux_os::release_idle_memory();
}

}  // namespace berth::shim
