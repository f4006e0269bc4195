#include "linux/mapped_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {

MappedIds MappedIds::read(const std::string& path) {
    std::istringstream lines(read_file(path));
    MappedIds ids;
    std::int64_t first = 0;
    std::int64_t outside = 0;
    std::int64_t count = 0;
    while (lines >> first >> outside >> count) ids.ranges_.push_back({first, outside, count});
    return ids;
}

bool MappedIds::contains(std::int64_t id) const {
    return std::any_of(ranges_.begin(), ranges_.end(), [id](const Range& range) {
        return id >= range.first && id - range.first < range.count;
    });
}

std::int64_t MappedIds::count() const {
    std::int64_t next = 0;
    for (const Range& range : ranges_)  // the kernel lists them by their first ids
        if (range.first == next) next += range.count;
    return next;
}

std::int64_t MappedIds::outside(std::int64_t id) const {
    for (const Range& range : ranges_)
        if (id >= range.first && id - range.first < range.count)
            return range.outside + (id - range.first);
    throw Error(ErrorKind::not_found, "id {} is not mapped in this user namespace", id);
}

std::string MappedIds::text() const {
    std::string text;
    std::int64_t next = -1;
    for (const Range& range : ranges_) {
        if (range.first == next) {  // goes on where the last one ended: one range to the reader
            text.erase(text.rfind('-') + 1);
            text += std::to_string(range.first + range.count - 1);
        } else {
            text += fmt::format("{}{}-{}", text.empty() ? "" : ", ", range.first,
                                range.first + range.count - 1);
        }
        next = range.first + range.count;
    }
    return text;
}

}  // namespace berth::linux_os
