// What is fuzzed: each target takes any bytes. Only Error may leave it; anything else, and every
// report of a sanitizer, is a finding.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::fuzz {

struct Target final {
    const char* name;
    void (*run)(std::string_view bytes);
    std::vector<std::string> corpus;  // valid inputs, which are mutated
};

const std::vector<Target>& targets();
/// Parts of targets().
std::vector<Target> image_targets();
std::vector<Target> request_targets();
std::vector<Target> state_targets();

/// Runs each of them, whatever the others think of the input.
template <typename... Calls>
void each(Calls... calls) {
    const auto run = [](auto& call) {
        try {
            call();
        } catch (const Error&) {
            return;
        }
    };
    (run(calls), ...);
}

}  // namespace berth::fuzz
