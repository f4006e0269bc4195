#include "http/client.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "http/parser.h"

namespace berth::http {

namespace {
constexpr std::size_t kHeaderLimit = 1U << 20;
constexpr std::string_view kUnix = "unix://";
constexpr std::string_view kTcp = "tcp://";

UniqueFd connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "the socket path {} is too long", path);
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) throw_errno("making a socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        throw Error::with_text(ErrorKind::unavailable,
                               fmt::format("connecting to unix://{}: {}", path, errno_text(error)),
                               error);
    }
    return fd;
}

UniqueFd connect_tcp(const std::string& host_and_port) {
    const HostPort parts = split_host_port(host_and_port);
    const std::string host(parts.host), port(parts.port);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
        throw Error(ErrorKind::unavailable, "looking up {}: {}", host, ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    int error = ECONNREFUSED;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        UniqueFd fd(::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol));
        if (fd && ::connect(fd.get(), one->ai_addr, one->ai_addrlen) == 0) return fd;
        error = errno;
    }
    throw Error::with_text(
        ErrorKind::unavailable,
        fmt::format("connecting to tcp://{}: {}", host_and_port, errno_text(error)), error);
}

/// write(2) would raise SIGPIPE when the server is gone.
void send_all(BorrowedFd socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) throw_errno("sending a request");
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string request_head(const ClientRequest& request) {
    std::string text = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
    if (request.headers.find("Host") == nullptr) text += "Host: localhost\r\n";
    for (const auto& [name, value] : request.headers.entries())
        text += fmt::format("{}: {}\r\n", name, value);
    if (request.body_source)
        text += "Transfer-Encoding: chunked\r\n";
    else if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
        text += fmt::format("Content-Length: {}\r\n", request.body.size());
    return text + "\r\n";
}

void send_chunks(BorrowedFd socket, const std::function<std::size_t(std::span<char>)>& source) {
    std::string buffer(64U << 10, '\0');
    while (const std::size_t size = source(buffer)) {
        send_all(socket, fmt::format("{:x}\r\n", size));
        send_all(socket, std::string_view(buffer).substr(0, size));
        send_all(socket, "\r\n");
    }
    send_all(socket, "0\r\n\r\n");
}
}  // namespace

struct ClientResponse::State final {
    UniqueFd socket;
    std::shared_ptr<std::optional<UniqueFd>> idle;
    std::unique_ptr<MessageParser> parser;
    std::string input;  // bytes from `begin` on are not parsed yet
    std::size_t begin = 0;

    std::string_view unread() const { return std::string_view(input).substr(begin); }
    bool receive();
    void read_head(MessageParser::Body body);
    std::size_t read(std::span<char> into);
    void finished();
};

bool ClientResponse::State::receive() {
    input.erase(0, begin);
    begin = 0;
    const std::size_t had = input.size();
    input.resize(had + (16U << 10));
    ssize_t size = -1;
    do size = ::recv(socket.get(), input.data() + had, input.size() - had, 0);
    while (size < 0 && errno == EINTR);
    const int error = errno;
    input.resize(had + static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    if (size < 0)
        throw Error::with_text(ErrorKind::unavailable,
                               "reading the server's answer: " + errno_text(error), error);
    return size > 0;
}

void ClientResponse::State::read_head(MessageParser::Body body) {
    for (;;) {
        parser = std::make_unique<MessageParser>(MessageParser::Kind::response, kHeaderLimit, body);
        while (!parser->head_done()) {
            if (begin < input.size()) begin += parser->put(unread(), {}).consumed;
            if (parser->head_done()) break;
            if (!receive())
                throw Error(ErrorKind::unavailable, "the server closed the connection: EOF");
        }
        if (parser->status != 100) return;
    }
}

std::size_t ClientResponse::State::read(std::span<char> into) {
    while (!into.empty() && !parser->done()) {
        const auto progress = parser->put(unread(), into);
        begin += progress.consumed;
        if (progress.produced > 0) return progress.produced;
        if (parser->done()) break;
        if (receive()) continue;
        try {
            parser->put_end();
        } catch (const Error&) {
            throw Error(ErrorKind::unavailable, "the server's answer ended early: unexpected EOF");
        }
    }
    finished();
    return 0;
}

void ClientResponse::State::finished() {
    if (parser->done() && parser->keep_alive() && parser->status != 101 && begin == input.size() &&
        idle && socket)
        *idle = std::move(socket);
}

ClientResponse::ClientResponse(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;
ClientResponse& ClientResponse::operator=(ClientResponse&&) noexcept = default;
ClientResponse::~ClientResponse() = default;

int ClientResponse::status() const { return state_->parser->status; }
const Headers& ClientResponse::headers() const { return state_->parser->headers; }
std::size_t ClientResponse::read(std::span<char> into) { return state_->read(into); }
BorrowedFd ClientResponse::socket() const { return state_->socket; }

bool ClientResponse::buffered() const {
    return state_->parser->done() || state_->begin < state_->input.size();
}

std::string ClientResponse::read_all(std::size_t limit) {
    std::string body;
    std::array<char, 16U << 10> piece{};
    while (const std::size_t size = read(piece)) {
        if (body.size() + size > limit)
            throw Error(ErrorKind::invalid, "the server's answer is larger than {} bytes", limit);
        body.append(piece.data(), size);
    }
    return body;
}

Upgraded ClientResponse::upgrade() {
    return {std::move(state_->socket), std::string(state_->unread())};
}

UniqueFd connect_to(const std::string& address) {
    if (address.starts_with(kUnix)) return connect_unix(address.substr(kUnix.size()));
    return connect_tcp(address.substr(kTcp.size()));
}

Client::Client(std::string address)
    : address_(std::move(address)), idle_(std::make_shared<std::optional<UniqueFd>>()) {
    const bool tcp =
        address_.starts_with(kTcp) && address_.find(':', kTcp.size()) != std::string::npos;
    if (!tcp && !(address_.starts_with(kUnix) && address_.size() > kUnix.size()))
        throw Error(ErrorKind::invalid,
                    "the engine's address \"{}\" is neither unix:///path nor tcp://host:port",
                    address_);
}

Client::~Client() = default;

ClientResponse Client::send(const ClientRequest& request) {
    auto state = std::make_unique<ClientResponse::State>();
    state->idle = idle_;
    if (*idle_) {
        state->socket = std::move(**idle_);
        idle_->reset();
        // A server that restarted has closed it: readable means the end here.
        pollfd closed{state->socket.get(), POLLIN, 0};
        if (::poll(&closed, 1, 0) != 0) state->socket.reset();
    }
    if (!state->socket) state->socket = connect_to(address_);
    std::exception_ptr failure;
    try {
        send_all(state->socket, request_head(request) + request.body);
        if (request.body_source) send_chunks(state->socket, request.body_source);
    } catch (const Error& e) {
        // The server may have answered and closed before it took the whole body.
        if (e.errno_value() != EPIPE && e.errno_value() != ECONNRESET) throw;
        failure = std::current_exception();
    }
    try {
        state->read_head(request.method == "HEAD" ? MessageParser::Body::none
                                                  : MessageParser::Body::expected);
    } catch (const Error&) {
        if (failure) std::rethrow_exception(failure);
        throw;
    }
    return ClientResponse(std::move(state));
}

}  // namespace berth::http
