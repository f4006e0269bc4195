#include "runtime/console_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/error.h"

namespace berth::runtime {

UniqueFd connect_console_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw Error(ErrorKind::invalid, "console socket {}: the path is too long", path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket) throw_errno("making a socket");
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        throw_errno("console socket {}", path);
    return socket;
}

}  // namespace berth::runtime
