// What a Spec asks of the kernel, as an ordered list of steps. Pure: no system call happens here,
// so that every rule about mount options and namespaces is unit tested.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "linux/mount_api.h"
#include "oci/runtime_spec.h"

namespace berth::runtime {

enum class MountKind { bind, filesystem, cgroup };

struct MountStep final {
    MountKind kind = MountKind::filesystem;
    std::string target;  // clean and absolute, below the container's root
    std::string type;
    std::string source;
    linux_os::Depth depth = linux_os::Depth::single;  // bind or rbind
    std::vector<linux_os::FsOption> options;
    linux_os::MountChange own;        // attributes of the mount itself, and its propagation
    linux_os::MountChange recursive;  // "rro" and the like, for the whole tree
    linux_os::Depth propagation_depth = linux_os::Depth::single;
};

struct NamespaceJoin final {
    std::string type;
    std::uint64_t flag = 0;
    std::string path;
};

struct Plan final {
    std::uint64_t new_namespaces = 0;  // CLONE_NEW*
    std::vector<NamespaceJoin> joins;  // the user namespace first, the mount namespace last
    std::vector<MountStep> mounts;
    /// /dev comes from the container (not a bind of the host's): nodes and links are made in it.
    bool makes_devices = true;
    std::vector<oci::Device> devices;  // Docker's six and those of the specification
    std::uint64_t root_propagation = 0;
    bool own_cgroup = false;  // set by create, once there is one

    bool creates(std::uint64_t flag) const { return (new_namespaces & flag) != 0; }
    bool joins_type(std::string_view type) const;
};

/// Throws Error{invalid} or Error{unsupported} naming the mount or the field.
Plan make_plan(const oci::Spec& spec);
MountStep plan_mount(const oci::Mount& mount);

}  // namespace berth::runtime
