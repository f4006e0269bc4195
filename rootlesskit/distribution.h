// Which Linux distribution the host is, for the command that installs a package there. Pure.
#pragma once

#include <string>
#include <string_view>

namespace berth::rootlesskit {

enum class Package { uidmap, fuse_overlayfs, user_bus };

/// The command for an administrator; `os_release` is the content of /etc/os-release.
std::string install_command(std::string_view os_release, Package package);

}  // namespace berth::rootlesskit
