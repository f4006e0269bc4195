// Subordinate ids of a user and the id maps made of them. Pure: texts in, values out.
// Container id 0 is the user, 1 and up are the subordinate ranges in the order of the file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::rootlesskit {

struct IdRange final {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    bool operator==(const IdRange&) const = default;
};

struct MapEntry final {
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    bool operator==(const MapEntry&) const = default;
};

/// The ranges of /etc/subuid or /etc/subgid that belong to `user`, named by name or by number.
/// Lines that are not name:first:count are passed over, as newuidmap does.
std::vector<IdRange> parse_subordinate_ids(std::string_view text, std::string_view user, uid_t uid);
/// The output of getsubids(1): "0: joe 100000 65536" a line.
std::vector<IdRange> parse_getsubids(std::string_view text);

/// A range of `user` that another owner's line reaches into: their containers could touch each
/// other's files.
struct Overlap final {
    std::string owner;  // the other one
    IdRange range;      // the user's
    bool operator==(const Overlap&) const = default;
};
std::optional<Overlap> find_overlap(std::string_view text, std::string_view user, uid_t uid);

std::uint64_t total(const std::vector<IdRange>& ranges);

/// Ranges that overlap an earlier one or `own` are left out, since the kernel refuses such a map;
/// so is what exceeds its 340 lines.
std::vector<MapEntry> make_map(std::uint64_t own, const std::vector<IdRange>& ranges);

/// The first multiple of 65536 counted from 100000 that no range of the file reaches.
std::uint64_t first_free_range(std::string_view text);

}  // namespace berth::rootlesskit
