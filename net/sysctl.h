// Settings below /proc/sys/net of the calling thread's network namespace. Throws Error.
#pragma once

#include <string>
#include <string_view>

namespace berth::net {

enum class IfAbsent { fail, ignore };

/// Writes "ipv4/ip_forward" and the like. `ignore` lets pass that the kernel has no such setting
/// or refuses the value.
void write_sysctl(const std::string& name, std::string_view value, IfAbsent if_absent);

}  // namespace berth::net
