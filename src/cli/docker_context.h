// The docker CLI's context "berth", which names this user's engine: made through the docker CLI
// where there is one, else written into ~/.docker ($DOCKER_CONFIG) in the CLI's own format.
#pragma once

#include <string>

namespace berth::cli {

/// Makes it, or points it at `host`. Says in words what was done. Throws Error.
std::string make_docker_context(const std::string& host);
/// Removes it, and chooses the default context where it was the current one. Absent is fine.
void remove_docker_context();

struct DockerContext final {
    std::string name = "default";  // the current one
    std::string host;              // empty: the CLI's default, /var/run/docker.sock
};
/// What a docker CLI of this user takes when neither DOCKER_HOST nor a flag says more.
DockerContext current_docker_context();

}  // namespace berth::cli
