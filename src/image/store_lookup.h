// What a text names in an index: a whole id, a reference or the beginning of an id. Pure. Used by
// store.cc only.
#pragma once

#include <string_view>

#include "image/store_index.h"
#include "image/store_removal.h"

namespace berth::image {

/// Throws Error{not_found} in Docker's words.
[[noreturn]] void no_such_image(std::string_view name);

/// Throws Error{not_found}, and {invalid} for a beginning that several ids have.
Resolution resolve_in(const StoreIndex& index, std::string_view text);

}  // namespace berth::image
