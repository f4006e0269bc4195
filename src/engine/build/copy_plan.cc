#include "engine/build/copy_plan.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

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

/// Finds paths by a pattern, component by component: in work lists, since a tree may be deep.
struct Search final {
    const FileTree& tree;
    std::vector<std::string> parts;
    bool any_depth;  // "**" is any number of directories

    struct Pending final {
        std::string path;
        std::size_t part = 0;
    };
    std::vector<Pending> pending{};
    std::set<std::string> found{};

    void look_into(const Pending& at) {
        const std::string& part = parts[at.part];
        const bool deep = any_depth && part == "**";
        const std::string resolved = tree.resolve(at.path);
        if (!is_directory(tree, resolved)) return;
        if (deep) pending.push_back({at.path, at.part + 1});
        for (const std::string& name : tree.names(resolved)) {
            const std::string next = storage::join_path(at.path, name);
            if (deep && is_directory(tree, storage::join_path(resolved, name)))
                pending.push_back({next, at.part});
            else if (!deep && build::matches_glob(part, name))
                pending.push_back({next, at.part + 1});
        }
    }
    std::set<std::string> below(const std::string& directory) {
        pending.push_back({directory, 0});
        while (!pending.empty()) {
            const Pending at = std::move(pending.back());
            pending.pop_back();
            if (at.part == parts.size()) {
                found.insert(at.path);
            } else if (build::has_wildcard(parts[at.part])) {
                look_into(at);
            } else {
                std::string next = storage::join_path(at.path, parts[at.part]);
                if (tree.find(tree.resolve(next)))
                    pending.push_back({std::move(next), at.part + 1});
            }
        }
        return std::move(found);
    }
};

bool climbs_above(const std::string& path) {
    int depth = 0;
    for (const std::string& part : storage::components_of(path))
        if ((depth += part == ".." ? -1 : 1) < 0) return true;
    return false;
}

std::string clean(const std::string& path) {
    return storage::clean_entry_path(linux_os::clean_path(path));
}

[[noreturn]] void refuse_missing(const CopyRequest& request, const std::string& path) {
    if (request.dialect == BuildDialect::buildkit)
        throw Error(ErrorKind::invalid, "failed to compute cache key: \"/{}\": not found", path);
    throw Error(ErrorKind::invalid,
                "file not found in build context or excluded by .dockerignore: stat {}: file does "
                "not exist",
                path);
}

std::set<std::string> matches(const CopyRequest& request, const FileTree& tree,
                              const std::string& pattern, const std::string& below) {
    std::vector<std::string> parts = storage::components_of(pattern);
    if (parts.size() > kMaxPatternParts)
        throw Error(ErrorKind::invalid, "the pattern {}… has too many components",
                    pattern.substr(0, 64));
    return Search{tree, std::move(parts), request.keep_parents}.below(below);
}

/// A source that was found: `path` is told from the root, its part below `base` is kept.
struct FoundSource final {
    const CopySource* source;
    std::string path;
    std::string base{};
};

void find_sources(const CopyRequest& request, const CopySource& source,
                  std::vector<FoundSource>& found) {
    const FileTree& tree = *source.tree;
    if (climbs_above(source.pattern))
        throw Error(ErrorKind::invalid, "forbidden path outside the build context: {} ()",
                    source.pattern);
    // --parents: what is in front of "/./" is not kept.
    const std::size_t pivot = request.keep_parents ? source.pattern.find("/./") : std::string::npos;
    std::set<std::string> bases{""};
    std::string pattern = source.pattern;
    if (pivot != std::string::npos) {
        bases = matches(request, tree, clean(source.pattern.substr(0, pivot)), "");
        pattern = source.pattern.substr(pivot + 3);
    }
    pattern = clean(pattern);
    const std::size_t before = found.size();
    if (source.is_download) {
        found.push_back({&source, pattern});
    } else {
        for (const std::string& base : bases)
            for (const std::string& path : matches(request, tree, pattern, base))
                found.push_back({&source, path, base});
    }
    if (found.size() == before && !build::has_wildcard(source.pattern))
        refuse_missing(request, clean(source.pattern));
}

/// Whether ADD unpacks the file: its first bytes, decompressed, are a tar's.
bool is_archive(const storage::LayerView::Found& found) {
    if (!S_ISREG(found.status.st_mode) || found.status.st_size == 0) return false;
    const UniqueFd file{
        ::openat(found.parent.get(), found.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file) return false;
    return is_tar(file);
}

void note(CopyPlan& plan, NewDirectory directory) {
    if (std::ranges::find(plan.new_directories, directory.path, &NewDirectory::path) ==
        plan.new_directories.end())
        plan.new_directories.push_back(std::move(directory));
}

void note_missing(const CopyRequest& request, const std::string& path, CopyPlan& plan) {
    if (!request.link) {
        for (NewDirectory& directory : missing_directories(*request.target, path))
            note(plan, std::move(directory));
        return;
    }
    std::string prefix;
    for (const std::string& part : storage::components_of(path)) {
        prefix = storage::join_path(prefix, part);
        if (!is_directory(*request.target, prefix)) note(plan, {prefix});
    }
}

struct Planner final {
    const CopyRequest& request;
    CopyPlan plan{};
    bool into_directory = false;  // the destination ends with a slash

    std::string resolved(const std::string& target) const {
        return request.link ? clean(target) : request.target->resolve(target);
    }

    /// --parents: with the directories above it, which are like those of the source.
    void add_with_parents(const FoundSource& found) {
        const FileTree& tree = *found.source->tree;
        const std::string kept =
            found.base.empty()
                ? found.path
                : found.path.substr(std::min(found.base.size() + 1, found.path.size()));
        std::string source = found.base, target = resolved(request.destination);
        note_missing(request, target, plan);
        for (const std::string& part :
             storage::components_of(storage::split_path(kept).directory)) {
            source = storage::join_path(source, part);
            target = resolved(storage::join_path(target, part));
            if (!is_directory(*request.target, target))
                note(plan, {target, found.source->tree, tree.resolve(source)});
        }
        plan.items.push_back({found.source->tree, tree.resolve(found.path),
                              storage::join_path(target, base_name(kept)), false, kept});
    }

    void add(const FoundSource& source) {
        const SharedTree& tree = source.source->tree;
        const std::string path = tree->resolve(source.path);
        const auto found = tree->find(path);
        const std::string place = resolved(request.destination);
        CopyItem item{tree, path, place, false, ""};
        if (S_ISDIR(found->status.st_mode)) {
            note_missing(request, place, plan);
        } else if (request.unpacks && !source.source->is_download && is_archive(*found)) {
            item.unpacks = true;
            note_missing(request, place, plan);
        } else {
            item.name = base_name(source.path);
            if (into_directory || is_directory(*request.target, place))
                item.target = storage::join_path(place, item.name);
        }
        note_missing(request, storage::split_path(item.target).directory, plan);
        plan.items.push_back(std::move(item));
    }
};

}  // namespace

std::vector<NewDirectory> missing_directories(const FileTree& tree, const std::string& path) {
    std::vector<NewDirectory> missing;
    std::string prefix;
    for (const std::string& part : storage::components_of(tree.resolve(path))) {
        prefix = storage::join_path(prefix, part);
        if (!tree.find(prefix)) missing.push_back({prefix});
    }
    return missing;
}

CopyPlan plan_copy(const CopyRequest& request) {
    Planner planner{request};
    planner.into_directory = request.destination.ends_with('/');
    std::vector<FoundSource> found;
    for (const CopySource& source : request.sources) find_sources(request, source, found);
    if (found.empty() && request.dialect == BuildDialect::classic)
        throw Error(ErrorKind::invalid, "no source files were specified");
    if (found.size() > 1 && !planner.into_directory)
        throw Error(ErrorKind::invalid,
                    "When using {} with more than one source file, the destination must be a "
                    "directory and end with a /",
                    request.instruction);
    for (const FoundSource& source : found)
        request.keep_parents ? planner.add_with_parents(source) : planner.add(source);
    CopyPlan plan = std::move(planner.plan);
    plan.kind = plan.items.size() > 1 ? "multi" : "file";
    if (plan.items.size() == 1 && is_directory(*plan.items[0].tree, plan.items[0].source))
        plan.kind = "dir";
    return plan;
}

}  // namespace berth::engine
