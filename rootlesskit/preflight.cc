#include "rootlesskit/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/error.h"

namespace berth::rootlesskit {
namespace {

constexpr std::uint64_t kUsualRange = 65536;

// The ids of the distribution and of those it is like, between spaces.
std::string distribution_of(std::string_view os_release) {
    std::string words = " ";
    while (!os_release.empty()) {
        const auto end = os_release.find('\n');
        const std::string_view line = os_release.substr(0, end);
        os_release.remove_prefix(end == std::string_view::npos ? os_release.size() : end + 1);
        if (!line.starts_with("ID=") && !line.starts_with("ID_LIKE=")) continue;
        for (const char c : line.substr(line.find('=') + 1))
            if (c != '"') words += c;
        words += ' ';
    }
    return words;
}

std::string install_command(const Facts& facts) {
    const std::string words = distribution_of(facts.os_release);
    const auto is = [&words](std::string_view name) {
        return words.find(fmt::format(" {} ", name)) != std::string::npos;
    };
    if (is("fedora") || is("rhel")) return "sudo dnf install --allowerasing shadow-utils";
    if (is("arch")) return "sudo pacman -S shadow";
    if (is("suse") || is("opensuse")) return "sudo zypper install shadow";
    if (is("alpine")) return "sudo apk add shadow-uidmap";
    return "sudo apt-get install uidmap";
}

std::string user_of(const Facts& facts) {
    return facts.user.empty() ? std::to_string(facts.uid) : facts.user;
}

void check_program(const Facts& facts, const MapProgram& program, std::string_view name,
                   std::vector<Finding>& findings) {
    if (program.path.empty()) {
        findings.push_back({Severity::fatal, fmt::format("{} not found: it writes the id maps of "
                                                         "the user namespace: `{}`",
                                                         name, install_command(facts))});
    } else if (program.privilege == Privilege::nosuid_mount) {
        findings.push_back(
            {Severity::fatal,
             fmt::format("{} is on a file system mounted nosuid and cannot write the id maps: "
                         "install it on one without: `{}`",
                         program.path, install_command(facts))});
    } else if (program.privilege == Privilege::none) {
        findings.push_back(
            {Severity::fatal,
             fmt::format("{} is neither setuid root nor has file capabilities, so it cannot write "
                         "the id maps: `sudo chown root:root {} && sudo chmod u+s {}`",
                         program.path, program.path, program.path)});
    }
}

void check_ranges(const Facts& facts, std::vector<Finding>& findings) {
    const std::uint64_t uids = total(facts.uids);
    const std::uint64_t gids = total(facts.gids);
    if (uids >= kUsualRange && gids >= kUsualRange) return;
    const std::uint64_t last = facts.free_range + kUsualRange - 1;
    const std::string user = user_of(facts);
    const std::string mend =
        fmt::format("`sudo usermod --add-subuids {}-{} --add-subgids {}-{} {}`", facts.free_range,
                    last, facts.free_range, last, user);
    if (uids == 0 || gids == 0) {
        const std::string_view file = uids == 0 ? "/etc/subuid" : "/etc/subgid";
        findings.push_back({Severity::fatal,
                            fmt::format("no subordinate ids for user {} in {}: containers need ids "
                                        "beside the user's own: {}",
                                        user, file, mend)});
        return;
    }
    findings.push_back(
        {Severity::warning, fmt::format("user {} has {} subordinate uids and {} gids, fewer than "
                                        "{}: images that use higher ids fail: {}",
                                        user, uids, gids, kUsualRange, mend)});
}

void check_kernel(const Facts& facts, std::vector<Finding>& findings) {
    if (facts.unprivileged_userns_clone == 0)
        findings.push_back({Severity::fatal,
                            "user namespaces are off for plain users "
                            "(kernel.unprivileged_userns_clone=0): "
                            "`sudo sysctl -w kernel.unprivileged_userns_clone=1`"});
    if (facts.max_user_namespaces == 0)
        findings.push_back({Severity::fatal,
                            "user namespaces are off (user.max_user_namespaces=0): "
                            "`sudo sysctl -w user.max_user_namespaces=28633`"});
    if (facts.no_new_privileges)
        findings.push_back({Severity::fatal,
                            "berthd runs with no_new_privs, so newuidmap gains no rights: remove "
                            "NoNewPrivileges= from the service (`systemctl --user edit berth`) or "
                            "start berthd outside the sandbox"});
}

void check_tun(const Facts& facts, std::vector<Finding>& findings) {
    if (facts.tun_errno == 0) return;
    const bool absent =
        facts.tun_errno == ENOENT || facts.tun_errno == ENODEV || facts.tun_errno == ENXIO;
    const std::string_view mend = absent ? "sudo modprobe tun" : "sudo chmod 0666 /dev/net/tun";
    findings.push_back(
        {Severity::fatal,
         fmt::format("cannot open /dev/net/tun ({}): the container network needs it: `{}` (or "
                     "start with --bridge=none to do without)",
                     errno_text(facts.tun_errno), mend)});
}

std::string explain_denied(std::string_view what, int errno_value, const Facts& facts) {
    const std::string opening = fmt::format("{}: {}", what, errno_text(errno_value));
    if (facts.apparmor_restrict.value_or(0) != 0)
        return opening +
               ": AppArmor restricts user namespaces of plain users "
               "(kernel.apparmor_restrict_unprivileged_userns=1): "
               "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`";
    if (errno_value == ENOSPC || errno_value == EUSERS)
        return opening +
               ": the limit of user namespaces is reached (user.max_user_namespaces) or they are "
               "nested too deep: `sudo sysctl -w user.max_user_namespaces=28633`";
    if (errno_value == ENOSYS || errno_value == EINVAL)
        return opening +
               ": the kernel is built without user namespaces (CONFIG_USER_NS): "
               "`grep CONFIG_USER_NS /boot/config-$(uname -r)`";
    return opening +
           ": a seccomp filter or a security module forbids user namespaces (inside another "
           "container: start that one with `--security-opt seccomp=unconfined`)";
}

}  // namespace

std::vector<Finding> check(const Facts& facts) {
    std::vector<Finding> findings;
    if (facts.host_root) {
        findings.push_back({Severity::fatal,
                            "berthd must not run as root: it is an engine for a plain user: start "
                            "it as that user (`sudo -u USER -i berthd`)"});
        return findings;
    }
    check_kernel(facts, findings);
    check_program(facts, facts.newuidmap, "newuidmap", findings);
    check_program(facts, facts.newgidmap, "newgidmap", findings);
    check_ranges(facts, findings);
    check_tun(facts, findings);
    return findings;
}

std::string explain(const HolderFailure& failure, const Facts& facts) {
    switch (failure.step) {
        case HolderStep::clone:
            return explain_denied("creating the user namespace", failure.errno_value, facts);
        case HolderStep::map_uids:
        case HolderStep::map_gids: {
            const bool uids = failure.step == HolderStep::map_uids;
            return fmt::format("{} failed: {}: compare `getsubids {}{}` with {}",
                               uids ? facts.newuidmap.path : facts.newgidmap.path,
                               failure.detail.empty() ? "it said nothing" : failure.detail,
                               uids ? "" : "-g ", user_of(facts),
                               uids ? "/etc/subuid" : "/etc/subgid");
        }
        case HolderStep::mounts:
            return explain_denied("creating the mount namespace", failure.errno_value, facts);
        case HolderStep::network:
            return explain_denied("creating the network namespace", failure.errno_value, facts);
        case HolderStep::exec:
            break;
    }
    return fmt::format("starting the holder process: {}", errno_text(failure.errno_value));
}

HolderPlan plan_holder(const Facts& facts) {
    return {facts.newuidmap.path, facts.newgidmap.path, make_map(facts.uid, facts.uids),
            make_map(facts.gid, facts.gids)};
}

}  // namespace berth::rootlesskit
