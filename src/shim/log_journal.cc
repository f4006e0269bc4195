#include "shim/log_journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"

namespace berth::shim {
namespace {

constexpr std::string_view kPriorityInformational = "6";
constexpr std::string_view kPriorityError = "3";

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
    : path_(config.path),
      queue_(loop, config, [this](std::string& message) { return send(message); }) {
    for (const auto& [name, value] : config.attributes) append_journal_field(fields_, name, value);
    connect();
}

void JournalLog::connect() {
    queue_.let_go();
    socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket_) throw_errno("making a socket for the journal");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "the journal's socket {} has too long a path", path_);
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        throw_errno("connecting to the journal at {}", path_);
    queue_.use(socket_);
}

void JournalLog::write(unsigned char stream, std::string_view bytes) {
    (stream == 2 ? err_ : out_).feed(bytes, [&](const LogPiece& piece) {
        queue_.add(message_of(stream, piece));
    });
    check_lost();
}

void JournalLog::end(unsigned char stream) {
    (stream == 2 ? err_ : out_).finish([&](const LogPiece& piece) {
        queue_.add(message_of(stream, piece));
    });
    queue_.finish();
    check_lost();
}

std::string JournalLog::message_of(unsigned char number, const LogPiece& piece) const {
    std::string message = fields_;
    append_journal_field(message, "PRIORITY",
                         number == 2 ? kPriorityError : kPriorityInformational);
    append_journal_field(message, "SYSLOG_TIMESTAMP", rfc3339(Timestamp::now()));
    if (piece.partial) {
        append_journal_field(message, "CONTAINER_PARTIAL_MESSAGE", "true");
        append_journal_field(message, "CONTAINER_PARTIAL_ID", piece.id);
        append_journal_field(message, "CONTAINER_PARTIAL_ORDINAL", std::to_string(piece.ordinal));
        append_journal_field(message, "CONTAINER_PARTIAL_LAST", piece.last ? "true" : "false");
    }
    append_journal_field(message, "MESSAGE", piece.text);
    return message;
}

LogQueue::Taken JournalLog::send(const std::string& message) {
    for (const bool again : {true, false}) {
        if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) >= 0)
            return LogQueue::Taken::yes;
        if (errno == EAGAIN) return LogQueue::Taken::later;
        if (errno == EMSGSIZE || errno == ENOBUFS) return send_file(message);
        if (!again || !peer_is_gone(errno)) break;
        try {
            connect();  // journald's socket was made anew
        } catch (const Error&) {
            break;
        }
    }
    return LogQueue::Taken::lost;
}

LogQueue::Taken JournalLog::send_file(const std::string& message) {
    try {
        const UniqueFd file{::memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
        if (!file) throw_errno("making a memory file");
        write_all(file, message);
        constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
        if (::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) throw_errno("sealing a memory file");
        const auto result = linux_os::send_message(socket_, "", {file.borrow()});
        if (result == linux_os::SendResult::would_block) return LogQueue::Taken::later;
        if (result == linux_os::SendResult::sent) return LogQueue::Taken::yes;
    } catch (const Error&) {  // no memory file: the message is lost
    }
    return LogQueue::Taken::lost;
}

void JournalLog::check_lost() {
    if (const std::uint64_t lost = queue_.take_lost(); lost != 0)
        throw Error(ErrorKind::unavailable, "the journal at {} did not take {} messages", path_,
                    lost);
}

}  // namespace berth::shim
