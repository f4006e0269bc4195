// HTTP/1.1 server on the io_context thread over listening sockets that are given to it (unix or
// tcp). One coroutine a connection; keep-alive; bodies both ways as streams; the socket itself can
// be taken over (hijack). It knows nothing of Docker: that is src/api. Malformed requests are
// answered here with 400 and closed. TLS will be another transport behind Connection (server.cc).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "async/task.h"
#include "base/unique_fd.h"
#include "http/message.h"

namespace berth::http {

class Connection;

/// A socket that is no longer HTTP: its owner reads `early` first. The socket is non-blocking.
struct Hijacked final {
    UniqueFd socket;
    std::string early;  // bytes of the client that were read already
};

/// One request and its answer, valid while its handler runs. Not thread-safe; at most one read and
/// one write at a time. Errors of the connection are Error{cancelled}: nobody is left to answer.
class Exchange final {
  public:
    Exchange(Connection& connection, Request request);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    const Request& request() const { return request_; }

    // The request's body.
    /// False when it is surely empty (no length and not chunked, or length 0).
    bool has_body() const;
    std::optional<std::uint64_t> content_length() const;
    /// Some bytes of the body; 0 at its end. Answers "Expect: 100-continue" at the first call.
    /// Throws Error{invalid} when the body is malformed or ends early.
    async::Task<std::size_t> read_body(std::span<char> into);
    /// The whole body. Throws Error{invalid} past `limit` bytes.
    async::Task<std::string> read_whole_body(std::size_t limit);

    // The reply: one of reply(), stream(), hijack(), once.
    bool replied() const { return replied_ != Replied::no; }
    /// A whole response with Content-Length (none for 204 and 304; body unsent for HEAD).
    async::Task<> reply(Response response);
    /// Sends status and headers at once; write() and finish() follow. A handler that ends without
    /// finish() cuts the connection, so that the client sees the failure.
    async::Task<> stream(int status, Headers headers);
    /// Sends `bytes` as one chunk, at once. Nothing for an empty one.
    async::Task<> write(std::string_view bytes);
    async::Task<> finish();
    /// Sends `head` as it is (status line, headers, blank line; may be empty) and gives the socket
    /// away with what the client has sent beyond the request.
    async::Task<Hijacked> hijack(std::string head);

    /// Where the client reached us: the path of an unix socket, empty for others.
    std::string socket_path() const;

    /// Runs `task` and cancels it when the client goes away meanwhile. A half-closed unix
    /// connection counts as present.
    async::Task<> cancel_on_disconnect(async::Task<> task);

  private:
    friend class Connection;
    enum class Replied { no, whole, streaming, finished, hijacked };
    std::string head(int status, const Headers& headers) const;

    Connection& connection_;
    Request request_;
    Replied replied_ = Replied::no;
    bool keep_alive_ = true;
    bool chunked_ = false;
};

using Handler = std::function<async::Task<>(Exchange&)>;

/// Half of the process's descriptors: the rest is for what the requests do.
std::size_t share_of_descriptors();

struct Limits final {
    std::size_t header_bytes = 1U << 20;
    std::size_t drained_bytes = 256U << 10;  // of an unread body, before the connection is closed
    std::chrono::milliseconds head_time =
        std::chrono::minutes(5);  // from its first byte to its end
    /// Past them the client that has let the server wait longest gives way to the newest one.
    std::size_t connections = share_of_descriptors();
};

class Server final {
  public:
    /// `handler` answers every request; what it throws is answered with a plain 500.
    Server(async::Executor executor, Handler handler, Limits limits = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Accepts connections of a listening socket from now on.
    void listen(UniqueFd listener);
    /// Stops accepting; idle connections are closed, running exchanges may go on until `deadline`,
    /// then they are cancelled.
    async::Task<> stop(SteadyTime deadline);
    std::size_t connections() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace berth::http
