// Repositories as build contexts and for ADD: checked out by the host's git, a child that runs no
// hooks, reads nobody's configuration, asks nobody, and speaks HTTP, git and (with a client's
// agent) ssh only: a repository names no file of this host, nor a command. Blocking.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "build/git_source.h"
#include "image/registry_settings.h"

namespace berth::engine {

/// What a client gives for its repositories.
struct GitAccess final {
    std::string authorization;  // value of the HTTP header for the repository's host; empty: none
    std::string agent_socket;   // of the client's ssh agent; empty: none, and no ssh
};

struct GitCheckout final {
    build::GitSource source;
    GitAccess access;
    std::shared_ptr<const image::RegistrySettings> settings;  // for the proxies
    std::stop_token stop;
    bool keep_git_directory = false;  // unless the source says otherwise
};

/// Fills `directory`, which is empty; the commit. Throws Error with git's own words.
std::string check_out(const GitCheckout& checkout, const std::string& directory);

}  // namespace berth::engine
