// The directories of RUN --mount=type=cache, below builds/caches/ of the data root: one for each
// key, with what steps keep there (`data`), its name (`id`) and `lock`, which is flocked while a
// step uses it and whose time is that of the last use. They outlive builds and engines and go by a
// prune only. Blocking: a worker's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "build/run_mount.h"

namespace berth::engine {

constexpr const char* kCacheType = "exec.cachemount";  // as the API has it
constexpr const char* kCaches = "caches";              // of the directory of builds

/// A step's hold of one; nobody removes it meanwhile.
struct CacheUse final {
    UniqueFd lock;
    std::string files;
};

struct CacheKey final {
    std::string id;    // as the Dockerfile names it
    std::string base;  // what it began with: another one makes another directory
};
std::string text_of(const CacheKey& key);

/// `fill` puts the first files into a new directory. Nothing: another step has it locked.
std::optional<CacheUse> try_cache(const std::string& builds, const CacheKey& key,
                                  build::CacheSharing sharing,
                                  const std::function<void(const std::string& files)>& fill);

struct CacheFacts final {
    std::string name;  // of the directory
    std::string id;
    std::int64_t size = 0;
    Timestamp created, used;
    bool in_use = false;
    /// For people.
    std::string description() const { return "cached mount " + id; }
};
std::vector<CacheFacts> list_caches(const std::string& builds);
/// What a prune leaves, in bytes; without any limit nothing.
struct CacheLimits final {
    std::int64_t max_used = 0;
    std::int64_t min_free = 0;  // on the disk
    std::int64_t reserved = 0;  // stays, whatever the others say
};
/// BuildKit's reckoning: what may stay of `total` bytes where `free` are left on the disk.
std::int64_t kept_bytes(std::int64_t total, std::int64_t free, const CacheLimits& limits);

/// Removes those that no step uses and `wanted` takes, the longest unused first, until the limits
/// are kept.
std::vector<CacheFacts> prune_caches(const std::string& builds,
                                     const std::function<bool(const CacheFacts&)>& wanted,
                                     const CacheLimits& limits);

}  // namespace berth::engine
