// A gRPC connection over a socket that was taken over from HTTP/1: a server of calls, or the client
// of a peer that serves them (BuildKit's session). Coroutines on the io_context thread; the
// protocol itself is in session.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "async/task.h"
#include "base/unique_fd.h"
#include "grpc/session.h"

namespace berth::grpc {

struct ConnectionState;

/// One call, from either end. Copies name the same call.
class Call final {
  public:
    Call(std::shared_ptr<ConnectionState> connection, CallPointer call)
        : connection_(std::move(connection)), call_(std::move(call)) {}

    const std::string& method() const { return call_->method; }
    /// Of the caller.
    const Metadata& metadata() const { return call_->metadata; }

    /// The next message; nothing after the last one. Of a client it throws the Error that the
    /// server ended the call with. Error{cancelled} when the other side is gone.
    async::Task<std::optional<std::string>> read();
    /// The only message. Throws Error{invalid} when there is none.
    async::Task<std::string> read_one();
    /// Waits while much is not sent yet. Error{cancelled} when the other side is gone.
    async::Task<> write(std::string message);
    /// Of a server: answers with these headers at once, before any message.
    void respond(Metadata metadata);
    /// A client has no more messages.
    void finish_sending();
    /// A server ends the call.
    void finish(Status status);
    void reset();
    async::CancelSource& cancel_source() { return call_->cancel; }

  private:
    std::shared_ptr<ConnectionState> connection_;
    CallPointer call_;
};

using CallHandler = std::function<async::Task<>(Call)>;

class Connection final {
  public:
    /// `early` was read from the socket already. Of a server `handler` answers calls in tasks of
    /// `tasks` (which outlives the connection); what it throws is the call's status, and it is
    /// cancelled when its client resets the call or goes away.
    Connection(async::Executor executor, UniqueFd socket, std::string early, Role role,
               async::TaskGroup& tasks, CallHandler handler = {});
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Serves the connection to its end, which ends all calls.
    async::Task<> run();
    void close();

    /// A client's call.
    Call open(std::string method, Metadata metadata);
    /// One message there and one back. Throws the Error of the server.
    async::Task<std::string> call(std::string method, std::string request);

  private:
    std::shared_ptr<ConnectionState> state_;
};

}  // namespace berth::grpc
