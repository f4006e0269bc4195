// Repositories of git as build contexts name them: "https://host/repo.git#ref:directory",
// "git://…", "git@host:path", "?branch=…&subdir=…". Pure. Throws Error{invalid}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace berth::build {

struct GitSource final {
    std::string remote;     // for git itself, without fragment and query
    std::string reference;  // a branch, tag, full reference or commit; empty: the remote's HEAD
    std::string directory;  // in the repository, clean and relative; empty: all of it
    std::string checksum;   // that the commit's name must begin with
    std::optional<bool> keep_git_directory;
    bool submodules = true;

    bool is_ssh() const;
    /// "host:port", as credentials are named after; empty for what has none.
    std::string host() const;
};

/// Nothing when it names no repository: a directory, an archive of a web server.
std::optional<GitSource> parse_git_source(std::string_view text);

}  // namespace berth::build
