#include "linux/idle_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace berth::linux_os {
namespace {

int release_read_only_segments(dl_phdr_info* program, std::size_t, void*) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < program->dlpi_phnum; ++i) {
        const auto& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const std::uintptr_t begin = (program->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const std::uintptr_t end = program->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 1;  // the program itself only
}

}  // namespace

void release_idle_memory() {
    ::malloc_trim(0);
    ::dl_iterate_phdr(release_read_only_segments, nullptr);
}

}  // namespace berth::linux_os
