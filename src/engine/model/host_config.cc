#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/model/container_config.h"
#include "engine/model/resources.h"

namespace berth::engine::model {

using nlohmann::json;

namespace {

template <typename Number>
Number narrow(const JsonReader& r, std::string_view key) {
    const std::int64_t value = r.integer(key);
    if (!std::in_range<Number>(value))
        throw Error(ErrorKind::invalid, "{}: {} is out of range", r.path_of(key), value);
    return static_cast<Number>(value);
}

/// Keys that the engine does not act on yet, with what inspect shows when they were not sent.
const json& passive_keys() {
    static const json kKeys = {
        {"CpuRealtimePeriod", 0},    {"CpuRealtimeRuntime", 0}, {"DeviceCgroupRules", nullptr},
        {"DeviceRequests", nullptr}, {"CpuCount", 0},           {"CpuPercent", 0},
        {"IOMaximumIOps", 0},        {"IOMaximumBandwidth", 0}, {"StorageOpt", nullptr},
        {"KernelMemory", 0},         {"KernelMemoryTCP", 0}};
    return kKeys;
}

void check_device_requests(const JsonReader& r) {
    for (const JsonReader& request : r.objects("DeviceRequests")) {
        request.string("Driver");
        request.integer("Count");
        request.strings("DeviceIDs");
        request.string_map("Options");
    }
}

/// The passive keys that were sent, with the API's spelling. Their types are checked all the same.
std::shared_ptr<const json> other_keys(const JsonReader& r) {
    check_device_requests(r);
    r.strings("DeviceCgroupRules");
    r.string_map("StorageOpt");
    for (const auto& [key, absent] : passive_keys().items())
        if (absent.is_number()) r.integer(key);
    json other = json::object();
    for (const auto& [key, ignored] : passive_keys().items()) {
        const json* sent = r.find(key);
        if (sent) other[key] = *sent;
    }
    return std::make_shared<const json>(std::move(other));
}

PortMap ports_from(const JsonReader& r) {
    PortMap ports;
    if (!r.has("PortBindings")) return ports;
    const JsonReader bindings = r.object("PortBindings");
    for (const auto& [port, ignored] : bindings.value().items()) {
        std::vector<PortBinding>& list = ports[port];
        for (const JsonReader& b : bindings.objects(port))
            list.push_back({b.string("HostIp"), b.string("HostPort")});
    }
    return ports;
}

json ports_json(const PortMap& ports) {
    json value = json::object();
    for (const auto& [port, bindings] : ports) {
        json list = json::array();
        for (const PortBinding& b : bindings)
            list.push_back({{"HostIp", b.host_ip}, {"HostPort", b.host_port}});
        value[port] = std::move(list);
    }
    return value;
}

void read_mount_options(const JsonReader& m, MountObject& mount) {
    for (const char* group : {"BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"})
        if (m.has(group)) mount.option_groups.insert(group);
    const JsonReader bind = m.object("BindOptions");
    mount.propagation = bind.string("Propagation");
    mount.non_recursive = bind.boolean("NonRecursive", false);
    mount.create_mountpoint = bind.boolean("CreateMountpoint", false);
    mount.read_only_non_recursive = bind.boolean("ReadOnlyNonRecursive", false);
    mount.read_only_force_recursive = bind.boolean("ReadOnlyForceRecursive", false);
    const JsonReader volume = m.object("VolumeOptions");
    mount.no_copy = volume.boolean("NoCopy", false);
    mount.volume_labels = volume.string_map("Labels");
    mount.volume_driver = volume.object("DriverConfig").string("Name");
    mount.volume_driver_options = volume.object("DriverConfig").string_map("Options");
    mount.subpath = volume.string("Subpath");
    if (m.has("ImageOptions")) mount.subpath = m.object("ImageOptions").string("Subpath");
    const JsonReader tmpfs = m.object("TmpfsOptions");
    mount.tmpfs_size = tmpfs.integer("SizeBytes");
    mount.tmpfs_mode = narrow<std::uint32_t>(tmpfs, "Mode");
    const json* options = tmpfs.find("Options");
    if (options == nullptr) return;
    try {
        mount.tmpfs_options = options->get<std::vector<std::vector<std::string>>>();
    } catch (const json::exception&) {
        throw Error(ErrorKind::invalid, "{}: expected a list of lists of strings",
                    tmpfs.path_of("Options"));
    }
}

std::vector<MountObject> mounts_from(const JsonReader& r) {
    std::vector<MountObject> mounts;
    for (const JsonReader& m : r.objects("Mounts")) {
        MountObject mount;
        mount.type = m.string("Type");
        mount.source = m.string("Source");
        mount.target = m.string("Target");
        mount.consistency = m.string("Consistency");
        mount.read_only = m.boolean("ReadOnly", false);
        read_mount_options(m, mount);
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

json bind_options_json(const MountObject& m) {
    json value = json::object();
    if (!m.propagation.empty()) value["Propagation"] = m.propagation;
    if (m.non_recursive) value["NonRecursive"] = true;
    if (m.create_mountpoint) value["CreateMountpoint"] = true;
    if (m.read_only_non_recursive) value["ReadOnlyNonRecursive"] = true;
    if (m.read_only_force_recursive) value["ReadOnlyForceRecursive"] = true;
    return value;
}

json volume_options_json(const MountObject& m) {
    json value = json::object();
    if (m.no_copy) value["NoCopy"] = true;
    if (!m.volume_labels.empty()) value["Labels"] = m.volume_labels;
    if (!m.subpath.empty()) value["Subpath"] = m.subpath;
    if (!m.volume_driver.empty() || !m.volume_driver_options.empty())
        value["DriverConfig"] = {{"Name", m.volume_driver}, {"Options", m.volume_driver_options}};
    return value;
}

json tmpfs_options_json(const MountObject& m) {
    json value = json::object();
    if (m.tmpfs_size != 0) value["SizeBytes"] = m.tmpfs_size;
    if (m.tmpfs_mode != 0) value["Mode"] = m.tmpfs_mode;
    if (!m.tmpfs_options.empty()) value["Options"] = m.tmpfs_options;
    return value;
}

json mount_json(const MountObject& m) {
    json value = {{"Type", m.type}, {"Target", m.target}};
    if (!m.source.empty()) value["Source"] = m.source;
    if (m.read_only) value["ReadOnly"] = true;
    if (!m.consistency.empty()) value["Consistency"] = m.consistency;
    if (m.option_groups.contains("BindOptions")) value["BindOptions"] = bind_options_json(m);
    if (m.option_groups.contains("VolumeOptions")) value["VolumeOptions"] = volume_options_json(m);
    if (m.option_groups.contains("TmpfsOptions")) value["TmpfsOptions"] = tmpfs_options_json(m);
    if (m.option_groups.contains("ImageOptions"))
        value["ImageOptions"] = json{{"Subpath", m.subpath}};
    return value;
}

void read_devices(const JsonReader& r, HostConfig& h) {
    for (const JsonReader& d : r.objects("Devices")) {
        Device device{d.string("PathOnHost"), d.string("PathInContainer"),
                      d.string("CgroupPermissions", "rwm")};
        if (device.path_in_container.empty()) device.path_in_container = device.path_on_host;
        h.devices.push_back(std::move(device));
    }
    for (const JsonReader& u : r.objects("Ulimits"))
        h.ulimits.push_back({to_lower(u.string("Name")), u.integer("Soft"), u.integer("Hard")});
}

void read_console_size(const JsonReader& r, HostConfig& h) {
    if (const auto size = r.number_pair("ConsoleSize")) h.console_size = *size;
}

void read_lists(const JsonReader& r, HostConfig& h) {
    h.binds = r.strings("Binds");
    h.tmpfs = r.string_map("Tmpfs");
    h.volumes_from = r.strings("VolumesFrom");
    h.annotations = r.string_map("Annotations");
    h.cap_add = r.string_or_strings("CapAdd");
    h.cap_drop = r.string_or_strings("CapDrop");
    h.dns = r.strings("Dns");
    h.dns_options = r.strings("DnsOptions");
    h.dns_search = r.strings("DnsSearch");
    h.extra_hosts = r.strings("ExtraHosts");
    h.group_add = r.strings("GroupAdd");
    h.links = r.strings("Links");
    h.security_opt = r.strings("SecurityOpt");
    h.sysctls = r.string_map("Sysctls");
    if (r.has("MaskedPaths")) h.masked_paths = r.strings("MaskedPaths");
    if (r.has("ReadonlyPaths")) h.readonly_paths = r.strings("ReadonlyPaths");
}

json nullable(const std::vector<std::string>& list) { return list.empty() ? json() : json(list); }

json devices_json(const std::vector<Device>& devices) {
    json list = json::array();
    for (const Device& d : devices)
        list.push_back({{"PathOnHost", d.path_on_host},
                        {"PathInContainer", d.path_in_container},
                        {"CgroupPermissions", d.permissions}});
    return list;
}

json ulimits_json(const std::vector<Ulimit>& ulimits) {
    json list = json::array();
    for (const Ulimit& u : ulimits)
        list.push_back({{"Name", u.name}, {"Soft", u.soft}, {"Hard", u.hard}});
    return list;
}

void add_modes(const HostConfig& h, json& value) {
    value["NetworkMode"] = h.network_mode;
    value["IpcMode"] = h.ipc_mode;
    value["PidMode"] = h.pid_mode;
    value["UTSMode"] = h.uts_mode;
    value["UsernsMode"] = h.userns_mode;
    value["CgroupnsMode"] = h.cgroupns_mode;
    value["Cgroup"] = h.cgroup;
    value["Isolation"] = h.isolation;
    value["Runtime"] = h.runtime;
    value["Privileged"] = h.privileged;
    value["ReadonlyRootfs"] = h.readonly_rootfs;
    value["AutoRemove"] = h.auto_remove;
    value["PublishAllPorts"] = h.publish_all_ports;
    value["OomScoreAdj"] = h.oom_score_adj;
    value["ShmSize"] = h.shm_size;
    value["VolumeDriver"] = h.volume_driver;
    value["ContainerIDFile"] = h.container_id_file;
}

void add_lists(const HostConfig& h, json& value) {
    value["Binds"] = nullable(h.binds);
    value["VolumesFrom"] = nullable(h.volumes_from);
    value["CapAdd"] = nullable(h.cap_add);
    value["CapDrop"] = nullable(h.cap_drop);
    value["Dns"] = h.dns;
    value["DnsOptions"] = h.dns_options;
    value["DnsSearch"] = h.dns_search;
    value["ExtraHosts"] = nullable(h.extra_hosts);
    value["GroupAdd"] = nullable(h.group_add);
    value["Links"] = nullable(h.links);
    value["SecurityOpt"] = nullable(h.security_opt);
    value["Devices"] = devices_json(h.devices);
    value["Ulimits"] = h.ulimits.empty() ? json() : ulimits_json(h.ulimits);
    value["MaskedPaths"] = h.masked_paths ? json(*h.masked_paths) : json();
    value["ReadonlyPaths"] = h.readonly_paths ? json(*h.readonly_paths) : json();
    if (!h.tmpfs.empty()) value["Tmpfs"] = h.tmpfs;
    if (!h.sysctls.empty()) value["Sysctls"] = h.sysctls;
    if (!h.annotations.empty()) value["Annotations"] = h.annotations;
    if (h.mounts.empty()) return;
    json mounts = json::array();
    for (const MountObject& m : h.mounts) mounts.push_back(mount_json(m));
    value["Mounts"] = std::move(mounts);
}

}  // namespace

HostConfig host_config_from(const json& value) {
    static const json kEmpty = json::object();
    const JsonReader r(value.is_null() ? kEmpty : value, "HostConfig", KeyCase::any);
    HostConfig h;
    read_lists(r, h);
    read_devices(r, h);
    read_console_size(r, h);
    h.mounts = mounts_from(r);
    h.volume_driver = r.string("VolumeDriver");
    h.container_id_file = r.string("ContainerIDFile");
    h.log_config = {r.object("LogConfig").string("Type"),
                    r.object("LogConfig").string_map("Config")};
    h.network_mode = r.string("NetworkMode");
    h.port_bindings = ports_from(r);
    h.publish_all_ports = r.boolean("PublishAllPorts", false);
    const JsonReader policy = r.object("RestartPolicy");
    h.restart_policy = {policy.string("Name"), narrow<int>(policy, "MaximumRetryCount")};
    h.auto_remove = r.boolean("AutoRemove", false);
    h.cgroupns_mode = r.string("CgroupnsMode");
    h.ipc_mode = r.string("IpcMode");
    h.pid_mode = r.string("PidMode");
    h.uts_mode = r.string("UTSMode");
    h.userns_mode = r.string("UsernsMode");
    h.cgroup = r.string("Cgroup");
    h.oom_score_adj = narrow<int>(r, "OomScoreAdj");
    h.privileged = r.boolean("Privileged", false);
    h.readonly_rootfs = r.boolean("ReadonlyRootfs", false);
    h.shm_size = r.integer("ShmSize");
    h.runtime = r.string("Runtime");
    h.isolation = r.string("Isolation");
    h.init = r.optional_boolean("Init");
    h.resources = resources_from(r);
    h.other = other_keys(r);
    return h;
}

json to_json(const HostConfig& h) {
    json value = passive_keys();
    // Docker shows these only when they were sent.
    for (const char* key : {"StorageOpt", "KernelMemory", "KernelMemoryTCP"}) value.erase(key);
    if (h.other) value.update(*h.other);
    add_resources(h.resources, value);
    add_modes(h, value);
    add_lists(h, value);
    value["LogConfig"] = {{"Type", h.log_config.type}, {"Config", h.log_config.options}};
    value["PortBindings"] = ports_json(h.port_bindings);
    value["RestartPolicy"] = {{"Name", h.restart_policy.name},
                              {"MaximumRetryCount", h.restart_policy.maximum_retry_count}};
    value["ConsoleSize"] = json::array({h.console_size.first, h.console_size.second});
    if (h.init) value["Init"] = *h.init;
    return value;
}

}  // namespace berth::engine::model
