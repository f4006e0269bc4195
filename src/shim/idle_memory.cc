#include "shim/idle_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>

namespace berth::shim {
namespace {

constexpr std::uintptr_t kPage = 4096;

// Pages of .bss cost nothing until they are first touched.
alignas(kPage) char buffer[64U << 10];

// Code and constants are clean pages of the program's file: unmapped here, they come back from the
// page cache when they are used next.
int release_read_only_segments(dl_phdr_info* program, std::size_t, void*) {
    for (int i = 0; i < program->dlpi_phnum; ++i) {
        const auto& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const std::uintptr_t begin = (program->dlpi_addr + segment.p_vaddr) & ~(kPage - 1);
        const std::uintptr_t end = program->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 1;  // the program itself only
}

}  // namespace

std::span<char> read_buffer() { return buffer; }

void release_idle_memory() {
    ::madvise(buffer, sizeof buffer, MADV_DONTNEED);
    ::malloc_trim(0);
    ::dl_iterate_phdr(release_read_only_segments, nullptr);
}

}  // namespace berth::shim
