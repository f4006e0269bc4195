#include "rootlesskit/preflight.h"

#include <fmt/format.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "rootlesskit/distribution.h"

namespace berth::rootlesskit {
namespace {

constexpr std::uint64_t kUsualRange = 65536;
constexpr std::int64_t kFewNamespaces = 100;  // three for the engine, some for each container

std::string user_of(const Facts& facts) {
    return facts.user.empty() ? std::to_string(facts.uid) : facts.user;
}

Finding check_user(const Facts& facts) {
    if (!facts.host_root)
        return fine("user", fmt::format("user {} ({})", user_of(facts), facts.uid));
    return trouble(State::broken, "user",
                   "berthd must not run as root: it is an engine for a plain user: start it as "
                   "that user",
                   {"sudo -u USER -i berthd"});
}

Finding check_program(const Facts& facts, const MapProgram& program, std::string name) {
    const std::string install = install_command(facts.os_release, Package::uidmap);
    if (program.path.empty())
        return trouble(State::broken, name,
                       name + " not found: it writes the id maps of the user namespace", {install});
    if (program.privilege == Privilege::nosuid_mount)
        return trouble(State::broken, std::move(name),
                       fmt::format("{} is on a file system mounted nosuid and cannot write the id "
                                   "maps: let it be suid, or install it on another",
                                   program.path),
                       {"sudo mount -o remount,suid " + shell_word(program.mount_point)});
    if (program.privilege == Privilege::none)
        return trouble(State::broken, std::move(name),
                       fmt::format("{} is neither setuid root nor has file capabilities, so it "
                                   "cannot write the id maps",
                                   program.path),
                       {fmt::format("sudo chown root:root {}", shell_word(program.path)),
                        fmt::format("sudo chmod u+s {}", shell_word(program.path))});
    return fine(std::move(name), program.path);
}

// usermod knows the users of /etc/passwd only; the files take any name.
std::vector<std::string> add_ranges(const Facts& facts) {
    const std::string user = shell_word(user_of(facts));
    const std::uint64_t last = facts.free_range + kUsualRange - 1;
    if (facts.local_user)
        return {fmt::format("sudo usermod --add-subuids {}-{} --add-subgids {}-{} {}",
                            facts.free_range, last, facts.free_range, last, user)};
    return {fmt::format("echo {}:{}:{} | sudo tee -a /etc/subuid /etc/subgid", user,
                        facts.free_range, kUsualRange)};
}

// The range moves behind all others; a line by number is one that usermod would not find.
std::vector<std::string> move_range(const Facts& facts, const Overlap& overlap,
                                    std::string_view file) {
    return {fmt::format("sudo sed -i -E '/^({}|{}):{}:{}$/d' {}", user_of(facts), facts.uid,
                        overlap.range.first, overlap.range.count, file),
            fmt::format("echo {}:{}:{} | sudo tee -a {}", shell_word(user_of(facts)),
                        facts.free_range, kUsualRange, file)};
}

Finding check_ranges(const Facts& facts) {
    const std::string name = "subordinate-ids";
    const std::uint64_t uids = total(facts.uids);
    const std::uint64_t gids = total(facts.gids);
    const std::string user = user_of(facts);
    if (uids == 0 || gids == 0)
        return trouble(
            State::broken, name,
            fmt::format("no subordinate ids for user {} in {}: containers need ids beside the "
                        "user's own",
                        user, uids == 0 ? "/etc/subuid" : "/etc/subgid"),
            add_ranges(facts));
    for (const auto& [overlap, file] :
         {std::pair{facts.uid_overlap, "/etc/subuid"}, {facts.gid_overlap, "/etc/subgid"}})
        if (overlap)
            return trouble(State::degraded, name,
                           fmt::format("the range of user {} in {} overlaps that of {}: containers "
                                       "of both can touch each other's files (files that exist "
                                       "keep their owners)",
                                       user, file, overlap->owner),
                           move_range(facts, *overlap, file));
    if (uids < kUsualRange || gids < kUsualRange)
        return trouble(State::degraded, name,
                       fmt::format("user {} has {} subordinate uids and {} gids, fewer than {}: "
                                   "images that use higher ids fail",
                                   user, uids, gids, kUsualRange),
                       add_ranges(facts));
    return fine(name, fmt::format("{} subordinate uids, {} gids", uids, gids));
}

Finding check_switches(const Facts& facts) {
    const std::string name = "user-namespaces";
    if (facts.unprivileged_userns_clone == 0)
        return trouble(State::broken, name,
                       "user namespaces are off for plain users "
                       "(kernel.unprivileged_userns_clone=0)",
                       set_switch("kernel.unprivileged_userns_clone", "1"));
    const std::vector<std::string> raise = set_switch("user.max_user_namespaces", "28633");
    if (facts.max_user_namespaces == 0)
        return trouble(State::broken, name, "user namespaces are off (user.max_user_namespaces=0)",
                       raise);
    if (facts.max_user_namespaces && *facts.max_user_namespaces < kFewNamespaces)
        return trouble(State::degraded, name,
                       fmt::format("only {} user namespaces are allowed "
                                   "(user.max_user_namespaces)",
                                   *facts.max_user_namespaces),
                       raise);
    return fine(name, "allowed for plain users");
}

Finding check_no_new_privileges(const Facts& facts) {
    const std::string name = "no-new-privileges";
    if (!facts.no_new_privileges) return fine(name, "not set");
    return trouble(State::broken, name,
                   "this process runs with no_new_privs, so newuidmap gains no rights: remove "
                   "NoNewPrivileges= from the service, or start outside the sandbox",
                   {"systemctl --user edit berth"});
}

Finding check_tun(const Facts& facts) {
    std::string name(kTunFinding);
    if (facts.tun_errno == 0) return fine(std::move(name), "/dev/net/tun opens");
    const std::string cause = fmt::format(
        "cannot open /dev/net/tun ({}): the container network needs it (or start with "
        "--bridge=none to do without)",
        errno_text(facts.tun_errno));
    if (facts.tun_errno == ENOENT)
        // A container's /dev, and one without udev, lacks the node even when the driver is there.
        return trouble(State::broken, std::move(name), cause,
                       {"sudo modprobe tun",
                        "[ -e /dev/net/tun ] || { sudo mkdir -p /dev/net && sudo mknod -m 0666 "
                        "/dev/net/tun c 10 200; }"});
    const bool no_driver = facts.tun_errno == ENODEV || facts.tun_errno == ENXIO;
    return trouble(State::broken, std::move(name), cause,
                   {no_driver ? "sudo modprobe tun" : "sudo chmod 0666 /dev/net/tun"});
}

Finding explain_denied(std::string_view what, int errno_value, const Facts& facts) {
    const std::string opening = fmt::format("{}: {}", what, errno_text(errno_value));
    const std::string name = "namespaces";
    if (facts.apparmor_restrict.value_or(0) != 0)
        return trouble(State::broken, name,
                       opening +
                           ": AppArmor restricts user namespaces of plain users "
                           "(kernel.apparmor_restrict_unprivileged_userns=1): give berth a profile "
                           "that allows them",
                       allow_in_apparmor(facts.uid));
    if (errno_value == ENOSPC || errno_value == EUSERS)
        return trouble(State::broken, name,
                       opening +
                           ": the limit of namespaces is reached (user.max_*_namespaces) or they "
                           "are nested too deep",
                       set_switch("user.max_user_namespaces", "28633"));
    if (errno_value == ENOSYS || errno_value == EINVAL)
        return trouble(State::broken, name,
                       opening + ": the kernel is built without user namespaces (CONFIG_USER_NS)",
                       {"grep CONFIG_USER_NS /boot/config-$(uname -r)"});
    return trouble(State::broken, name,
                   opening +
                       ": a seccomp filter or a security module forbids user namespaces (inside "
                       "another container: start that one so)",
                   {"docker run --security-opt seccomp=unconfined --security-opt "
                    "apparmor=unconfined --security-opt systempaths=unconfined --device "
                    "/dev/net/tun --device /dev/fuse IMAGE"});
}

}  // namespace

std::vector<std::string> set_switch(std::string_view name, std::string_view value) {
    const std::string setting = shell_word(fmt::format("{}={}", name, value));
    return {fmt::format("sudo sysctl -w {}", setting),
            fmt::format("echo {} | sudo tee -a /etc/sysctl.d/99-berth.conf", setting)};
}

std::vector<std::string> allow_in_apparmor(uid_t uid) {
    const std::string profile = fmt::format("/etc/apparmor.d/berth-{}", uid);
    return {"berth setup apparmor | sudo tee " + profile, "sudo apparmor_parser -r " + profile};
}

std::vector<Finding> check(const Facts& facts) {
    if (facts.host_root) return {check_user(facts)};
    return {check_user(facts),
            check_switches(facts),
            check_program(facts, facts.newuidmap, "newuidmap"),
            check_program(facts, facts.newgidmap, "newgidmap"),
            check_no_new_privileges(facts),
            check_ranges(facts),
            check_tun(facts)};
}

Finding explain(const HolderFailure& failure, const Facts& facts) {
    switch (failure.step) {
        case HolderStep::clone:
            return explain_denied("creating the user namespace", failure.errno_value, facts);
        case HolderStep::map_uids:
        case HolderStep::map_gids: {
            const bool uids = failure.step == HolderStep::map_uids;
            return trouble(State::broken, "namespaces",
                           fmt::format("{} failed: {}: compare what it knows with {}",
                                       uids ? facts.newuidmap.path : facts.newgidmap.path,
                                       failure.detail.empty() ? "it said nothing" : failure.detail,
                                       uids ? "/etc/subuid" : "/etc/subgid"),
                           {fmt::format("getsubids {}{}", uids ? "" : "-g ", user_of(facts))});
        }
        case HolderStep::mounts:
            return explain_denied("creating the mount namespace", failure.errno_value, facts);
        case HolderStep::network:
            return explain_denied("creating the network namespace", failure.errno_value, facts);
        case HolderStep::exec:
            break;
    }
    return trouble(State::broken, "namespaces",
                   fmt::format("starting the holder process: {}", errno_text(failure.errno_value)));
}

HolderPlan plan_holder(const Facts& facts) {
    return {facts.newuidmap.path, facts.newgidmap.path, make_map(facts.uid, facts.uids),
            make_map(facts.gid, facts.gids)};
}

}  // namespace berth::rootlesskit
