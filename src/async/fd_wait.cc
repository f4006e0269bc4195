#include "async/fd_wait.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth::async {
namespace asio = boost::asio;

namespace {
Task<> wait_for(UniqueFd fd, asio::posix::descriptor_base::wait_type what) {
    asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor, fd.get());
    fd.release();  // NOLINT: the descriptor closes it
    const auto [error] = co_await descriptor.async_wait(what, asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted)
        throw Error(ErrorKind::cancelled, "the operation was cancelled");
    if (error) throw Error::from_errno(error.value(), "waiting for a descriptor");
}
}  // namespace

Task<> wait_readable(BorrowedFd fd) {
    return wait_for(duplicate(fd), asio::posix::descriptor_base::wait_read);
}

Task<> wait_writable(BorrowedFd fd) {
    return wait_for(duplicate(fd), asio::posix::descriptor_base::wait_write);
}

// send() knows MSG_NOSIGNAL, pipes do not.
Task<bool> send_all(BorrowedFd socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent =
            ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno == EAGAIN)
            co_await wait_writable(socket);
        else if (errno != EINTR)
            co_return false;
    }
    co_return true;
}

Task<std::expected<std::string_view, int>> receive_some(BorrowedFd socket, std::span<char> buffer) {
    for (;;) {
        const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size >= 0) co_return std::string_view(buffer.data(), static_cast<std::size_t>(size));
        if (errno == EAGAIN)
            co_await wait_readable(socket);
        else if (errno != EINTR)
            co_return std::unexpected(errno);
    }
}

Task<> wait_exit(const linux_os::PidFd& process) { return wait_readable(process.fd()); }

}  // namespace berth::async
