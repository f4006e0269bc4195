// For processes that sleep most of their lives: gives back every page that can be had again. Free
// heap goes to the kernel; the program's own code and constants, clean pages of its file, are
// unmapped and come back from the page cache at their next use (some 0.1 ms altogether).
// A statically linked program gains most: its libraries are part of the file.
#pragma once

namespace berth::linux_os {

void release_idle_memory();

}  // namespace berth::linux_os
