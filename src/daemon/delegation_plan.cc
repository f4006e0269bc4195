#include "daemon/delegation_plan.h"

#include "base/error.h"
#include "base/text.h"
#include "linux/rooted_path.h"
#include "systemd/cgroup_paths.h"

namespace berth::daemon {
namespace {

// A stable short name for a directory.
std::string short_hash(std::string_view text) {
    const std::uint64_t hash = fnv1a(text);
    return fmt::format("{:08x}", static_cast<std::uint32_t>(hash ^ (hash >> 32)));
}

std::string scope_name(const std::string& exec_root, uid_t uid) {
    if (exec_root == fmt::format("/run/user/{}/berth", uid)) return "berth-containers.scope";
    return fmt::format("berth-containers-{}.scope", short_hash(exec_root));
}

// As Docker's cgroupfs driver reads it: below the hierarchy; a whole path is taken as well.
std::string directory_of(const std::string& parent, const std::string& hierarchy) {
    return parent.starts_with(hierarchy + "/") ? parent : hierarchy + parent;
}

}  // namespace

std::string wanted_cgroup_driver(const Config& config) {
    constexpr std::string_view kKey = "native.cgroupdriver=";
    std::string wanted;
    for (const std::string& option : config.exec_opts)
        if (option.starts_with(kKey)) wanted = option.substr(kKey.size());
    return wanted;
}

bool is_cgroup_parent(const std::string& text) {
    if (text.empty() || systemd::is_slice_name(text)) return true;
    return text.starts_with('/') && text != "/" && !linux_os::climbs_out(text);
}

DelegationPlan plan_delegation(const Config& config, const CgroupPlace& place) {
    DelegationPlan plan;
    const std::string wanted = wanted_cgroup_driver(config);
    if (wanted == "none") {
        plan.driver = CgroupDriver::none;
    } else if (config.cgroup_parent.starts_with('/')) {
        plan.driver = CgroupDriver::directory;
        plan.directory = directory_of(config.cgroup_parent, place.hierarchy);
    } else if (wanted == "cgroupfs") {
        plan.driver = CgroupDriver::directory;
        plan.directory = place.hierarchy + (place.own == "/" ? "" : place.own);
    } else {
        plan.slice = config.cgroup_parent.empty() ? "berth.slice" : config.cgroup_parent;
        plan.scope = scope_name(config.exec_root, place.uid);
        plan.stopped_first = systemd::unit_of(place.own);
        if (!place.manager_writable) {
            plan.engine_scope = fmt::format("berth-engine-{}.scope", place.pid);
            plan.stopped_first = plan.engine_scope;
        }
    }
    return plan;
}

}  // namespace berth::daemon
