// What a client asks to be mounted (Binds strings, Mounts objects, Tmpfs, image volumes), parsed
// into one list of mount points. Pure: nothing is looked up on the file system.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/model/container_config.h"

namespace berth::engine::model {

enum class MountType { bind, volume, tmpfs, image };
std::string_view to_string(MountType type);

/// A mount of a container. For a volume `source` is empty until the volume is made.
struct MountPoint final {
    MountType type = MountType::bind;
    std::string name;         // volume name; empty: an anonymous one is to be made
    std::string source;       // bind: absolute path; volume: its directory
    std::string destination;  // clean and absolute
    std::string driver;       // volumes: "local"
    std::string mode;         // as given: "z", "ro", …
    bool read_write = true;
    std::string propagation;
    bool no_copy = false;
    bool anonymous = false;
    bool create_source = false;  // Binds: a missing directory is made
    bool non_recursive = false;
    bool read_only_non_recursive = false;
    bool read_only_force_recursive = false;
    Labels volume_labels;
    std::map<std::string, std::string> volume_options;
    std::string subpath;
    std::vector<std::string> tmpfs_options;
    std::string device;               // volume that binds another directory: that one
    std::string image_id, top_layer;  // image: what `source` named at create
};

/// One Binds string `[src:]dst[:opts]`. Throws Error{invalid}.
MountPoint parse_bind(const std::string& text);
/// Throws Error{invalid} with Docker's texts, which compose shows.
void check_volume_name(const std::string& name);
/// One Mounts object. Throws Error{invalid} `invalid mount config for type "bind": …`.
MountPoint parse_mount(const MountObject& mount);
/// HostConfig.Tmpfs.
MountPoint parse_tmpfs(const std::string& destination, const std::string& options);
/// All of a container's mounts in the order of their depth: Binds, Mounts, Tmpfs and the image's
/// volumes that nothing else covers. Throws Error{invalid} `Duplicate mount point: /x`.
std::vector<MountPoint> collect_mounts(const ContainerConfig& config, const HostConfig& host);

/// As inspect shows it.
nlohmann::json to_json(const MountPoint& mount);
/// As a record keeps it.
nlohmann::json to_record(const MountPoint& mount);
MountPoint mount_from_record(const nlohmann::json& value);

}  // namespace berth::engine::model
