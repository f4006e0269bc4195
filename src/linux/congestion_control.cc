#include "linux/congestion_control.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"

namespace berth::linux_os {

std::string choose_local_congestion_control(std::string_view standard, std::string_view allowed) {
    if (!standard.starts_with("bbr")) return "";
    const auto names = words_of(allowed);
    // Every kernel has reno; what else a network namespace may choose is up to the host.
    return std::ranges::find(names, "cubic") != names.end() ? "cubic" : "reno";
}

std::string local_congestion_control() {
    const auto sysctl = [](const char* name) {
        return read_file_if_exists(std::string("/proc/sys/net/ipv4/") + name).value_or("");
    };
    return choose_local_congestion_control(sysctl("tcp_congestion_control"),
                                           sysctl("tcp_allowed_congestion_control"));
}

}  // namespace berth::linux_os
