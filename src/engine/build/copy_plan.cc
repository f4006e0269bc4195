#include "engine/build/copy_plan.h"

#include <fcntl.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "build/glob.h"
#include "engine/build/download.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"

namespace berth::engine {

namespace {

using storage::FileTree;

constexpr std::size_t kMaxPatternParts = 128;

std::string base_name(const std::string& path) { return storage::split_path(path).name; }

bool is_directory(const FileTree& tree, const std::string& path) {
    const auto found = tree.find(path);
    return found && S_ISDIR(found->status.st_mode);
}

/// Paths below `directory` that match the components from `at` on.
void match(const FileTree& tree, const std::string& directory,
           const std::vector<std::string>& parts, std::size_t at, std::vector<std::string>& found) {
    if (at == parts.size()) {
        found.push_back(directory);
        return;
    }
    if (!build::has_wildcard(parts[at])) {
        const std::string next = storage::join_path(directory, parts[at]);
        if (tree.find(tree.resolve(next))) match(tree, next, parts, at + 1, found);
        return;
    }
    const std::string resolved = tree.resolve(directory);
    if (!is_directory(tree, resolved)) return;
    for (const std::string& name : tree.names(resolved))
        if (build::matches_glob(parts[at], name))
            match(tree, storage::join_path(directory, name), parts, at + 1, found);
}

bool climbs_above(const std::string& path) {
    int depth = 0;
    for (const std::string& part : storage::components_of(path))
        if ((depth += part == ".." ? -1 : 1) < 0) return true;
    return false;
}

std::vector<std::string> find_sources(const CopySource& source) {
    if (climbs_above(source.pattern))
        throw Error(ErrorKind::invalid, "forbidden path outside the build context: {} ()",
                    source.pattern);
    const std::string clean = storage::clean_entry_path(linux_os::clean_path(source.pattern));
    if (!build::has_wildcard(clean) || source.is_download) {
        if (source.tree->find(source.tree->resolve(clean))) return {clean};
        throw Error(ErrorKind::invalid,
                    "file not found in build context or excluded by .dockerignore: stat {}: file "
                    "does not exist",
                    clean);
    }
    const std::vector<std::string> parts = storage::components_of(clean);
    if (parts.size() > kMaxPatternParts)
        throw Error(ErrorKind::invalid, "the pattern {}… has too many components",
                    clean.substr(0, 64));
    std::vector<std::string> found;
    match(*source.tree, "", parts, 0, found);
    return found;
}

/// Whether ADD unpacks the file: its first bytes, decompressed, are a tar's.
bool is_archive(const storage::LayerView::Found& found) {
    if (!S_ISREG(found.status.st_mode) || found.status.st_size == 0) return false;
    const UniqueFd file{
        ::openat(found.parent.get(), found.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file) return false;
    return is_tar(file);
}

void note_missing(const FileTree& target, const std::string& path, CopyPlan& plan) {
    for (std::string& directory : missing_directories(target, path))
        if (std::ranges::find(plan.new_directories, directory) == plan.new_directories.end())
            plan.new_directories.push_back(std::move(directory));
}

struct Planner final {
    const CopyRequest& request;
    CopyPlan plan{};
    bool into_directory = false;  // the destination ends with a slash

    void add(const CopySource& source, const std::string& path) {
        const std::string resolved = source.tree->resolve(path);
        const auto found = source.tree->find(resolved);
        std::string place = request.target->resolve(request.destination);
        CopyItem item{source.tree, resolved, "", false};
        if (request.keep_parents) {
            item.target = storage::join_path(place, path);
        } else if (S_ISDIR(found->status.st_mode)) {
            item.target = place;
            note_missing(*request.target, place, plan);
        } else if (request.unpacks && !source.is_download && is_archive(*found)) {
            item.target = place;
            item.unpacks = true;
            note_missing(*request.target, place, plan);
        } else if (into_directory || is_directory(*request.target, place)) {
            item.target = storage::join_path(place, base_name(path));
        } else {
            item.target = place;
        }
        note_missing(*request.target, storage::split_path(item.target).directory, plan);
        plan.items.push_back(std::move(item));
    }
};

}  // namespace

std::vector<std::string> missing_directories(const FileTree& tree, const std::string& path) {
    std::vector<std::string> missing;
    std::string prefix;
    for (const std::string& part : storage::components_of(tree.resolve(path))) {
        prefix = storage::join_path(prefix, part);
        if (!tree.find(prefix)) missing.push_back(prefix);
    }
    return missing;
}

CopyPlan plan_copy(const CopyRequest& request) {
    Planner planner{request};
    planner.into_directory = request.destination.ends_with('/');
    std::vector<std::pair<const CopySource*, std::string>> found;
    for (const CopySource& source : request.sources)
        for (std::string& path : find_sources(source)) found.emplace_back(&source, std::move(path));
    if (found.empty()) throw Error(ErrorKind::invalid, "no source files were specified");
    if (found.size() > 1 && !planner.into_directory)
        throw Error(ErrorKind::invalid,
                    "When using {} with more than one source file, the destination must be a "
                    "directory and end with a /",
                    request.instruction);
    for (const auto& [source, path] : found) planner.add(*source, path);
    const CopyItem& first = planner.plan.items.front();
    planner.plan.kind = "file";
    if (is_directory(*first.tree, first.source)) planner.plan.kind = "dir";
    if (planner.plan.items.size() > 1) planner.plan.kind = "multi";
    return std::move(planner.plan);
}

}  // namespace berth::engine
