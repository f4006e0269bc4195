#include "shim/console_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"

namespace berth::shim {

ConsoleSocket::ConsoleSocket(const std::string& directory, const std::string& name)
    : path_(directory + "/" + name),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!listener_) throw_errno("making the console socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    argument_ = path_.size() < sizeof address.sun_path ? path_ : name;
    const UniqueFd holder = open_file(directory, O_PATH | O_DIRECTORY);
    const std::string reachable = fmt::format("/proc/self/fd/{}/{}", holder.get(), name);
    if (reachable.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "console socket name {} is too long", name);
    std::memcpy(address.sun_path, reachable.c_str(), reachable.size() + 1);
    ::unlink(path_.c_str());
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
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
