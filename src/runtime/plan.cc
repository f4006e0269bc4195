#include "runtime/plan.h"

#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "linux/namespaces.h"
#include "linux/rooted_path.h"
#include "oci/defaults.h"

namespace berth::runtime {
namespace {

using linux_os::Depth;

// MS_* of <sys/mount.h>, which clashes with <linux/mount.h> on glibc 2.36.
constexpr std::uint64_t kPrivate = 1U << 18;
constexpr std::uint64_t kSlave = 1U << 19;
constexpr std::uint64_t kShared = 1U << 20;
constexpr std::uint64_t kUnbindable = 1U << 17;

struct AttributeWord final {
    std::string_view word;
    std::uint64_t set;
    std::uint64_t clear;
};
constexpr AttributeWord kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct PropagationWord final {
    std::string_view word;
    std::uint64_t flag;
};
constexpr PropagationWord kPropagations[] = {
    {"private", kPrivate}, {"slave", kSlave}, {"shared", kShared}, {"unbindable", kUnbindable}};

// Words that change nothing here: defaults, labels for SELinux, hints of other runtimes.
constexpr std::string_view kIgnored[] = {"defaults", "async", "norelatime", "atime",     "loud",
                                         "silent",   "z",     "Z",          "tmpcopyup", "nomand"};

const AttributeWord* find_attribute(std::string_view word) {
    for (const AttributeWord& entry : kAttributes)
        if (entry.word == word) return &entry;
    return nullptr;
}

void apply(linux_os::MountChange& change, const AttributeWord& word) {
    change.set = (change.set & ~word.clear) | word.set;
    change.clear = (change.clear & ~word.set) | word.clear;
}

bool take_propagation(MountStep& step, std::string_view word) {
    Depth depth = Depth::single;
    for (int attempt = 0; attempt < 2; ++attempt) {
        for (const PropagationWord& entry : kPropagations)
            if (entry.word == word) {
                step.own.propagation = entry.flag;
                step.propagation_depth = depth;
                return true;
            }
        if (!word.starts_with('r')) return false;
        word.remove_prefix(1);
        depth = Depth::recursive;
    }
    return false;
}

bool take_attribute(MountStep& step, std::string_view word) {
    if (const AttributeWord* entry = find_attribute(word)) {
        apply(step.own, *entry);
        return true;
    }
    if (word.starts_with('r'))
        if (const AttributeWord* entry = find_attribute(word.substr(1))) {
            apply(step.recursive, *entry);
            return true;
        }
    return false;
}

void take_option(MountStep& step, const std::string& option) {
    if (option == "bind" || option == "rbind") {
        step.kind = MountKind::bind;
        step.depth = option == "rbind" ? Depth::recursive : Depth::single;
        return;
    }
    if (option == "idmap" || option == "ridmap")
        throw Error(ErrorKind::unsupported, "mount {}: id-mapped mounts are not supported",
                    step.target);
    if (std::find(std::begin(kIgnored), std::end(kIgnored), option) != std::end(kIgnored)) return;
    if (take_attribute(step, option) || take_propagation(step, option)) return;
    const auto equals = option.find('=');
    if (equals == std::string::npos)
        step.options.emplace_back(option, std::nullopt);
    else
        step.options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
}

/// CVE-2019-16884: something mounted on /proc would let labels and sysctls go to a fake file.
/// Only the files that lxcfs emulates may be covered.
void check_proc_target(const MountStep& step) {
    static constexpr std::array<std::string_view, 8> kAllowed = {
        "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
        "/proc/swaps",   "/proc/uptime",    "/proc/loadavg", "/proc/slabinfo"};
    if (!linux_os::is_below(step.target, "/proc")) return;
    if (step.target == "/proc") {
        const bool is_proc = step.type == "proc" && step.kind == MountKind::filesystem;
        const bool is_host_proc = step.kind == MountKind::bind && step.source == "/proc";
        if (is_proc || is_host_proc) return;
    } else if (std::find(kAllowed.begin(), kAllowed.end(), step.target) != kAllowed.end()) {
        return;
    }
    throw Error(ErrorKind::invalid, "mount {}: nothing may be mounted inside /proc", step.target);
}

std::vector<NamespaceJoin> ordered_joins(std::vector<NamespaceJoin> joins) {
    const auto rank = [](const NamespaceJoin& join) {
        return join.type == "user" ? 0 : join.type == "mount" ? 2 : 1;
    };
    std::stable_sort(joins.begin(), joins.end(),
                     [&rank](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return joins;
}

std::uint64_t propagation_of(const std::string& word) {
    if (word.empty()) return 0;
    MountStep step;
    if (!take_propagation(step, word))
        throw Error(ErrorKind::invalid, "linux.rootfsPropagation: unknown word \"{}\"", word);
    return step.own.propagation;
}

void add_devices(Plan& plan, const oci::Spec& spec) {
    plan.devices = oci::default_devices();
    for (const oci::Device& device : spec.linux_part.devices) {
        std::erase_if(plan.devices,
                      [&device](const oci::Device& other) { return other.path == device.path; });
        plan.devices.push_back(device);
    }
}

}  // namespace

bool Plan::joins_type(std::string_view type) const {
    return std::any_of(joins.begin(), joins.end(),
                       [type](const NamespaceJoin& join) { return join.type == type; });
}

MountStep plan_mount(const oci::Mount& mount) {
    MountStep step;
    step.target = linux_os::clean_path(mount.destination);
    step.type = mount.type;
    step.source = mount.source;
    if (mount.type == "bind") {
        step.kind = MountKind::bind;
        step.depth = Depth::recursive;
    }
    if (mount.type == "cgroup" || mount.type == "cgroup2") step.kind = MountKind::cgroup;
    if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty())
        throw Error(ErrorKind::unsupported, "mount {}: id-mapped mounts are not supported",
                    step.target);
    for (const std::string& option : mount.options) take_option(step, option);
    if (step.target == "/")
        throw Error(ErrorKind::invalid, "mount {}: the root cannot be covered", mount.destination);
    if (step.kind == MountKind::bind && step.source.empty())
        throw Error(ErrorKind::invalid, "mount {}: a bind mount needs a source", step.target);
    if (step.kind == MountKind::filesystem && step.type.empty())
        throw Error(ErrorKind::invalid, "mount {}: a type is needed", step.target);
    check_proc_target(step);
    return step;
}

Plan make_plan(const oci::Spec& spec) {
    Plan plan;
    for (const oci::Namespace& entry : spec.linux_part.namespaces) {
        const std::uint64_t flag = linux_os::namespace_flag(entry.type);
        if (entry.path.empty())
            plan.new_namespaces |= flag;
        else
            plan.joins.push_back({entry.type, flag, entry.path});
    }
    plan.joins = ordered_joins(std::move(plan.joins));
    for (const oci::Mount& mount : spec.mounts) plan.mounts.push_back(plan_mount(mount));
    for (const MountStep& step : plan.mounts)
        if (step.target == "/dev" && step.kind == MountKind::bind) plan.makes_devices = false;
    add_devices(plan, spec);
    plan.root_propagation = propagation_of(spec.linux_part.rootfs_propagation);
    if (spec.process && !spec.process->apparmor_profile.empty())
        throw Error(ErrorKind::unsupported, "process.apparmorProfile: AppArmor is not supported");
    if (spec.process && !spec.process->selinux_label.empty())
        throw Error(ErrorKind::unsupported, "process.selinuxLabel: SELinux is not supported");
    return plan;
}

}  // namespace berth::runtime
