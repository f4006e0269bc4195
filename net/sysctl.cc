#include "net/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/unique_fd.h"

namespace berth::net {

void write_sysctl(const std::string& name, std::string_view value, IfAbsent if_absent) {
    const std::string path = "/proc/sys/net/" + name;
    const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd && if_absent == IfAbsent::ignore) return;
    if (!fd) throw_errno("opening {}", path);
    if (::write(fd.get(), value.data(), value.size()) < 0 && if_absent == IfAbsent::fail)
        throw_errno("writing {} to {}", value, path);
}

}  // namespace berth::net
