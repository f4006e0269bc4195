#include "rootlesskit/distribution.h"

#include <fmt/format.h>

#include <array>

namespace berth::rootlesskit {
namespace {

struct Family final {
    std::array<std::string_view, 3> ids;  // of ID and ID_LIKE
    std::string_view install;
    std::array<std::string_view, 3> packages;  // in the order of Package
};

// Debian's is the last: its names are also the guess for an unknown distribution.
constexpr std::array<Family, 5> kFamilies{{
    {{"fedora", "rhel", "centos"},
     "sudo dnf install --allowerasing",
     {"shadow-utils", "fuse-overlayfs", "dbus-broker"}},
    {{"arch", "manjaro", ""}, "sudo pacman -S", {"shadow", "fuse-overlayfs", "dbus"}},
    {{"suse", "opensuse", "sles"}, "sudo zypper install", {"shadow", "fuse-overlayfs", "dbus-1"}},
    {{"alpine", "", ""}, "sudo apk add", {"shadow-uidmap", "fuse-overlayfs", "dbus"}},
    {{"debian", "ubuntu", ""},
     "sudo apt-get install",
     {"uidmap", "fuse-overlayfs", "dbus-user-session"}},
}};

// The ids of the distribution and of those it is like, between spaces.
std::string distribution_of(std::string_view os_release) {
    std::string words = " ";
    while (!os_release.empty()) {
        const auto end = os_release.find('\n');
        const std::string_view line = os_release.substr(0, end);
        os_release.remove_prefix(end == std::string_view::npos ? os_release.size() : end + 1);
        if (!line.starts_with("ID=") && !line.starts_with("ID_LIKE=")) continue;
        for (const char c : line.substr(line.find('=') + 1))
            if (c != '"' && c != '\'') words += c;
        words += ' ';
    }
    return words;
}

const Family& family_of(std::string_view os_release) {
    const std::string words = distribution_of(os_release);
    for (const Family& family : kFamilies)
        for (const std::string_view id : family.ids)
            if (!id.empty() && words.find(fmt::format(" {} ", id)) != std::string::npos)
                return family;
    return kFamilies.back();
}

}  // namespace

std::string install_command(std::string_view os_release, Package package) {
    const Family& family = family_of(os_release);
    return fmt::format("{} {}", family.install,
                       family.packages.at(static_cast<std::size_t>(package)));
}

}  // namespace berth::rootlesskit
