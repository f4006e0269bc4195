#include "storage/layer_view.h"

#include <fcntl.h>

#include <cerrno>

#include "base/error.h"
#include "storage/inode.h"

namespace berth::storage {
namespace {

struct Answer final {
    std::optional<LayerView::Found> found;
    bool hides = false;  // what lower layers have at that path
};

Answer look(BorrowedFd layer, const std::vector<std::string>& parts) {
    std::vector<UniqueFd> walked;
    walked.push_back(duplicate(layer));
    for (std::size_t at = 0; at < parts.size(); ++at) {
        const Place place{walked.back(), parts[at], parts[at]};
        const struct stat status = status_of(place);
        if (status.st_mode == 0) {
            bool opaque = false;
            for (const UniqueFd& directory : walked) opaque = opaque || is_opaque(directory);
            return {std::nullopt, opaque};
        }
        if (is_whiteout(status)) return {std::nullopt, true};
        if (at + 1 == parts.size())
            return {LayerView::Found{0, status, std::move(walked.back()), parts[at]}, true};
        if (!S_ISDIR(status.st_mode)) return {std::nullopt, true};
        UniqueFd next{::openat(walked.back().get(), parts[at].c_str(),
                               O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!next) throw_errno("opening {} in a layer", parts[at]);
        walked.push_back(std::move(next));
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
