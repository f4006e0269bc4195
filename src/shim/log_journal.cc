#include "shim/log_journal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "linux/message_socket.h"

namespace berth::shim {
namespace {

// A burst that journald works off in milliseconds.
constexpr std::size_t kBlockingLimit = 256U << 10;
constexpr std::string_view kInformational = "6";
constexpr std::string_view kError = "3";

std::string le64(std::uint64_t value) {
    std::string bytes;
    for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(value >> shift);
    return bytes;
}

bool peer_is_gone(int error) {
    return error == ECONNREFUSED || error == ECONNRESET || error == ENOTCONN || error == EPIPE;
}

}  // namespace

void append_journal_field(std::string& message, std::string_view name, std::string_view value) {
    message += name;
    if (value.find('\n') == std::string_view::npos) {
        message += '=';
    } else {
        message += '\n';
        message += le64(value.size());
    }
    message += value;
    message += '\n';
}

JournalLog::JournalLog(EventLoop& loop, const LogConfig& config)
    : loop_(loop),
      path_(config.path),
      blocking_(!config.non_blocking),
      limit_(config.non_blocking ? static_cast<std::size_t>(config.max_buffer) : kBlockingLimit) {
    for (const auto& [name, value] : config.attributes) append_journal_field(fields_, name, value);
    connect();
}

JournalLog::~JournalLog() {
    if (watched_) loop_.unwatch(socket_);
    loop_.cancel(patience_);
}

void JournalLog::connect() {
    if (std::exchange(watched_, false)) loop_.unwatch(socket_);
    socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket_) throw_errno("making a socket for the journal");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "the journal's socket {} has too long a path", path_);
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        throw_errno("connecting to the journal at {}", path_);
}

void JournalLog::write(unsigned char stream, std::string_view bytes) {
    (stream == 2 ? err_ : out_).lines.feed(bytes, [&](std::string_view piece) {
        add(stream, piece);
    });
    check_lost();
}

void JournalLog::end(unsigned char stream) {
    (stream == 2 ? err_ : out_).lines.finish([&](std::string_view piece) { add(stream, piece); });
    // The container's end: now journald may be waited for, within limits.
    const SteadyTime deadline = std::chrono::steady_clock::now() + kPatience;
    for (flush(); !waiting_.empty(); flush()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd poller{socket_.get(), POLLOUT, 0};
        if (left.count() <= 0 || ::poll(&poller, 1, static_cast<int>(left.count())) <= 0) give_up();
    }
    check_lost();
}

std::string JournalLog::message_of(unsigned char number, std::string_view piece) {
    Stream& stream = number == 2 ? err_ : out_;
    const bool whole = piece.ends_with('\n');
    if (whole) piece.remove_suffix(1);
    std::string message = fields_;
    append_journal_field(message, "PRIORITY", number == 2 ? kError : kInformational);
    append_journal_field(message, "SYSLOG_TIMESTAMP", rfc3339(Timestamp::now()));
    if (!whole || !stream.partial_id.empty()) {
        if (stream.partial_id.empty()) {
            stream.partial_id = random_hex_id();
            stream.partial_ordinal = 0;
        }
        append_journal_field(message, "CONTAINER_PARTIAL_MESSAGE", "true");
        append_journal_field(message, "CONTAINER_PARTIAL_ID", stream.partial_id);
        append_journal_field(message, "CONTAINER_PARTIAL_ORDINAL",
                             std::to_string(++stream.partial_ordinal));
        append_journal_field(message, "CONTAINER_PARTIAL_LAST", whole ? "true" : "false");
        if (whole) stream.partial_id.clear();
    }
    append_journal_field(message, "MESSAGE", piece);
    return message;
}

void JournalLog::add(unsigned char number, std::string_view piece) {
    std::string message = message_of(number, piece);
    if (waiting_.empty() && send(message) == Taken::yes) return;
    queue(std::move(message));
}

void JournalLog::queue(std::string message) {
    if (!blocking_ && waiting_bytes_ + message.size() > limit_) {
        ++lost_;
        return;
    }
    waiting_bytes_ += message.size();
    waiting_.push_back(std::move(message));
    watch_for_room();
    if (full() && patience_ == 0)
        patience_ = loop_.after(kPatience, [this] {
            patience_ = 0;
            give_up();
            if (on_room_) on_room_();
        });
}

// Sent and lost (counted) is taken as well: nothing can be done about it later.
JournalLog::Taken JournalLog::send(const std::string& message) {
    for (const bool again : {true, false}) {
        if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) >= 0)
            return Taken::yes;
        if (errno == EAGAIN) return Taken::later;
        if (errno == EMSGSIZE || errno == ENOBUFS) return send_file(message);
        if (!again || !peer_is_gone(errno)) break;
        try {
            connect();  // journald's socket was made anew
        } catch (const Error&) {
            break;
        }
    }
    ++lost_;
    return Taken::yes;
}

JournalLog::Taken JournalLog::send_file(const std::string& message) {
    try {
        const UniqueFd file{::memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
        if (!file) throw_errno("making a memory file");
        write_all(file, message);
        constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
        if (::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) throw_errno("sealing a memory file");
        const auto result = linux_os::send_message(socket_, "", {file.borrow()});
        if (result == linux_os::SendResult::would_block) return Taken::later;
        if (result != linux_os::SendResult::sent) ++lost_;
    } catch (const Error&) {
        ++lost_;
    }
    return Taken::yes;
}

void JournalLog::flush() {
    while (!waiting_.empty() && send(waiting_.front()) == Taken::yes) {
        waiting_bytes_ -= waiting_.front().size();
        waiting_.pop_front();
    }
    if (!waiting_.empty()) watch_for_room();
}

// Of a connected socket the kernel tells when the other side takes more.
void JournalLog::watch_for_room() {
    if (!std::exchange(watched_, true))
        loop_.watch(socket_, EPOLLOUT, [this](std::uint32_t) { socket_writable(); });
}

void JournalLog::socket_writable() {
    const bool was_full = full();
    flush();
    if (waiting_.empty() && std::exchange(watched_, false)) loop_.unwatch(socket_);
    if (full()) return;
    loop_.cancel(std::exchange(patience_, 0));
    if (was_full && on_room_) on_room_();
}

void JournalLog::give_up() {
    lost_ += waiting_.size();
    waiting_.clear();
    waiting_bytes_ = 0;
}

void JournalLog::check_lost() {
    if (const std::uint64_t lost = std::exchange(lost_, 0); lost != 0)
        throw Error(ErrorKind::unavailable, "the journal at {} did not take {} messages", path_,
                    lost);
}

}  // namespace berth::shim
