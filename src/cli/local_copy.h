// The end of `cp` that is on this machine: what is read, and where it is written to. Errors are in
// the docker CLI's words.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "cli/copy_rules.h"

namespace berth::cli {

/// Absolute and clean by its text; a final "/" or "/." stays.
std::string absolute_path(const std::string& path);

enum class Links { kept, followed };

struct LocalSource final {
    UniqueFd directory;
    std::string entry;  // in it
    std::string path;
    std::string name;  // of the first entry of the archive
    Thing thing = Thing::file;
};
/// `path` is absolute. With a final "/" or "/." a link is followed anyway. Throws Error.
LocalSource open_source(const std::string& path, Links links);

/// `path` is absolute; a link is where it leads, which may be absent. Throws Error for what cannot
/// be written to.
CopyTarget local_target(const std::string& path);

}  // namespace berth::cli
