#include "cli/default_host.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "rootlesskit/runtime_directory.h"

namespace berth::cli {

std::string own_host() {
    std::optional<std::string> directory;
    if (const char* value = ::secure_getenv("XDG_RUNTIME_DIR")) directory = value;
    return "unix://" + rootlesskit::find_runtime_directory(directory, ::getuid()).path +
           "/docker.sock";
}

std::string default_host() {
    const char* host = ::secure_getenv("DOCKER_HOST");
    return host && *host ? host : own_host();
}

}  // namespace berth::cli
