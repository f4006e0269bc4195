#include "storage/directory_times.h"

#include "base/error.h"

namespace berth::storage {
namespace {

constexpr std::size_t kMaxSize = 16U << 20;
constexpr std::size_t kNode = 96;

}  // namespace

void DirectoryTimes::set(const std::string& path, timespec modified) {
    if (times_.insert_or_assign(path, modified).second) size_ += path.size() + kNode;
    if (size_ > kMaxSize) apply_left(path);
}

DirectoryTimes::Times::iterator DirectoryTimes::erase(Times::iterator item) {
    size_ -= item->first.size() + kNode;
    return times_.erase(item);
}

void DirectoryTimes::forget(const std::string& path) {
    if (const auto own = times_.find(path); own != times_.end()) erase(own);
    const std::string below = path + "/";
    for (auto item = times_.lower_bound(below);
         item != times_.end() && item->first.starts_with(below);)
        item = erase(item);
}

void DirectoryTimes::apply_to(const std::string& path, timespec modified) const {
    const UniqueFd directory = open_(path);
    const timespec times[2] = {modified, modified};
    if (directory && ::futimens(directory.get(), times) < 0)
        throw_errno("{}: setting the time", path);
}

// What is neither the current directory nor on the way to it.
void DirectoryTimes::apply_left(const std::string& current) {
    for (auto item = times_.begin(); item != times_.end();) {
        const std::string& path = item->first;
        const bool open = path.empty() || current == path || current.starts_with(path + "/");
        if (!open) apply_to(path, item->second);
        item = open ? std::next(item) : erase(item);
    }
}

void DirectoryTimes::apply() {
    for (const auto& [path, modified] : times_) apply_to(path, modified);
    times_.clear();
    size_ = 0;
}

}  // namespace berth::storage
