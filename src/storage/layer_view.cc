#include "storage/layer_view.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "base/error.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

struct Answer final {
    std::optional<LayerView::Found> found;
    bool hides = false;  // what lower layers have at that path
};

bool is_any_opaque(const std::vector<UniqueFd>& directories) {
    return std::any_of(directories.begin(), directories.end(),
                       [](const UniqueFd& directory) { return is_opaque(directory); });
}

UniqueFd open_directory(const Place& place) {
    UniqueFd fd{::openat(place.parent.get(), place.name.c_str(),
                         O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!fd) throw_errno("opening {} in a layer", place.path);
    return fd;
}

// The form that a whiteout has where the kernel refuses devices 0:0.
bool has_whiteout_file(const Place& place) {
    const std::string name = ".wh." + place.name;
    return name.size() <= NAME_MAX && status_of({place.parent, name, place.path}).st_mode != 0;
}

Answer look(BorrowedFd layer, const std::vector<std::string>& parts) {
    std::vector<UniqueFd> walked;
    walked.push_back(duplicate(layer));
    bool covered = false;  // a whiteout file beside a directory hides like an opaque mark in it
    for (std::size_t at = 0; at < parts.size(); ++at) {
        const Place place{walked.back(), parts[at], parts[at]};
        const struct stat status = status_of(place);
        covered = covered || has_whiteout_file(place);
        if (status.st_mode == 0) return {std::nullopt, covered || is_any_opaque(walked)};
        if (is_whiteout(status)) return {std::nullopt, true};
        if (at + 1 == parts.size()) {
            const bool hides = !S_ISDIR(status.st_mode) || covered || is_any_opaque(walked) ||
                               is_opaque(open_directory(place));
            return {LayerView::Found{0, status, std::move(walked.back()), parts[at]}, hides};
        }
        if (!S_ISDIR(status.st_mode)) return {std::nullopt, true};
        walked.push_back(open_directory(place));
    }
    return {};
}

}  // namespace

std::optional<LayerView::Found> LayerView::find(const std::string& path) const {
    const std::vector<std::string> parts = components_of(path);
    for (std::size_t index = 0; index < layers_.size(); ++index) {
        Answer answer = look(layers_[index], parts);
        if (answer.found) {
            answer.found->layer = index;
            return std::move(answer.found);
        }
        if (answer.hides) return std::nullopt;
    }
    return std::nullopt;
}

std::vector<UniqueFd> LayerView::directories_at(const std::string& path) const {
    const std::vector<std::string> parts = components_of(path);
    std::vector<UniqueFd> directories;
    for (const BorrowedFd layer : layers_) {
        const Answer answer = look(layer, parts);
        if (answer.found && S_ISDIR(answer.found->status.st_mode))
            directories.push_back(open_directory({answer.found->parent, answer.found->name, path}));
        if (answer.hides) break;
    }
    return directories;
}

std::string LayerView::resolve(const std::string& directory) const {
    const std::vector<std::string> parts = components_of(directory);
    std::deque<std::string> left(parts.begin(), parts.end());
    std::string done;
    constexpr int kMaxLinks = 40;
    int links = 0;
    while (!left.empty()) {
        const std::string part = std::move(left.front());
        left.pop_front();
        if (part == "..") {
            const std::size_t slash = done.rfind('/');
            done.erase(slash == std::string::npos ? 0 : slash);
            continue;
        }
        const std::string next = done.empty() ? part : done + "/" + part;
        const auto found = find(next);
        if (!found || S_ISDIR(found->status.st_mode)) {
            done = next;
            continue;
        }
        if (!S_ISLNK(found->status.st_mode))
            throw Error(ErrorKind::invalid, "{} is not a directory", next);
        if (++links > kMaxLinks)
            throw Error(ErrorKind::invalid, "too many symbolic links on the way at {}", next);
        const std::string target = link_text({found->parent, found->name, next});
        if (target.starts_with('/')) done.clear();
        const std::vector<std::string> more = components_of(target);
        left.insert(left.begin(), more.begin(), more.end());
    }
    return done;
}

std::vector<std::string> components_of(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    return parts;
}

}  // namespace berth::storage
