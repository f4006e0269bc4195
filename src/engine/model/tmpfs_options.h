// The words that mount a tmpfs: checked at create, so that a mistake is not found at the start.
// Pure.
#pragma once

#include <string>
#include <vector>

namespace berth::engine::model {

/// "size=64m", "mode=1777", "uid=5", "noexec" …; empty words are left out. Throws Error{invalid}
/// `invalid tmpfs option "X"`.
void check_tmpfs_options(const std::vector<std::string>& words);

}  // namespace berth::engine::model
