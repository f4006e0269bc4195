#include "linux/socket_pair.h"

#include <sys/socket.h>

#include "base/error.h"

namespace berth::linux_os {

std::pair<UniqueFd, UniqueFd> stream_socket_pair(Blocking blocking) {
    const int flags = SOCK_CLOEXEC | (blocking == Blocking::no ? SOCK_NONBLOCK : 0);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | flags, 0, ends) < 0)
        throw_errno("making a pair of sockets");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace berth::linux_os
