#include "shim/outbox.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "linux/nameless_file.h"

namespace berth::shim {
namespace {

constexpr std::size_t kRefill = 64U << 10;

// Bytes sent; 0 when the socket takes none for now, negative when the peer is gone.
ssize_t send_parts(BorrowedFd socket, std::string_view first, std::string_view second) {
    std::array<iovec, 2> parts{iovec{const_cast<char*>(first.data()), first.size()},
                               iovec{const_cast<char*>(second.data()), second.size()}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    for (;;) {
        // MSG_DONTWAIT instead of O_NONBLOCK: that flag would be the engine's duplicate's too.
        const ssize_t sent = ::sendmsg(socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
    }
}

}  // namespace

Outbox::State Outbox::send(BorrowedFd socket, std::string_view header, std::string_view payload) {
    if (!empty()) {
        keep(header);
        keep(payload);
        return State::waiting;
    }
    const ssize_t result = send_parts(socket, header, payload);
    if (result < 0) return State::gone;
    auto sent = static_cast<std::size_t>(result);
    last_progress_ = std::chrono::steady_clock::now();
    if (sent == header.size() + payload.size()) return State::empty;
    if (sent < header.size()) {
        keep(header.substr(sent));
        sent = header.size();
    }
    keep(payload.substr(sent - header.size()));
    return State::waiting;
}

Outbox::State Outbox::flush(BorrowedFd socket) {
    while (!empty()) {
        if (held() == 0) refill();
        const ssize_t result = send_parts(socket, std::string_view(memory_).substr(sent_), {});
        if (result < 0) return State::gone;
        if (result == 0) return State::waiting;
        sent_ += static_cast<std::size_t>(result);
        last_progress_ = std::chrono::steady_clock::now();
        if (held() == 0) {
            memory_ = {};
            sent_ = 0;
        } else if (sent_ >= memory_.size() / 2) {
            memory_.erase(0, sent_);
            sent_ = 0;
        }
    }
    spool_.reset();
    spooled_ = spool_read_ = 0;
    return State::empty;
}

void Outbox::start_spooling() {
    if (!spool_) spool_ = linux_os::nameless_file(spool_directory_);
}

void Outbox::keep(std::string_view bytes) {
    if (!spool_) {
        memory_.append(bytes);
        return;
    }
    write_all(spool_, bytes);
    spooled_ += bytes.size();
}

void Outbox::refill() {
    memory_.resize(std::min(kRefill, spooled_ - spool_read_));
    sent_ = 0;
    const ssize_t count =
        ::pread(spool_.get(), memory_.data(), memory_.size(), static_cast<off_t>(spool_read_));
    if (count <= 0) {
        const int saved = count < 0 ? errno : EIO;
        memory_.clear();
        throw Error::from_errno(saved, "reading back a client's backlog");
    }
    memory_.resize(static_cast<std::size_t>(count));
    spool_read_ += memory_.size();
}

}  // namespace berth::shim
