// What the shim does to be small while its container runs quietly: one read buffer for all
// streams, whose bytes are used up before anything else is read, and a way to give back every page
// that can be had again. The buffer stays usable after that.
#pragma once

#include <span>

namespace berth::shim {

std::span<char> read_buffer();
void release_idle_memory();

}  // namespace berth::shim
