// How much an archive or a compressed stream from outside may bring. The defaults refuse no real
// image; what a setting of daemon.json raises says so in the message of its refusal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::archive {

/// Past `size` bytes a compressed stream may expand to no more than `ratio` times what was read. A
/// few GiB of zeros, which some real layers are, stay below that.
struct Expansion final {
    std::uint64_t size = 32ULL << 30;
    std::uint64_t ratio = 200;      // 0: any
    std::string_view setting = {};  // key of daemon.json, a literal
};

struct TarLimits final {
    std::uint64_t max_entries = 8'000'000;
    std::string_view entries_setting = {};
    std::uint64_t max_total_size = 1ULL << 42;  // content of all entries, holes included
    std::string_view size_setting = {};
    std::size_t max_path = 4095;
    std::size_t max_pax_size = 1U << 20;          // of all extended headers of one entry
    std::size_t max_global_pax_size = 64U << 10;  // of what holds for all entries
    std::size_t max_sparse_chunks = 1U << 20;
};

/// The end of a refusal's message; empty without a setting.
inline std::string raised_by(std::string_view setting) {
    if (setting.empty()) return "";
    return " (\"" + std::string(setting) + "\" in daemon.json raises the limit)";
}

}  // namespace berth::archive
