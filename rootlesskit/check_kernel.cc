// Judges the kernel: what it has, what holds it back, and what trying it gave. Pure.
#include <fmt/ranges.h>

#include "base/error.h"
#include "rootlesskit/distribution.h"
#include "rootlesskit/host_facts.h"

namespace berth::rootlesskit {
namespace {

constexpr std::int64_t kFewInotifyInstances = 64;
constexpr std::int64_t kFewInotifyWatches = 8192;
constexpr std::int64_t kFewKeys = 100;

constexpr const char* kOuterCommand =
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt "
    "systempaths=unconfined --device /dev/net/tun --device /dev/fuse IMAGE";

// One that is not there cannot be low.
bool below(const std::optional<std::int64_t>& value, std::int64_t least) {
    return value && *value < least;
}

}  // namespace

Finding check_kernel(const HostFacts& facts) {
    const std::string name = "kernel";
    const KernelFacts& kernel = facts.kernel;
    if (kernel.missing.empty()) return fine(name, "Linux " + kernel.release);
    const std::string cause =
        fmt::format("Linux {} lacks {}", kernel.release, fmt::join(kernel.missing, ", "));
    if (facts.container.filtered)
        return trouble(State::broken, name,
                       cause + " here: a seccomp filter of an old container engine answers for it",
                       {kOuterCommand});
    return trouble(State::broken, name,
                   cause + ": 5.11 or newer is needed, so boot a newer kernel");
}

Finding check_limits(const HostFacts& facts) {
    const std::string name = "kernel-limits";
    const KernelFacts& kernel = facts.kernel;
    if (below(kernel.inotify_instances, kFewInotifyInstances))
        return trouble(State::degraded, name,
                       fmt::format("a user may have {} inotify instances only "
                                   "(user.max_inotify_instances): programs that watch files fail",
                                   *kernel.inotify_instances),
                       set_switch("user.max_inotify_instances", "1024"));
    if (below(kernel.inotify_watches, kFewInotifyWatches))
        return trouble(State::degraded, name,
                       fmt::format("a user may have {} inotify watches only "
                                   "(user.max_inotify_watches): programs that watch files fail",
                                   *kernel.inotify_watches),
                       set_switch("user.max_inotify_watches", "524288"));
    if (below(kernel.keys, kFewKeys))
        return trouble(State::degraded, name,
                       fmt::format("a user may have {} keys only (kernel.keys.maxkeys): programs "
                                   "that use keyrings fail",
                                   *kernel.keys),
                       set_switch("kernel.keys.maxkeys", "2000"));
    return fine(name, "inotify and keyrings have room");
}

Finding check_namespaces(const HostFacts& facts) {
    if (facts.probes.namespaces) return *facts.probes.namespaces;
    return fine("namespaces", "user, mount and network namespaces with id maps can be made");
}

Finding check_apparmor(const HostFacts& facts) {
    const std::string name = "apparmor";
    if (facts.start.apparmor_restrict.value_or(0) == 0)
        return fine(name, "does not restrict user namespaces");
    if (!facts.probes.namespaces)
        return fine(name, "restricts user namespaces, and a profile lets berth through");
    return trouble(State::broken, name,
                   "AppArmor restricts user namespaces of plain users "
                   "(kernel.apparmor_restrict_unprivileged_userns=1): give berth a profile that "
                   "allows them",
                   allow_in_apparmor(facts.start.uid));
}

Finding check_nested(const HostFacts& facts) {
    const std::string name = "nesting";
    const std::string where = facts.container.kind.empty()
                                  ? ""
                                  : fmt::format("inside a {} container: ", facts.container.kind);
    std::vector<std::string> lacks;
    if (!facts.probes.proc.empty())
        lacks.push_back("a fresh /proc cannot be mounted (parts of it are masked)");
    if (!facts.container.kind.empty()) {
        if (facts.probes.namespaces) lacks.push_back("no namespaces");
        if (facts.start.tun_errno != 0) lacks.push_back("no /dev/net/tun");
    }
    if (lacks.empty())
        return fine(name, where.empty() ? "not inside a container" : where + "nothing is missing");
    return trouble(State::broken, name,
                   fmt::format("{}{}: start the outer container so", where, fmt::join(lacks, ", ")),
                   {kOuterCommand});
}

Finding check_storage(const HostFacts& facts) {
    const std::string name = "storage";
    const ProbeFacts& probes = facts.probes;
    if (probes.namespaces || !facts.data.writable || facts.data.error != 0)
        return fine(name, "not tried");
    if (probes.overlay.empty()) return fine(name, "native overlay works: no layer is copied");
    const std::string reason = fmt::format("the kernel's overlay does not work on {} ({})",
                                           facts.data.filesystem.name, probes.overlay);
    if (probes.fuse_program.empty())
        return trouble(State::degraded, name,
                       reason + ", so each container copies its whole image, which takes long",
                       {install_command(facts.start.os_release, Package::fuse_overlayfs)});
    if (probes.fuse_errno != 0) {
        const bool closed = probes.fuse_errno == EACCES || probes.fuse_errno == EPERM;
        return trouble(State::degraded, name,
                       fmt::format("{}, and /dev/fuse cannot be opened ({}), so each container "
                                   "copies its whole image, which takes long",
                                   reason, errno_text(probes.fuse_errno)),
                       {closed ? "sudo chmod 0666 /dev/fuse" : "sudo modprobe fuse"});
    }
    return trouble(State::degraded, name,
                   reason +
                       ", so fuse-overlayfs is used, which is slower: keep the data directory "
                       "on ext4, xfs or btrfs, with Linux 5.11 or newer");
}

}  // namespace berth::rootlesskit
