// The decoders behind DecompressSource, one a format. Each borrows the source below, reads its own
// input buffer from it and throws Error{invalid} on truncated or corrupt input.
#pragma once

#include <memory>

#include "archive/stream.h"

namespace berth::archive {

std::unique_ptr<Source> make_gzip_decoder(Source& below);
std::unique_ptr<Source> make_zstd_decoder(Source& below);
std::unique_ptr<Source> make_xz_decoder(Source& below);
std::unique_ptr<Source> make_bzip2_decoder(Source& below);

}  // namespace berth::archive
