#include "daemon/survivors.h"

#include <sys/socket.h>

#include <filesystem>

#include "base/error.h"
#include "linux/message_socket.h"

namespace berth::daemon {

std::vector<linux_os::PidFd> living_shims(const std::string& exec_root) {
    std::vector<linux_os::PidFd> shims;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(exec_root + "/c", ignored)) {
        try {
            const UniqueFd socket =
                linux_os::connect_messages(entry.path().string() + "/shim.sock");
            ucred peer{};
            socklen_t length = sizeof peer;
            if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) continue;
            shims.push_back(linux_os::PidFd::open(peer.pid));
        } catch (const Error&) {
            continue;  // no socket, or nobody behind it
        }
    }
    return shims;
}

}  // namespace berth::daemon
