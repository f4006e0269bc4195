#include "engine/containers/cgroup.h"

#include <unistd.h>

#include "base/error.h"
#include "engine/containers/slice_scope.h"
#include "linux/cgroup.h"
#include "linux/rooted_path.h"

namespace berth::engine {

namespace {

/// True for a directory whose cgroups this user may make: one that was delegated by chown.
bool is_delegated(const std::string& directory) {
    return ::access((directory + "/cgroup.procs").c_str(), W_OK) == 0;
}

/// The directory that a --cgroup-parent names: one that somebody delegated to this user, else one
/// of that name in the engine's own delegation.
std::string directory_of_parent(const std::string& parent, const Settings& settings) {
    if (linux_os::climbs_out(parent))
        throw Error(ErrorKind::invalid, "invalid cgroup-parent \"{}\": it climbs out", parent);
    const std::string& own = settings.cgroup.directory;
    const std::string clean = linux_os::clean_path(parent);
    if (const auto root = linux_os::Cgroup::hierarchy(); root && parent.starts_with('/'))
        for (const std::string& place : {clean, *root + clean}) {
            if (linux_os::is_below(place, own)) return place;
            if (clean != "/" && linux_os::is_below(place, *root) && is_delegated(place))
                return place;
        }
    return clean == "/" ? own : own + clean;
}

}  // namespace

std::string cgroup_of(const model::ContainerRecord& record) { return record.state.cgroup; }

std::string choose_cgroup(const model::ContainerRecord& record, const Settings& settings) {
    if (settings.cgroup.directory.empty()) return "";
    if (const std::string slice = slice_of(record, settings); !slice.empty())
        return cgroup_in_slice(slice, record.id, settings.cgroup);
    const std::string& parent = record.host_config.resources.cgroup_parent;
    if (parent.empty()) return settings.cgroup.directory + "/" + record.id;
    const std::string directory = directory_of_parent(parent, settings);
    // A cgroup with processes of its own cannot pass controllers on.
    if (!settings.cgroup.support.empty() && linux_os::is_below(directory, settings.cgroup.support))
        throw Error(ErrorKind::invalid,
                    "invalid cgroup-parent \"{}\": the engine's own processes "
                    "are there",
                    parent);
    return directory + "/" + record.id;
}

std::string path_in_hierarchy(const std::string& directory) {
    const std::string root = linux_os::Cgroup::hierarchy().value_or("");
    return linux_os::is_below(directory, root) ? directory.substr(root.size()) : directory;
}

void remove_cgroup(const std::string& directory, const CgroupDelegation& delegation) {
    if (directory.empty()) return;
    if (const auto cgroup = linux_os::Cgroup::open(directory)) cgroup->remove();
    if (!linux_os::is_below(directory, delegation.directory)) return;
    std::string parent = directory.substr(0, directory.rfind('/'));
    // Until one is in use.
    while (parent.size() > delegation.directory.size() && ::rmdir(parent.c_str()) == 0)
        parent.resize(parent.rfind('/'));
}

}  // namespace berth::engine
