#include "engine/build/cache_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "archive/digester.h"
#include "base/error.h"
#include "base/file.h"
#include "storage/copy_tree.h"
#include "storage/entry_file.h"

namespace berth::engine {

namespace {

std::string root_of(const std::string& builds) { return builds + "/" + kCaches; }

/// False: another has it, and `operation` does not wait.
bool lock(BorrowedFd file, int operation) {
    while (::flock(file.get(), operation) < 0) {
        if (errno == EWOULDBLOCK) return false;
        if (errno != EINTR) throw_errno("locking a build cache");
    }
    return true;
}

bool is_linked(BorrowedFd file) {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) throw_errno("reading a build cache");
    return status.st_nlink > 0;
}

/// Locked, and not removed by a prune before that; nothing when `operation` does not wait.
UniqueFd open_locked(const std::string& directory, int operation) {
    for (;;) {
        make_directories(directory, 0700);
        UniqueFd file{::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        if (!file && errno == ENOENT) continue;
        if (!file) throw_errno("opening {}/lock", directory);
        if (!lock(file, operation)) return {};
        if (is_linked(file)) return file;
    }
}

Timestamp changed(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) < 0) return {};
    return storage::to_timestamp(status.st_mtim);
}

/// Files that are there whole: a half-made directory is made again.
void fill_new(const std::string& directory, const CacheKey& key,
              const std::function<void(const std::string&)>& fill) {
    if (exists(directory + "/id")) return;
    remove_tree(directory + "/data");
    make_directories(directory + "/data", 0755);
    fill(directory + "/data");
    replace_file(directory + "/id", text_of(key), 0600, Durability::process);
}

CacheUse take(UniqueFd file, const std::string& directory) {
    if (::futimens(file.get(), nullptr) < 0) throw_errno("noting the use of a build cache");
    return {std::move(file), directory + "/data"};
}

CacheFacts facts_of(const std::string& root, const std::string& name) {
    const std::string directory = root + "/" + name;
    CacheFacts facts{.name = name};
    const std::string text = read_file_if_exists(directory + "/id").value_or("");
    facts.id = text.substr(0, text.find('\n'));
    facts.created = changed(directory + "/id");
    facts.used = changed(directory + "/lock");
    if (exists(directory + "/data"))
        facts.size = storage::tree_size(open_file(directory + "/data", O_RDONLY | O_DIRECTORY));
    return facts;
}

std::int64_t free_bytes(const std::string& directory) {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) < 0) return 0;
    return static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
}

std::vector<std::string> names_of(const std::string& root) {
    if (!exists(root)) return {};
    const UniqueFd directory = open_file(root, O_RDONLY | O_DIRECTORY);
    return storage::names_in(directory, "");
}

}  // namespace

std::string text_of(const CacheKey& key) { return key.id + "\n" + key.base; }

std::optional<CacheUse> try_cache(const std::string& builds, const CacheKey& key,
                                  build::CacheSharing sharing,
                                  const std::function<void(const std::string&)>& fill) {
    const std::string base = root_of(builds) + "/" + archive::sha256(text_of(key)).hex();
    for (int number = 0;; ++number) {
        const std::string directory = number == 0 ? base : fmt::format("{}-{}", base, number);
        const bool shared = sharing == build::CacheSharing::shared && exists(directory + "/id");
        UniqueFd file = open_locked(directory, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
        if (!file && sharing == build::CacheSharing::private_) continue;
        // A prune may have been quicker than a shared lock, under which nothing may be made.
        if (!file || (shared && !exists(directory + "/id"))) return std::nullopt;
        fill_new(directory, key, fill);
        if (sharing != build::CacheSharing::shared || shared)
            return take(std::move(file), directory);
        // The change of a lock lets others in between: begin anew with what there is then.
        --number;
    }
}

std::vector<CacheFacts> list_caches(const std::string& builds) {
    std::vector<CacheFacts> list;
    for (const std::string& name : names_of(root_of(builds))) {
        CacheFacts facts = facts_of(root_of(builds), name);
        const UniqueFd file{
            ::open((root_of(builds) + "/" + name + "/lock").c_str(), O_RDWR | O_CLOEXEC)};
        facts.in_use = file && !lock(file, LOCK_EX | LOCK_NB);
        list.push_back(std::move(facts));
    }
    return list;
}

std::int64_t kept_bytes(std::int64_t total, std::int64_t free, const CacheLimits& limits) {
    std::int64_t keep = limits.max_used;
    const std::int64_t missing = limits.min_free - free;
    if (missing > 0) keep = keep == 0 ? total - missing : std::min(keep, total - missing);
    return std::max(keep, limits.reserved);
}

std::vector<CacheFacts> prune_caches(const std::string& builds,
                                     const std::function<bool(const CacheFacts&)>& wanted,
                                     const CacheLimits& limits) {
    std::vector<CacheFacts> list = list_caches(builds);
    std::ranges::sort(list, {}, &CacheFacts::used);
    std::int64_t total = 0;
    for (const CacheFacts& facts : list) total += facts.size;
    const std::int64_t keep = kept_bytes(total, free_bytes(builds), limits);
    std::vector<CacheFacts> removed;
    for (const CacheFacts& facts : list) {
        if (facts.in_use || !wanted(facts) || (keep > 0 && total <= keep)) continue;
        const std::string directory = root_of(builds) + "/" + facts.name;
        const UniqueFd file = open_locked(directory, LOCK_EX | LOCK_NB);
        if (!file) continue;
        // A directory that goes half the way is made again by its next user.
        remove_tree(directory + "/id");
        remove_tree(directory);
        total -= facts.size;
        removed.push_back(facts);
    }
    return removed;
}

}  // namespace berth::engine
