#include "storage/file_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "storage/entry_file.h"
#include "storage/inode.h"

namespace berth::storage {

namespace {

std::vector<BorrowedFd> borrowed(const std::vector<UniqueFd>& layers) {
    return {layers.begin(), layers.end()};
}

}  // namespace

FileTree::FileTree(std::vector<UniqueFd> layers)
    : layers_(std::move(layers)), view_(borrowed(layers_)) {}

std::optional<LayerView::Found> FileTree::find(const std::string& path) const {
    if (!components_of(path).empty()) return view_.find(path);
    if (layers_.empty()) return std::nullopt;
    LayerView::Found root{0, {}, duplicate(layers_.front()), "."};
    root.status = status_of({root.parent, root.name, "/"});
    return root;
}

std::string FileTree::resolve(const std::string& path) const {
    constexpr int kMaxLinks = 40;
    std::vector<std::string> parts = components_of(path);
    for (int links = 0; links <= kMaxLinks; ++links) {
        const bool directory_meant = parts.empty() || parts.back() == "..";
        const std::string name = directory_meant ? "" : parts.back();
        if (!directory_meant) parts.pop_back();
        std::string above;
        for (const std::string& part : parts) above = join_path(above, part);
        const std::string directory = view_.resolve(above);
        if (directory_meant) return directory;
        const std::string now = join_path(directory, name);
        const auto found = find(now);
        if (!found || !S_ISLNK(found->status.st_mode)) return now;
        const std::string target = link_text({found->parent, found->name, now});
        parts = target.starts_with('/') ? std::vector<std::string>() : components_of(directory);
        for (std::string& part : components_of(target)) parts.push_back(std::move(part));
    }
    throw Error(ErrorKind::invalid, "too many symbolic links on the way at {}", path);
}

std::vector<std::string> FileTree::names(const std::string& directory) const {
    std::vector<UniqueFd> parts;
    if (components_of(directory).empty())
        for (const UniqueFd& layer : layers_) parts.push_back(duplicate(layer));
    else
        parts = view_.directories_at(directory);
    std::vector<std::string> found;
    for (const UniqueFd& part : parts) {
        std::vector<std::string> some = names_in(part, directory);
        found.insert(found.end(), some.begin(), some.end());
    }
    std::ranges::sort(found);
    found.erase(std::ranges::unique(found).begin(), found.end());
    // A single directory has no whiteouts.
    if (layers_.size() > 1)
        std::erase_if(found, [&](const std::string& name) {
            return name.starts_with(".wh.") || !find(join_path(directory, name));
        });
    return found;
}

std::optional<std::string> FileTree::read(const std::string& path, std::size_t limit) const {
    const auto found = find(resolve(path));
    if (!found || !S_ISREG(found->status.st_mode)) return std::nullopt;
    const UniqueFd file{
        ::openat(found->parent.get(), found->name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file) throw_errno("opening {}", path);
    return read_all(file, limit);
}

}  // namespace berth::storage
