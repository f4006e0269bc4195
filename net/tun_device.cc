#include "net/tun_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace berth::net {

UniqueFd open_tun_device(const char* name, TunKind kind) {
    UniqueFd fd = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
    ifreq request{};
    request.ifr_flags = IFF_NO_PI | (kind == TunKind::packets ? IFF_TUN : IFF_TAP | IFF_VNET_HDR);
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) throw_errno("making {}", name);
    return fd;
}

}  // namespace berth::net
