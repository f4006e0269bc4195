// What is fuzzed: each target takes any bytes. Only Error may leave it; anything else, and every
// report of a sanitizer, is a finding.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

}  // namespace berth::fuzz
