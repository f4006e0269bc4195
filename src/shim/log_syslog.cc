#include "shim/log_syslog.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "linux/inet_address.h"

namespace berth::shim {
namespace {

constexpr int kInformational = 6;
constexpr int kError = 3;
constexpr std::chrono::seconds kReconnectPause{1};
constexpr int kConnectMilliseconds = 5000;

struct Endpoint final {
    std::string network;  // "unixgram", "unix", "udp" or "tcp"
    std::string rest;     // a path, or ADDRESS:PORT
    sockaddr_storage address{};
    socklen_t length = 0;
    int type = SOCK_DGRAM;
};

linux_os::InetAddress inet_address(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    if (colon != std::string::npos)
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    const auto address = linux_os::parse_inet_address(host, port);
    if (!address || port == 0)
        throw Error(ErrorKind::invalid, "{} is no address of a syslog service", text);
    return *address;
}

Endpoint parse_endpoint(const std::string& text) {
    Endpoint endpoint;
    const std::size_t colon = std::min(text.find(':'), text.size());
    endpoint.network = text.substr(0, colon);
    endpoint.rest = text.substr(std::min(colon + 1, text.size()));
    if (endpoint.network == "unix" || endpoint.network == "tcp") endpoint.type = SOCK_STREAM;
    if (endpoint.network == "udp" || endpoint.network == "tcp") {
        const linux_os::InetAddress address = inet_address(endpoint.rest);
        endpoint.address = address.storage;
        endpoint.length = address.length;
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
    std::string reason = std::strerror(error);
    for (char& c : reason)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    throw Error(ErrorKind::unavailable, "dial {} {}: connect: {}", endpoint.network, endpoint.rest,
                reason);
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
      queue_(loop, config, [this](std::string& message) { return send(message); }) {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0) hostname_ = name.data();
    begin_connection();
    // A service that is not there shows at the container's start.
    pollfd poller{socket_.get(), POLLOUT, 0};
    const bool answered = ::poll(&poller, 1, kConnectMilliseconds) > 0;
    if (const int error = answered ? connection_error(socket_) : ETIMEDOUT; error != 0)
        refuse_connection(parse_endpoint(address_), error);
}

void SyslogLog::begin_connection() {
    connected_at_ = std::chrono::steady_clock::now();
    UniqueFd socket = connect_later(parse_endpoint(address_));
    queue_.let_go();
    socket_ = std::move(socket);
    queue_.use(socket_);
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
    return syslog_message(header_, {hostname_, ::getpid(), Timestamp::now()}, stream, text);
}

LogQueue::Taken SyslogLog::send(std::string& message) {
    for (int tries = 0; tries < 2; ++tries) {
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
        const auto now = std::chrono::steady_clock::now();
        if (errno == EMSGSIZE || now - connected_at_ < kReconnectPause) break;
        try {
            begin_connection();
        } catch (const Error&) {
            break;
        }
    }
    return LogQueue::Taken::lost;
}

void SyslogLog::check_lost() {
    if (const std::uint64_t lost = queue_.take_lost(); lost != 0)
        throw Error(ErrorKind::unavailable, "the syslog service at {} did not take {} messages",
                    address_, lost);
}

}  // namespace berth::shim
