// What a client's options for the Dockerfile frontend ask of the builder. Pure. Throws
// Error{unsupported} for what would silently build something else, Error{invalid} for bad values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "buildkit/messages.h"
#include "engine/build/build.h"

namespace berth::buildkit {

struct FrontendOptions final {
    std::string filename = "Dockerfile";
    std::string context = "context";        // the client's name of the directory
    std::string dockerfile = "dockerfile";  // that of the Dockerfile
    std::string upload;                     // a context that the client uploads: its path
    std::string url;                        // a context that we fetch
    bool dockerfile_apart = false;          // of the client, though we fetch the context
    bool keep_git_directory = false;
    Attributes contexts;     // --build-context: sources by name
    Attributes inputs;       // images that sources may be
    std::string subrequest;  // what is asked for instead of a build; empty: nothing
    std::vector<std::string> warnings;
    engine::BuildRequest request;
};

FrontendOptions frontend_options(const SolveRequest& solve);

/// The patterns of a .dockerignore file: without comments, as clean relative paths.
std::vector<std::string> ignore_patterns(std::string_view text);

}  // namespace berth::buildkit
