// RUN --mount: what its keys mean. Pure. Throws Error{invalid} with BuildKit's texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "build/expand.h"
#include "build/instruction.h"

namespace berth::build {

enum class RunMountType { bind, cache, tmpfs, secret, ssh };
enum class CacheSharing { shared, private_, locked };

struct RunMount final {
    RunMountType type = RunMountType::bind;
    std::string id;      // of a cache, secret or agent
    std::string target;  // clean and absolute; empty: a secret that is a variable only, or an agent
    std::string from;    // a stage or an image; empty: the context
    std::string source;  // bind, cache: in `from`
    bool read_only = true;
    bool required = false;
    CacheSharing sharing = CacheSharing::shared;
    std::optional<std::uint32_t> mode, uid, gid;
    std::int64_t size = 0;  // tmpfs: at most; 0: no limit
    std::string variable;   // secret: in the environment
    std::string text;       // with its variables expanded, for the history
};

/// A relative target is one of `working_directory`.
RunMount parse_run_mount(const Pairs& keys, const Lookup& lookup, char escape,
                         const std::string& working_directory);

}  // namespace berth::build
