#include "systemd/delegation_advice.h"

#include <fmt/ranges.h>

namespace berth::systemd {
namespace {

std::string listed(const std::vector<std::string>& names) {
    return fmt::format("{} {}", names.size() == 1 ? "controller" : "controllers",
                       fmt::join(names, ", "));
}

}  // namespace

const std::vector<std::string>& wanted_controllers() {
    static const std::vector<std::string> names{"cpu", "cpuset", "io", "memory", "pids"};
    return names;
}

std::string advice_for_version_1() {
    return "containers have no cgroups and no limits, since the controllers of this machine are in "
           "cgroup version 1, which a plain user cannot be given: boot with "
           "systemd.unified_cgroup_hierarchy=1 (`sudo sed -i "
           "'s/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && "
           "sudo update-grub && sudo reboot`)";
}

std::string advice_for_no_manager(const std::string& reason, uid_t uid) {
    return fmt::format(
        "containers have no cgroups and no limits, since no systemd user manager answers ({}): "
        "`sudo apt-get install dbus-user-session && sudo loginctl enable-linger {} && sudo "
        "systemctl restart user@{}.service`, or have a directory delegated and name it as "
        "cgroup-parent: `sudo mkdir /sys/fs/cgroup/berth && sudo chown -R {} /sys/fs/cgroup/berth`",
        reason, uid, uid, uid);
}

std::string advice_for_undelegated(const std::vector<std::string>& controllers, uid_t uid) {
    return fmt::format(
        "limits that need the {} are not applied, since systemd does not delegate that to user {}: "
        "`sudo mkdir -p /etc/systemd/system/user@.service.d && printf "
        "'[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee "
        "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload && sudo "
        "systemctl restart user@{}.service` (the last command ends what runs as that user's "
        "services, containers included)",
        listed(controllers), uid, uid);
}

std::string advice_for_directory(const std::vector<std::string>& controllers,
                                 const std::string& directory) {
    return fmt::format(
        "limits that need the {} are not applied, since the cgroup above {} does not pass that on: "
        "`echo +{} | sudo tee {}/cgroup.subtree_control`",
        listed(controllers), directory, fmt::join(controllers, " +"),
        directory.substr(0, directory.rfind('/')));
}

std::string advice_for_absent(const std::vector<std::string>& controllers) {
    return fmt::format(
        "limits that need the {} are not applied, since the kernel was booted without: `cat "
        "/proc/cmdline` shows a cgroup_disable= to take out, or add cgroup_enable=memory there",
        listed(controllers));
}

}  // namespace berth::systemd
