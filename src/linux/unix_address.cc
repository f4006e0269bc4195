#include "linux/unix_address.h"

#include <fcntl.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace berth::linux_os {

UnixAddress::UnixAddress(const std::string& path) {
    std::string name = path;
    const auto slash = path.rfind('/');
    if (path.size() > kMaxPath && slash != std::string::npos) {
        directory_ = open_file(path.substr(0, slash + 1), O_PATH | O_DIRECTORY);
        name = fmt::format("/proc/self/fd/{}/{}", directory_.get(), path.substr(slash + 1));
    }
    if (name.size() > kMaxPath) throw Error(ErrorKind::invalid, "socket path {} is too long", path);
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, name.c_str(), name.size() + 1);
}

}  // namespace berth::linux_os
