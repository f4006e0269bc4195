#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/clock.h"

namespace berth::cli {

std::string format_table(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const Row& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            text += row[i];
            if (i + 1 < row.size()) text.append(widths[i] - row[i].size() + 3, ' ');
        }
        text += '\n';
    }
    return text;
}

std::string age(std::int64_t unix_seconds) {
    struct Unit {
        std::int64_t limit, size;
        const char* name;
    };
    constexpr std::array<Unit, 6> kUnits{{{60, 1, "seconds"},
                                          {3600, 60, "minutes"},
                                          {48 * 3600, 3600, "hours"},
                                          {14 * 86400, 86400, "days"},
                                          {60 * 86400, 7 * 86400, "weeks"},
                                          {730 * 86400LL, 30 * 86400, "months"}}};
    const std::int64_t seconds =
        std::max<std::int64_t>(0, Timestamp::now().seconds() - unix_seconds);
    for (const Unit& unit : kUnits)
        if (seconds < unit.limit) {
            const std::int64_t count = seconds / unit.size;
            if (count == 0) return "Less than a second ago";
            std::string name = unit.name;
            if (count == 1) name.pop_back();
            return fmt::format("{} {} ago", count, name);
        }
    return fmt::format("{} years ago", seconds / (365 * 86400LL));
}

std::string human_size(std::int64_t bytes) {
    constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; size >= 1000 && unit + 1 < kUnits.size(); ++unit) size /= 1000;
    return fmt::format("{:.3g}{}", size, kUnits[unit]);
}

}  // namespace berth::cli
