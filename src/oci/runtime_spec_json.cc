#include <nlohmann/json.hpp>

#include "oci/runtime_spec.h"

namespace berth::oci {
namespace {

using nlohmann::json;

template <typename Value>
void put(json& object, const char* key, const std::optional<Value>& value) {
    if (value) object[key] = *value;
}
void put(json& object, const char* key, const std::string& value) {
    if (!value.empty()) object[key] = value;
}
void put(json& object, const char* key, json value) {
    if (!value.empty()) object[key] = std::move(value);
}

json user_json(const User& user) {
    json object{{"uid", user.uid}, {"gid", user.gid}};
    if (!user.additional_gids.empty()) object["additionalGids"] = user.additional_gids;
    put(object, "umask", user.umask);
    return object;
}

json mappings_json(const std::vector<IdMapping>& mappings) {
    json list = json::array();
    for (const IdMapping& entry : mappings)
        list.push_back(
            {{"containerID", entry.container_id}, {"hostID", entry.host_id}, {"size", entry.size}});
    return list;
}

json mount_json(const Mount& mount) {
    json object{{"destination", mount.destination}};
    put(object, "type", mount.type);
    put(object, "source", mount.source);
    put(object, "options", json(mount.options));
    put(object, "uidMappings", mappings_json(mount.uid_mappings));
    put(object, "gidMappings", mappings_json(mount.gid_mappings));
    return object;
}

json device_json(const Device& device) {
    json object{{"path", device.path},
                {"type", device.type},
                {"major", device.major},
                {"minor", device.minor}};
    put(object, "fileMode", device.file_mode);
    put(object, "uid", device.uid);
    put(object, "gid", device.gid);
    return object;
}

json hooks_json(const std::vector<Hook>& hooks) {
    json list = json::array();
    for (const Hook& hook : hooks) {
        json object{{"path", hook.path}};
        put(object, "args", json(hook.args));
        put(object, "env", json(hook.env));
        put(object, "timeout", hook.timeout);
        list.push_back(std::move(object));
    }
    return list;
}

json rates_json(const std::vector<DeviceRate>& rates, const char* key) {
    json list = json::array();
    for (const DeviceRate& entry : rates)
        list.push_back({{"major", entry.major}, {"minor", entry.minor}, {key, entry.rate}});
    return list;
}

json block_io_json(const Resources& resources) {
    json object = json::object();
    put(object, "weight", resources.blkio_weight);
    put(object, "weightDevice", rates_json(resources.weight_devices, "weight"));
    put(object, "throttleReadBpsDevice", rates_json(resources.read_bps, "rate"));
    put(object, "throttleWriteBpsDevice", rates_json(resources.write_bps, "rate"));
    put(object, "throttleReadIOPSDevice", rates_json(resources.read_iops, "rate"));
    put(object, "throttleWriteIOPSDevice", rates_json(resources.write_iops, "rate"));
    return object;
}

json rdma_json(const std::map<std::string, RdmaLimit>& limits) {
    json object = json::object();
    for (const auto& [device, limit] : limits) {
        json& entry = object[device] = json::object();
        put(entry, "hcaHandles", limit.handles);
        put(entry, "hcaObjects", limit.objects);
    }
    return object;
}

json resources_json(const Resources& resources) {
    json object = json::object();
    json memory = json::object();
    put(memory, "limit", resources.memory_limit);
    put(memory, "reservation", resources.memory_reservation);
    put(memory, "swap", resources.memory_swap);
    put(object, "memory", std::move(memory));
    json cpu = json::object();
    put(cpu, "shares", resources.cpu_shares);
    put(cpu, "quota", resources.cpu_quota);
    put(cpu, "period", resources.cpu_period);
    put(cpu, "burst", resources.cpu_burst);
    put(cpu, "idle", resources.cpu_idle);
    put(cpu, "cpus", resources.cpuset_cpus);
    put(cpu, "mems", resources.cpuset_mems);
    put(object, "cpu", std::move(cpu));
    if (resources.pids_limit) object["pids"] = {{"limit", *resources.pids_limit}};
    put(object, "blockIO", block_io_json(resources));
    for (const auto& [size, limit] : resources.hugepage_limits)
        object["hugepageLimits"].push_back({{"pageSize", size}, {"limit", limit}});
    put(object, "rdma", rdma_json(resources.rdma));
    put(object, "unified", json(resources.unified));
    return object;
}

json linux_json(const Linux& part) {
    json object = json::object();
    for (const Namespace& entry : part.namespaces) {
        json item{{"type", entry.type}};
        put(item, "path", entry.path);
        object["namespaces"].push_back(std::move(item));
    }
    put(object, "uidMappings", mappings_json(part.uid_mappings));
    put(object, "gidMappings", mappings_json(part.gid_mappings));
    for (const auto& [clock, offset] : part.time_offsets)
        object["timeOffsets"][clock] = {{"secs", offset.secs}, {"nanosecs", offset.nanosecs}};
    for (const Device& device : part.devices) object["devices"].push_back(device_json(device));
    put(object, "cgroupsPath", part.cgroups_path);
    put(object, "resources", resources_json(part.resources));
    put(object, "sysctl", json(part.sysctl));
    if (part.seccomp) object["seccomp"] = to_json(*part.seccomp);
    put(object, "rootfsPropagation", part.rootfs_propagation);
    put(object, "maskedPaths", json(part.masked_paths));
    put(object, "readonlyPaths", json(part.readonly_paths));
    put(object, "mountLabel", part.mount_label);
    return object;
}

}  // namespace

json to_json(const Process& process) {
    json object{{"user", user_json(process.user)}, {"args", process.args}, {"cwd", process.cwd}};
    if (process.terminal) object["terminal"] = true;
    if (process.console_size)
        object["consoleSize"] = {{"height", process.console_size->height},
                                 {"width", process.console_size->width}};
    put(object, "env", json(process.env));
    if (process.capabilities)
        object["capabilities"] = {{"bounding", process.capabilities->bounding},
                                  {"effective", process.capabilities->effective},
                                  {"inheritable", process.capabilities->inheritable},
                                  {"permitted", process.capabilities->permitted},
                                  {"ambient", process.capabilities->ambient}};
    for (const Rlimit& limit : process.rlimits)
        object["rlimits"].push_back(
            {{"type", limit.type}, {"soft", limit.soft}, {"hard", limit.hard}});
    if (process.no_new_privileges) object["noNewPrivileges"] = true;
    put(object, "apparmorProfile", process.apparmor_profile);
    put(object, "selinuxLabel", process.selinux_label);
    put(object, "oomScoreAdj", process.oom_score_adj);
    return object;
}

json to_json(const Spec& spec) {
    json object{{"ociVersion", spec.version},
                {"root", {{"path", spec.root.path}, {"readonly", spec.root.readonly}}}};
    if (spec.process) object["process"] = to_json(*spec.process);
    put(object, "hostname", spec.hostname);
    put(object, "domainname", spec.domainname);
    for (const Mount& mount : spec.mounts) object["mounts"].push_back(mount_json(mount));
    json hooks = json::object();
    put(hooks, "prestart", hooks_json(spec.hooks.prestart));
    put(hooks, "createRuntime", hooks_json(spec.hooks.create_runtime));
    put(hooks, "createContainer", hooks_json(spec.hooks.create_container));
    put(hooks, "startContainer", hooks_json(spec.hooks.start_container));
    put(hooks, "poststart", hooks_json(spec.hooks.poststart));
    put(hooks, "poststop", hooks_json(spec.hooks.poststop));
    put(object, "hooks", std::move(hooks));
    put(object, "annotations", json(spec.annotations));
    object["linux"] = linux_json(spec.linux_part);
    return object;
}

}  // namespace berth::oci
