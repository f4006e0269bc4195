// A blocking HTTP/1.1 client for programs without an event loop (the command line, tests), over
// unix sockets and tcp. One connection a request at a time, kept for the next. It links no Asio.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "http/message.h"

namespace berth::http {

struct ClientRequest final {
    std::string method = "GET";
    std::string target = "/";
    Headers headers;
    std::string body;
    /// Instead of `body`: fills the span and says how much, 0 at the end; sent chunked.
    std::function<std::size_t(std::span<char>)> body_source;
};

/// A socket that is no longer HTTP (after 101, or 200 of an old server). Blocking.
struct Upgraded final {
    UniqueFd socket;
    std::string early;  // bytes of the server that were read already
};

/// The answer to one request: its head is here, its body is read as it comes. It owns the
/// connection, which goes back to the client when the body was read to its end.
class ClientResponse final {
  public:
    ClientResponse(ClientResponse&&) noexcept;
    ClientResponse& operator=(ClientResponse&&) noexcept;
    ~ClientResponse();

    int status() const;
    const Headers& headers() const;
    /// Some bytes of the body; 0 at its end. Throws Error{unavailable} when it ends early.
    std::size_t read(std::span<char> into);
    /// The rest of the body. Throws Error{invalid} past `limit` bytes.
    std::string read_all(std::size_t limit = 64U << 20);
    /// For poll(2). buffered() says whether read() has something without it.
    BorrowedFd socket() const;
    bool buffered() const;
    /// Gives the socket away.
    Upgraded upgrade();

  private:
    friend class Client;
    struct State;
    explicit ClientResponse(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

class Client final {
  public:
    /// "unix:///path" or "tcp://host:port". Throws Error{invalid} for anything else.
    explicit Client(std::string address);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Sends the request and waits for the head of its answer. Throws Error{unavailable} naming the
    /// address when it cannot be reached.
    ClientResponse send(const ClientRequest& request);
    const std::string& address() const { return address_; }

  private:
    std::string address_;
    std::shared_ptr<std::optional<UniqueFd>> idle_;
};

/// A new connected socket of that address, blocking. Throws Error{unavailable}.
UniqueFd connect_to(const std::string& address);

}  // namespace berth::http
