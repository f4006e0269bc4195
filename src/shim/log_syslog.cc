#include "shim/log_syslog.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "linux/socket_address.h"
#include "linux/spawn.h"

namespace berth::shim {
namespace {

constexpr int kInformational = 6;
constexpr int kError = 3;
constexpr std::chrono::seconds kReconnectPause{1};
constexpr int kConnectMilliseconds = 5000;
constexpr int kRelayMilliseconds = 12'000;  // it gives up after 10 s
constexpr int kRelayFd = 3;

struct Endpoint final {
    std::string network;  // "unixgram", "unix", "udp", "tcp" or "tcp+tls"
    std::string rest;     // a path, or ADDRESS:PORT
    sockaddr_storage address{};
    socklen_t length = 0;
    int type = SOCK_DGRAM;
};

/// "1.2.3.4:514" or "[::1]:514".
linux_os::SocketAddress inet_address(const std::string& text) {
    const auto [host, digits] = split_host_port(text);
    const auto port = whole_number<std::uint16_t>(digits).value_or(0);
    const auto address = IpAddress::from(host);
    if (!address || port == 0)
        throw Error(ErrorKind::invalid, "{} is no address of a syslog service", text);
    return {*address, port};
}

Endpoint parse_endpoint(const std::string& text) {
    Endpoint endpoint;
    const std::size_t colon = std::min(text.find(':'), text.size());
    endpoint.network = text.substr(0, colon);
    endpoint.rest = text.substr(std::min(colon + 1, text.size()));
    if (endpoint.network == "tcp+tls") return endpoint;
    if (endpoint.network == "unix" || endpoint.network == "tcp") endpoint.type = SOCK_STREAM;
    if (endpoint.network == "udp" || endpoint.network == "tcp") {
        const linux_os::SocketAddress address = inet_address(endpoint.rest);
        std::memcpy(&endpoint.address, address.get(), address.length());
        endpoint.length = address.length();
        return endpoint;
    }
    sockaddr_un address{};
    if (endpoint.rest.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "the syslog socket {} has too long a path", endpoint.rest);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, endpoint.rest.c_str(), endpoint.rest.size() + 1);
    std::memcpy(&endpoint.address, &address, sizeof address);
    endpoint.length = sizeof address;
    return endpoint;
}

// Go's words, which users of Docker know from its errors.
[[noreturn]] void refuse_connection(const Endpoint& endpoint, int error) {
    throw Error(ErrorKind::unavailable, "dial {} {}: connect: {}", endpoint.network, endpoint.rest,
                to_lower(errno_text(error)));
}

int connection_error(BorrowedFd socket) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

/// A socket whose connection may still be under way.
UniqueFd connect_later(const Endpoint& endpoint) {
    UniqueFd socket{
        ::socket(endpoint.address.ss_family, endpoint.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket) throw_errno("making a socket for syslog");
    const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
    if (::connect(socket.get(), address, endpoint.length) < 0 && errno != EINPROGRESS)
        refuse_connection(endpoint, errno);
    return socket;
}

/// A socket whose other end berth-tls-relay carries to the service.
UniqueFd start_relay(const std::string& address, const SyslogTls& tls) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        throw_errno("making sockets for syslog");
    UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    const auto [host, port] = split_host_port(address);
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-tls-relay");
    request.arguments = {request.program,
                         std::string(host),
                         std::string(port),
                         tls.name,
                         tls.verified ? "verify" : "trust",
                         tls.authorities,
                         tls.certificate,
                         tls.key};
    request.environment = linux_os::current_environment();
    request.fds.emplace_back(theirs, kRelayFd);
    linux_os::spawn(request);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    return ours;
}

/// What the relay said of its connection: nothing yet, "" when it stands, else what is wrong.
std::optional<std::string> relay_answer(BorrowedFd relay) {
    std::array<char, 4096> line{};
    const ssize_t count = ::recv(relay.get(), line.data(), line.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return std::nullopt;
    if (count <= 0) return "berth-tls-relay ended without a word";
    return std::string(line.data(), static_cast<std::size_t>(count) - 1);  // its line break
}

std::string local_time(Timestamp at, const char* format) {
    const std::time_t seconds = at.seconds();
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    const std::size_t size = std::strftime(text.data(), text.size(), format, &parts);
    return {text.data(), size};
}

/// RFC 3339 in local time, with `fraction` before the offset.
std::string offset_time(Timestamp at, const std::string& fraction) {
    std::string offset = local_time(at, "%z");
    offset = offset == "+0000" ? "Z" : offset.substr(0, 3) + ":" + offset.substr(3);
    return local_time(at, "%Y-%m-%dT%H:%M:%S") + fraction + offset;
}

}  // namespace

std::string syslog_message(const SyslogHeader& header, const SyslogOrigin& origin,
                           unsigned char stream, std::string_view text) {
    const int priority = header.facility * 8 + (stream == 2 ? kError : kInformational);
    if (header.format.starts_with("rfc5424")) {
        const std::string fraction =
            header.format == "rfc5424micro"
                ? fmt::format(".{:06}", origin.at.ns % 1'000'000'000 / 1000)
                : std::string();
        return fmt::format("<{}>1 {} {} {} {} {} - {}\n", priority,
                           offset_time(origin.at, fraction), origin.hostname, header.tag,
                           origin.pid, header.tag, text);
    }
    const std::string stamp = local_time(origin.at, "%b %e %H:%M:%S");
    const std::string host = header.format == "rfc3164" ? origin.hostname + " " : std::string();
    return fmt::format("<{}>{} {}{}[{}]: {}\n", priority, stamp, host, header.tag, origin.pid,
                       text);
}

SyslogLog::SyslogLog(EventLoop& loop, const LogConfig& config)
    : address_(config.path),
      header_(config.syslog),
      tls_(config.tls),
      queue_(loop, config, [this](std::string& message) { return send(message); }) {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0) hostname_ = name.data();
    begin_connection();
    await_connection();
}

void SyslogLog::begin_connection() {
    connected_at_ = std::chrono::steady_clock::now();
    const Endpoint endpoint = parse_endpoint(address_);
    const bool relayed = endpoint.network == "tcp+tls";
    UniqueFd socket = relayed ? start_relay(endpoint.rest, tls_) : connect_later(endpoint);
    queue_.let_go();
    socket_ = std::move(socket);
    shakes_hands_ = relayed;
    queue_.use(socket_, relayed ? EPOLLIN : EPOLLOUT);
}

// A service that is not there shows at the container's start.
void SyslogLog::await_connection() {
    pollfd poller{socket_.get(), static_cast<short>(shakes_hands_ ? POLLIN : POLLOUT), 0};
    const int patience = shakes_hands_ ? kRelayMilliseconds : kConnectMilliseconds;
    const bool answered = ::poll(&poller, 1, patience) > 0;
    if (shakes_hands_) {
        if (link() == Link::ready) return;
        throw Error(ErrorKind::unavailable, "{}",
                    problem_.empty() ? "berth-tls-relay does not answer" : problem_);
    }
    if (const int error = answered ? connection_error(socket_) : ETIMEDOUT; error != 0)
        refuse_connection(parse_endpoint(address_), error);
}

SyslogLog::Link SyslogLog::link() {
    if (!socket_) return Link::broken;
    if (!shakes_hands_) return Link::ready;
    const std::optional<std::string> answer = relay_answer(socket_);
    if (!answer) return Link::waiting;
    problem_ = *answer;
    if (!problem_.empty()) {
        queue_.let_go();
        socket_.reset();
        return Link::broken;
    }
    shakes_hands_ = false;
    queue_.use(socket_);
    return Link::ready;
}

void SyslogLog::write(unsigned char stream, std::string_view bytes) {
    (stream == 2 ? err_ : out_).feed(bytes, [&](const LogPiece& piece) {
        queue_.add(message_of(stream, piece.text));
    });
    check_lost();
}

void SyslogLog::end(unsigned char stream) {
    (stream == 2 ? err_ : out_).finish([&](const LogPiece& piece) {
        queue_.add(message_of(stream, piece.text));
    });
    queue_.finish();
    check_lost();
}

std::string SyslogLog::message_of(unsigned char stream, std::string_view text) const {
    const std::string message =
        syslog_message(header_, {hostname_, ::getpid(), Timestamp::now()}, stream, text);
    const bool counted = address_.starts_with("tcp+tls:") && header_.format.starts_with("rfc5424");
    return counted ? fmt::format("{} {}", message.size(), message) : message;  // RFC 5425
}

LogQueue::Taken SyslogLog::send(std::string& message) {
    for (int tries = 0; tries < 2; ++tries) {
        const Link state = link();
        if (state == Link::waiting) return LogQueue::Taken::later;
        if (state == Link::broken) {
            if (!connect_again()) break;
            continue;
        }
        const ssize_t sent = ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            message.erase(0, static_cast<std::size_t>(sent));
            if (message.empty()) return LogQueue::Taken::yes;
            --tries;  // a stream took a part
            continue;
        }
        if (errno == EAGAIN) return LogQueue::Taken::later;
        // UDP: nobody listened to an earlier message; this one was not sent yet.
        if (errno == ECONNREFUSED && address_.starts_with("udp:")) continue;
        if (errno == EMSGSIZE || !connect_again()) break;
    }
    return LogQueue::Taken::lost;
}

bool SyslogLog::connect_again() {
    if (std::chrono::steady_clock::now() - connected_at_ < kReconnectPause) return false;
    try {
        begin_connection();
    } catch (const Error&) {
        return false;
    }
    return true;
}

void SyslogLog::check_lost() {
    if (const std::uint64_t lost = queue_.take_lost(); lost != 0)
        throw Error(ErrorKind::unavailable, "the syslog service at {} did not take {} messages{}{}",
                    address_, lost, problem_.empty() ? "" : ": ", problem_);
}

}  // namespace berth::shim
