// A client's session (POST /session): the client serves files, credentials and secrets over its
// connection, and we call. Ends when the client goes, or fails two health checks.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "grpc/connection.h"

namespace berth::buildkit {

/// What a client says of itself when it opens a session.
struct SessionHead final {
    std::string id;
    std::string name;
    std::set<std::string> methods;  // /package.Service/Method, in lower case
};

/// Reads it of headers or of metadata. Throws Error{invalid} without an id.
SessionHead session_head(const grpc::Metadata& headers);

class Session final {
  public:
    Session(async::Executor executor, UniqueFd socket, std::string early, SessionHead head,
            async::TaskGroup& tasks);

    const SessionHead& head() const { return head_; }
    bool serves(const std::string& method) const;
    /// Until the connection ends. `self` keeps the session alive for its health checks.
    static async::Task<> run(std::shared_ptr<Session> self);

    grpc::Connection& connection() { return connection_; }
    async::TaskGroup& tasks() { return tasks_; }

  private:
    static async::Task<> watch(std::shared_ptr<Session> self);

    SessionHead head_;
    async::TaskGroup& tasks_;
    grpc::Connection connection_;
    async::Event ended_;
};

/// The client's credentials for the registry of an image as the header X-Registry-Auth has them;
/// "" when it has none.
async::Task<std::string> registry_auth(std::shared_ptr<Session> session, std::string image);
/// Whether the client has an ssh agent of that id.
async::Task<bool> has_agent(std::shared_ptr<Session> session, std::string id);
/// Carries the connection there until one of its ends closes.
async::Task<> carry_to_agent(std::shared_ptr<Session> session, std::string id, UniqueFd connection);
/// The content of a secret; nothing when the client has none of that name.
async::Task<std::optional<std::string>> secret(std::shared_ptr<Session> session, std::string id);

}  // namespace berth::buildkit
