// --build-context of a client as the builder takes it, and the remote contexts of a job. Files are
// fetched when a step asks for them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "buildkit/job.h"

namespace berth::buildkit {

/// Throws Error with BuildKit's texts for a source that there is not.
std::map<std::string, engine::NamedContext> named_contexts(const std::shared_ptr<Job>& job);

/// With what the client's session has for repositories. `dockerfile` may be empty.
engine::RemoteContext remote_context(const Job& job, std::string url, std::string dockerfile);

/// The agents of the session's client; empty without a session.
engine::BuildAgents agents_of(const std::shared_ptr<Session>& session);
engine::BuildSecrets secrets_of(const std::shared_ptr<Session>& session);

}  // namespace berth::buildkit
