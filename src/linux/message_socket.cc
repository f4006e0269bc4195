#include "linux/message_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "linux/unix_address.h"

namespace berth::linux_os {
namespace {

// The whole record where the message is in the file that is its last descriptor; never JSON.
constexpr std::string_view kInMemory = "in memory";
constexpr std::size_t kMaxFds = kMaxMessageFds + 1;

// Room for the largest record in the send buffer, or the send would fail with EMSGSIZE.
void size_buffers(int fd) {
    const int size = static_cast<int>(2 * kMaxInline);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

UniqueFd make_socket() {
    UniqueFd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!fd) throw_errno("making a socket");
    size_buffers(fd.get());
    return fd;
}

UniqueFd file_in_memory(const std::string& text) {
    UniqueFd file{::memfd_create("berth-message", MFD_CLOEXEC)};
    if (!file) throw_errno("making a file in memory");
    write_all(file, text);
    return file;
}

std::string text_in_memory(BorrowedFd file) {
    if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("reading a message in memory");
    return read_all(file, kMaxMessage);
}

SendResult send_record(BorrowedFd socket, std::string_view text,
                       const std::vector<BorrowedFd>& fds) {
    iovec part{const_cast<char*>(text.data()), text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)]{};
    if (!fds.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
        int* slots = reinterpret_cast<int*>(CMSG_DATA(rights));
        for (std::size_t i = 0; i < fds.size(); ++i) slots[i] = fds[i].get();
    }
    for (;;) {
        if (::sendmsg(socket.get(), &header, MSG_NOSIGNAL) >= 0) return SendResult::sent;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return SendResult::would_block;
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
            return SendResult::peer_gone;
        throw_errno("sending a message");
    }
}

std::vector<UniqueFd> take_descriptors(msghdr& header) {
    std::vector<UniqueFd> fds;
    for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
        const auto* slots = reinterpret_cast<const int*>(CMSG_DATA(item));
        const std::size_t total = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < total; ++i) fds.emplace_back(slots[i]);
    }
    return fds;
}

}  // namespace

std::pair<UniqueFd, UniqueFd> message_socket_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        throw_errno("making a socket pair");
    size_buffers(fds[0]);
    size_buffers(fds[1]);
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

UniqueFd listen_messages(const std::string& path) {
    UniqueFd fd = make_socket();
    ::unlink(path.c_str());
    const UnixAddress address(path);
    if (::bind(fd.get(), address.get(), address.length()) < 0) throw_errno("binding {}", path);
    if (::chmod(path.c_str(), 0600) < 0) throw_errno("setting the mode of {}", path);
    if (::listen(fd.get(), SOMAXCONN) < 0) throw_errno("listening on {}", path);
    return fd;
}

UniqueFd connect_messages(const std::string& path) {
    UniqueFd fd = make_socket();
    const UnixAddress address(path);
    if (::connect(fd.get(), address.get(), address.length()) == 0) return fd;
    const int saved = errno;
    const auto kind =
        saved == ENOENT || saved == ECONNREFUSED ? ErrorKind::not_found : ErrorKind::internal;
    throw Error::with_text(kind, Error::from_errno(saved, "connecting to " + path).message(),
                           saved);
}

UniqueFd accept_messages(BorrowedFd listener) {
    for (;;) {
        const int fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) {
            size_buffers(fd);
            return UniqueFd{fd};
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
        throw_errno("accepting a connection");
    }
}

SendResult send_message(BorrowedFd socket, const std::string& text,
                        const std::vector<BorrowedFd>& fds) {
    if (text.size() > kMaxMessage)
        throw Error(ErrorKind::invalid, "message of {} bytes is larger than the limit of {}",
                    text.size(), kMaxMessage);
    if (fds.size() > kMaxMessageFds)
        throw Error(ErrorKind::invalid, "message carries {} descriptors, the limit is {}",
                    fds.size(), kMaxMessageFds);
    if (text.size() <= kMaxInline) return send_record(socket, text, fds);
    const UniqueFd file = file_in_memory(text);
    std::vector<BorrowedFd> all = fds;
    all.push_back(file);
    return send_record(socket, kInMemory, all);
}

Received receive_message(BorrowedFd socket) {
    std::string text(kMaxInline, '\0');
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t count = 0;
    do {
        count = ::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return {ReceiveState::would_block, {}};
    if (count < 0 && errno != ECONNRESET) throw_errno("receiving a message");
    if (count <= 0) return {};

    Received received{ReceiveState::message, {"", take_descriptors(header)}};
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        throw Error(ErrorKind::invalid, "a record was longer than {} bytes or {} descriptors",
                    kMaxInline, kMaxFds);
    text.resize(static_cast<std::size_t>(count));
    Message& message = received.message;
    if (text == kInMemory && !message.fds.empty()) {
        text = text_in_memory(message.fds.back());
        message.fds.pop_back();
    }
    message.text = std::move(text);
    return received;
}

bool wait_readable(BorrowedFd fd, int timeout_ms) {
    pollfd poll_fd{fd.get(), POLLIN, 0};
    int result = 0;
    do {
        result = ::poll(&poll_fd, 1, timeout_ms);
    } while (result < 0 && errno == EINTR);
    return result > 0;
}

}  // namespace berth::linux_os
