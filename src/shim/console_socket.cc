#include "shim/console_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/unix_address.h"

namespace berth::shim {

ConsoleSocket::ConsoleSocket(const std::string& directory, const std::string& name)
    : path_(directory + "/" + name),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!listener_) throw_errno("making the console socket");
    argument_ = path_.size() <= linux_os::UnixAddress::kMaxPath ? path_ : name;
    const linux_os::UnixAddress address(path_);
    ::unlink(path_.c_str());
    if (::bind(listener_.get(), address.get(), address.length()) < 0)
        throw_errno("binding {}", path_);
    if (::listen(listener_.get(), 1) < 0) throw_errno("listening on {}", path_);
}

ConsoleSocket::~ConsoleSocket() { ::unlink(path_.c_str()); }

UniqueFd ConsoleSocket::take_master() {
    const UniqueFd connection{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!connection)
        throw Error(ErrorKind::internal, "the runtime did not connect to the console socket");
    linux_os::Received received = linux_os::receive_message(connection);
    if (received.message.fds.empty())
        throw Error(ErrorKind::internal, "the runtime sent no terminal");
    return std::move(received.message.fds.front());
}

}  // namespace berth::shim
