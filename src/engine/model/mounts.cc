#include "engine/model/mounts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "engine/model/tmpfs_options.h"
#include "linux/rooted_path.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    while (true) {
        const std::size_t to = text.find(separator, from);
        parts.push_back(text.substr(from, to - from));
        if (to == std::string::npos) return parts;
        from = to + 1;
    }
}

Error bad_spec(const std::string& text) {
    return Error(ErrorKind::invalid, "invalid volume specification: '{}'", text);
}

std::string container_path(const std::string& text, const std::string& whole) {
    if (text.empty() || text.front() != '/')
        throw Error(ErrorKind::invalid,
                    "invalid volume specification: '{}': invalid mount path: '{}' mount path must "
                    "be absolute",
                    whole, text);
    std::string clean = linux_os::clean_path(text);
    if (clean == "/")
        throw Error(ErrorKind::invalid,
                    "invalid volume specification: '{}': invalid specification: destination can't "
                    "be '/'",
                    whole);
    return clean;
}

bool is_propagation(const std::string& word) {
    static const std::set<std::string> kWords = {"private",  "shared",  "slave",
                                                 "rprivate", "rshared", "rslave"};
    return kWords.contains(word);
}

/// Reads the options of a Binds string; each group may be named once.
void read_bind_options(const std::string& options, MountPoint& mount) {
    std::set<std::string> groups;
    for (const std::string& word : split(options, ',')) {
        std::string group;
        if (word == "ro" || word == "rw") {
            group = "rw";
            mount.read_write = word == "rw";
        } else if (word == "z" || word == "Z") {
            group = "label";
        } else if (is_propagation(word)) {
            group = "propagation";
            mount.propagation = word;
        } else if (word == "nocopy") {
            group = "copy";
            mount.no_copy = true;
        } else if (word == "consistent" || word == "cached" || word == "delegated") {
            group = "consistency";
        } else {
            throw Error(ErrorKind::invalid, "invalid mode: {}", options);
        }
        if (!groups.insert(group).second)
            throw Error(ErrorKind::invalid, "invalid mode: {}", options);
    }
    mount.mode = options;
}

Error bad_mount(const MountObject& mount, const std::string& why) {
    return Error(ErrorKind::invalid, "invalid mount config for type \"{}\": {}", mount.type, why);
}

void check_option_groups(const MountObject& mount) {
    const std::string own = mount.type == "bind"     ? "BindOptions"
                            : mount.type == "volume" ? "VolumeOptions"
                            : mount.type == "tmpfs"  ? "TmpfsOptions"
                                                     : "ImageOptions";
    for (const std::string& group : mount.option_groups)
        if (group != own)
            throw Error(ErrorKind::invalid, "{} must not be specified on mount type \"{}\"", group,
                        mount.type);
}

void read_bind_mount(const MountObject& mount, MountPoint& point) {
    if (mount.source.empty()) throw bad_mount(mount, "field Source must not be empty");
    if (mount.source.front() != '/')
        throw bad_mount(mount,
                        "invalid mount path: '" + mount.source + "' mount path must be absolute");
    if (!mount.propagation.empty() && !is_propagation(mount.propagation))
        throw bad_mount(mount, "invalid propagation mode: " + mount.propagation);
    point.type = MountType::bind;
    point.source = linux_os::clean_path(mount.source);
    point.propagation = mount.propagation.empty() ? "rprivate" : mount.propagation;
    point.create_source = mount.create_mountpoint;
    if (mount.read_only_non_recursive && mount.read_only_force_recursive)
        throw bad_mount(mount,
                        "mount options conflict: ReadOnlyNonRecursive and ReadOnlyForceRecursive");
    if ((mount.read_only_non_recursive || mount.read_only_force_recursive) && !mount.read_only)
        throw bad_mount(mount,
                        "mount options conflict: ReadOnlyNonRecursive and "
                        "ReadOnlyForceRecursive need ReadOnly");
    point.non_recursive = mount.non_recursive;
    point.read_only_non_recursive = mount.read_only_non_recursive;
    point.read_only_force_recursive = mount.read_only_force_recursive;
}

void check_subpath(const MountObject& mount, const char* where) {
    const std::vector<std::string> parts = split(mount.subpath, '/');
    if (mount.subpath.starts_with('/') || std::ranges::find(parts, "..") != parts.end())
        throw bad_mount(mount, fmt::format("subpath must be a relative path within the {}", where));
}

void read_volume_mount(const MountObject& mount, MountPoint& point) {
    if (!mount.source.empty()) check_volume_name(mount.source);
    if (mount.source.empty() && !mount.subpath.empty())
        throw bad_mount(mount, "must not set Subpath when using anonymous volumes");
    check_subpath(mount, "volume");
    point.type = MountType::volume;
    point.name = mount.source;
    point.anonymous = mount.source.empty();
    point.driver = mount.volume_driver.empty() ? "local" : mount.volume_driver;
    point.no_copy = mount.no_copy;
    point.volume_labels = mount.volume_labels;
    point.volume_options = mount.volume_driver_options;
    point.subpath = mount.subpath;
    point.mode = "z";
}

void read_tmpfs_mount(const MountObject& mount, MountPoint& point) {
    if (!mount.source.empty()) throw bad_mount(mount, "field Source must not be specified");
    point.type = MountType::tmpfs;
    point.tmpfs_options = {"nosuid", "nodev"};
    bool exec = false;
    for (const auto& option : mount.tmpfs_options) {
        if (option.size() == 1 && option[0] == "exec") {
            exec = true;
        } else if (option.size() == 1 && option[0] == "noexec") {
            exec = false;
        } else {
            throw bad_mount(mount, "invalid option: " + (option.empty() ? "" : option[0]));
        }
    }
    if (!exec) point.tmpfs_options.emplace_back("noexec");
    if (mount.tmpfs_size > 0)
        point.tmpfs_options.push_back(fmt::format("size={}", mount.tmpfs_size));
    if (mount.tmpfs_mode > 07777) throw bad_mount(mount, "invalid mode");
    if (mount.tmpfs_size < 0) throw bad_mount(mount, "invalid size");
    if (mount.tmpfs_mode > 0)
        point.tmpfs_options.push_back(fmt::format("mode={:o}", mount.tmpfs_mode));
}

void read_image_mount(const MountObject& mount, MountPoint& point) {
    if (mount.source.empty()) throw bad_mount(mount, "field Source must not be empty");
    check_subpath(mount, "image");
    point.type = MountType::image;
    point.source = mount.source;
    point.subpath = mount.subpath;
    point.read_write = false;
}

/// Adds `mount` unless its destination is taken.
void add_unique(std::vector<MountPoint>& mounts, MountPoint mount) {
    for (const MountPoint& other : mounts)
        if (other.destination == mount.destination)
            throw Error(ErrorKind::invalid, "Duplicate mount point: {}", mount.destination);
    mounts.push_back(std::move(mount));
}

long depth(const MountPoint& mount) { return std::ranges::count(mount.destination, '/'); }

}  // namespace

std::string_view to_string(MountType type) {
    switch (type) {
        case MountType::bind:
            return "bind";
        case MountType::volume:
            return "volume";
        case MountType::tmpfs:
            return "tmpfs";
        case MountType::image:
            break;
    }
    return "image";
}

void check_volume_name(const std::string& name) {
    if (name.size() < 2)
        throw Error(ErrorKind::invalid,
                    "create {}: volume name is too short, names should be at least two "
                    "alphanumeric characters",
                    name);
    if (!Name::is_valid(name))
        throw Error(ErrorKind::invalid,
                    "create {0}: \"{0}\" includes invalid characters for a local volume name, only "
                    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                    "directory, use absolute path",
                    name);
}

MountPoint parse_bind(const std::string& text) {
    const std::vector<std::string> parts = split(text, ':');
    if (parts.size() > 3 || std::ranges::any_of(parts, &std::string::empty)) throw bad_spec(text);
    MountPoint mount;
    mount.destination = container_path(parts.size() == 1 ? parts[0] : parts[1], text);
    if (parts.size() == 3) read_bind_options(parts[2], mount);
    if (parts.size() > 1 && parts[0].front() == '/') {
        mount.source = linux_os::clean_path(parts[0]);
        mount.create_source = true;
        if (mount.propagation.empty()) mount.propagation = "rprivate";
        if (mount.no_copy) throw Error(ErrorKind::invalid, "invalid mode: {}", parts[2]);
        return mount;
    }
    mount.type = MountType::volume;
    mount.driver = "local";
    if (parts.size() == 1) {
        mount.anonymous = true;
        return mount;
    }
    check_volume_name(parts[0]);
    mount.name = parts[0];
    if (mount.mode.empty()) mount.mode = "z";
    return mount;
}

MountPoint parse_mount(const MountObject& mount) {
    static const std::set<std::string> kTypes = {"bind", "volume", "tmpfs", "image"};
    if (!kTypes.contains(mount.type))
        throw Error(ErrorKind::invalid, "invalid mount config for type \"{}\": mount type unknown",
                    mount.type);
    check_option_groups(mount);
    if (mount.target.empty()) throw bad_mount(mount, "field Target must not be empty");
    if (mount.target.front() != '/')
        throw bad_mount(mount,
                        "invalid mount path: '" + mount.target + "' mount path must be absolute");
    MountPoint point;
    point.destination = linux_os::clean_path(mount.target);
    if (point.destination == "/")
        throw bad_mount(mount, "invalid specification: destination can't be '/'");
    point.read_write = !mount.read_only;
    if (mount.type == "bind") read_bind_mount(mount, point);
    if (mount.type == "volume") read_volume_mount(mount, point);
    if (mount.type == "tmpfs") read_tmpfs_mount(mount, point);
    if (mount.type == "image") read_image_mount(mount, point);
    return point;
}

MountPoint parse_tmpfs(const std::string& destination, const std::string& options) {
    MountPoint point;
    point.type = MountType::tmpfs;
    point.destination = container_path(destination, destination);
    std::vector<std::string> words;
    if (!options.empty()) words = split(options, ',');
    check_tmpfs_options(words);
    const auto has = [&](std::string_view word) {
        return std::ranges::find(words, word) != words.end();
    };
    if (!has("exec")) point.tmpfs_options.emplace_back("noexec");
    if (!has("suid")) point.tmpfs_options.emplace_back("nosuid");
    if (!has("dev")) point.tmpfs_options.emplace_back("nodev");
    for (const std::string& word : words)
        if (!word.empty() &&
            std::ranges::find(point.tmpfs_options, word) == point.tmpfs_options.end())
            point.tmpfs_options.push_back(word);
    return point;
}

std::vector<MountPoint> collect_mounts(const ContainerConfig& config, const HostConfig& host) {
    std::vector<MountPoint> mounts;
    for (const std::string& bind : host.binds) add_unique(mounts, parse_bind(bind));
    for (const MountObject& mount : host.mounts) add_unique(mounts, parse_mount(mount));
    for (const auto& [destination, options] : host.tmpfs)
        add_unique(mounts, parse_tmpfs(destination, options));
    for (const std::string& volume : config.volumes) {
        MountPoint point = parse_bind(volume);
        const bool covered = std::ranges::any_of(mounts, [&](const MountPoint& other) {
            return other.destination == point.destination;
        });
        if (!covered) mounts.push_back(std::move(point));
    }
    std::ranges::stable_sort(mounts, {}, depth);
    return mounts;
}

json to_json(const MountPoint& m) {
    json value = {{"Type", to_string(m.type)},    {"Source", m.source},
                  {"Destination", m.destination}, {"Mode", m.mode},
                  {"RW", m.read_write},           {"Propagation", m.propagation}};
    if (m.type != MountType::volume) return value;
    value["Name"] = m.name;
    value["Driver"] = m.driver;
    return value;
}

json to_record(const MountPoint& m) {
    return {{"type", to_string(m.type)},
            {"name", m.name},
            {"source", m.source},
            {"destination", m.destination},
            {"driver", m.driver},
            {"mode", m.mode},
            {"rw", m.read_write},
            {"propagation", m.propagation},
            {"no_copy", m.no_copy},
            {"anonymous", m.anonymous},
            {"create_source", m.create_source},
            {"non_recursive", m.non_recursive},
            {"ro_non_recursive", m.read_only_non_recursive},
            {"ro_force_recursive", m.read_only_force_recursive},
            {"subpath", m.subpath},
            {"device", m.device},
            {"image_id", m.image_id},
            {"top_layer", m.top_layer},
            {"tmpfs", m.tmpfs_options}};
}

MountPoint mount_from_record(const json& value) {
    const JsonReader r(value, "mounts");
    MountPoint m;
    const std::string type = r.string("type");
    m.type = type == "volume"  ? MountType::volume
             : type == "tmpfs" ? MountType::tmpfs
             : type == "image" ? MountType::image
                               : MountType::bind;
    m.name = r.string("name");
    m.source = r.string("source");
    m.destination = r.string("destination");
    m.driver = r.string("driver");
    m.mode = r.string("mode");
    m.read_write = r.boolean("rw", true);
    m.propagation = r.string("propagation");
    m.no_copy = r.boolean("no_copy", false);
    m.anonymous = r.boolean("anonymous", false);
    m.create_source = r.boolean("create_source", false);
    m.non_recursive = r.boolean("non_recursive", false);
    m.read_only_non_recursive = r.boolean("ro_non_recursive", false);
    m.read_only_force_recursive = r.boolean("ro_force_recursive", false);
    m.subpath = r.string("subpath");
    m.device = r.string("device");
    m.image_id = r.string("image_id");
    m.top_layer = r.string("top_layer");
    m.tmpfs_options = r.strings("tmpfs");
    return m;
}

}  // namespace berth::engine::model
