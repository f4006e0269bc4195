// The one read buffer of the shim: bytes in it are used up before anything else is read.
// release_read_buffer() gives its pages back to the system; the buffer stays usable.
#pragma once

#include <span>

namespace berth::shim {

std::span<char> read_buffer();
void release_read_buffer();

}  // namespace berth::shim
