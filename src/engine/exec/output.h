// The output of a command that the engine itself runs, up to a limit; the rest is read all the
// same. Engine thread only.
#pragma once

#include <memory>
#include <string>

#include "async/task.h"
#include "base/unique_fd.h"

namespace berth::engine {

struct CollectedOutput final {
    CollectedOutput(UniqueFd from, std::size_t most) : socket(std::move(from)), limit(most) {}
    UniqueFd socket;
    std::size_t limit;
    std::string text;
};

/// To the end of the stream, which comes after the exit is known.
async::Task<> collect(std::shared_ptr<CollectedOutput> output);

}  // namespace berth::engine
