#include "rootlesskit/id_ranges.h"

#include <algorithm>
#include <optional>

#include "base/number.h"
#include "base/text.h"

namespace berth::rootlesskit {
namespace {

constexpr std::uint64_t kMaxId = 0xfffffffeU;
constexpr std::size_t kMaxMapLines = 340;

std::optional<IdRange> range_of(std::string_view first, std::string_view count) {
    const auto start = whole_number<std::uint64_t>(trimmed(first));
    const auto length = whole_number<std::uint64_t>(trimmed(count));
    if (!start || !length || *length == 0 || *start > kMaxId || *length > kMaxId - *start + 1)
        return std::nullopt;
    return IdRange{*start, *length};
}

struct Line final {
    std::string_view owner;
    IdRange range;
};

std::vector<Line> parse_lines(std::string_view text) {
    std::vector<Line> result;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto colon = line.find(':');
        if (line.starts_with('#') || colon == std::string_view::npos) continue;
        const auto second = line.find(':', colon + 1);
        if (second == std::string_view::npos) continue;
        if (const auto range =
                range_of(line.substr(colon + 1, second - colon - 1), line.substr(second + 1)))
            result.push_back({line.substr(0, colon), *range});
    }
    return result;
}

bool overlaps(const IdRange& a, const IdRange& b) {
    return a.first < b.first + b.count && b.first < a.first + a.count;
}

}  // namespace

std::vector<IdRange> parse_subordinate_ids(std::string_view text, std::string_view user,
                                           uid_t uid) {
    const std::string numeric = std::to_string(uid);
    std::vector<IdRange> ranges;
    for (const Line& line : parse_lines(text))
        if ((!user.empty() && line.owner == user) || line.owner == numeric)
            ranges.push_back(line.range);
    return ranges;
}

std::vector<IdRange> parse_getsubids(std::string_view text) {
    std::vector<IdRange> ranges;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto last = line.rfind(' ');
        if (last == std::string_view::npos || last == 0) continue;
        const auto middle = line.rfind(' ', last - 1);
        if (middle == std::string_view::npos) continue;
        if (const auto range =
                range_of(line.substr(middle + 1, last - middle - 1), line.substr(last + 1)))
            ranges.push_back(*range);
    }
    return ranges;
}

std::optional<Overlap> find_overlap(std::string_view text, std::string_view user, uid_t uid) {
    const std::vector<IdRange> own = parse_subordinate_ids(text, user, uid);
    const std::string numeric = std::to_string(uid);
    for (const Line& line : parse_lines(text)) {
        if (line.owner == user || line.owner == numeric) continue;
        for (const IdRange& range : own)
            if (overlaps(range, line.range)) return Overlap{std::string(line.owner), range};
    }
    return std::nullopt;
}

std::uint64_t total(const std::vector<IdRange>& ranges) {
    std::uint64_t sum = 0;
    for (const IdRange& range : ranges) sum += range.count;
    return sum;
}

std::vector<MapEntry> make_map(std::uint64_t own, const std::vector<IdRange>& ranges) {
    std::vector<MapEntry> map{{0, own, 1}};
    std::uint64_t inside = 1;
    for (const IdRange& range : ranges) {
        const bool taken = std::any_of(map.begin(), map.end(), [&](const MapEntry& entry) {
            return overlaps(range, {entry.outside, entry.count});
        });
        if (taken || map.size() == kMaxMapLines) continue;
        map.push_back({inside, range.first, range.count});
        inside += range.count;
    }
    return map;
}

std::uint64_t first_free_range(std::string_view text) {
    constexpr std::uint64_t kFirst = 100000;
    constexpr std::uint64_t kStep = 65536;
    std::uint64_t highest = kFirst;
    for (const Line& line : parse_lines(text))
        highest = std::max(highest, line.range.first + line.range.count);
    return kFirst + (highest - kFirst + kStep - 1) / kStep * kStep;
}

}  // namespace berth::rootlesskit
