#include "oci/runtime_spec.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"

namespace berth::oci {
namespace {

using nlohmann::json;

template <typename Number>
Number number_in_range(const JsonReader& object, std::string_view key, std::int64_t value) {
    constexpr auto kHighest = std::min<std::uint64_t>(std::numeric_limits<Number>::max(),
                                                      std::numeric_limits<std::int64_t>::max());
    if (value < static_cast<std::int64_t>(std::numeric_limits<Number>::lowest()) ||
        value > static_cast<std::int64_t>(kHighest))
        throw Error(ErrorKind::invalid, "{}: {} is out of range", object.path_of(key), value);
    return static_cast<Number>(value);
}

template <typename Number>
Number number(const JsonReader& object, std::string_view key, Number fallback = 0) {
    return number_in_range<Number>(object, key,
                                   object.integer(key, static_cast<std::int64_t>(fallback)));
}

template <typename Number>
std::optional<Number> optional_number(const JsonReader& object, std::string_view key) {
    const auto value = object.optional_integer(key);
    if (!value) return std::nullopt;
    return number_in_range<Number>(object, key, *value);
}

/// RLIM_INFINITY and the like do not fit a signed number.
std::uint64_t large_number(const JsonReader& object, std::string_view key) {
    const json* member = object.find(key);
    if (member && member->is_number_unsigned()) return member->get<std::uint64_t>();
    return static_cast<std::uint64_t>(object.integer(key));
}

User read_user(const JsonReader& object) {
    User user;
    user.uid = number<uid_t>(object, "uid");
    user.gid = number<gid_t>(object, "gid");
    user.umask = optional_number<mode_t>(object, "umask");
    if (const json* gids = object.find("additionalGids")) {
        if (!gids->is_array())
            throw Error(ErrorKind::invalid, "{}: expected a list",
                        object.path_of("additionalGids"));
        for (const json& gid : *gids) {
            if (!gid.is_number_unsigned() || gid.get<std::uint64_t>() > 0xffffffffU)
                throw Error(ErrorKind::invalid, "{}: expected group ids",
                            object.path_of("additionalGids"));
            user.additional_gids.push_back(gid.get<gid_t>());
        }
    }
    return user;
}

Capabilities read_capabilities(const JsonReader& object) {
    return {object.strings("bounding"), object.strings("effective"), object.strings("inheritable"),
            object.strings("permitted"), object.strings("ambient")};
}

Process read_process(const JsonReader& object) {
    Process process;
    process.terminal = object.boolean("terminal", false);
    if (object.has("consoleSize")) {
        const JsonReader size = object.object("consoleSize");
        process.console_size =
            ConsoleSize{number<unsigned>(size, "height"), number<unsigned>(size, "width")};
    }
    process.user = read_user(object.object("user"));
    process.args = object.strings("args");
    process.env = object.strings("env");
    process.cwd = object.string("cwd");
    if (object.has("capabilities"))
        process.capabilities = read_capabilities(object.object("capabilities"));
    for (const JsonReader& limit : object.objects("rlimits"))
        process.rlimits.push_back(
            {limit.string("type"), large_number(limit, "soft"), large_number(limit, "hard")});
    process.no_new_privileges = object.boolean("noNewPrivileges", false);
    process.apparmor_profile = object.string("apparmorProfile");
    process.selinux_label = object.string("selinuxLabel");
    process.oom_score_adj = optional_number<int>(object, "oomScoreAdj");
    return process;
}

std::vector<IdMapping> read_mappings(const JsonReader& object, std::string_view key) {
    std::vector<IdMapping> mappings;
    for (const JsonReader& entry : object.objects(key))
        mappings.push_back({number<std::uint32_t>(entry, "containerID"),
                            number<std::uint32_t>(entry, "hostID"),
                            number<std::uint32_t>(entry, "size")});
    return mappings;
}

Mount read_mount(const JsonReader& object) {
    return {object.string("destination"),
            object.string("type"),
            object.string("source"),
            object.strings("options"),
            read_mappings(object, "uidMappings"),
            read_mappings(object, "gidMappings")};
}

Device read_device(const JsonReader& object) {
    Device device;
    device.path = object.string("path");
    device.type = object.string("type");
    device.major = object.integer("major");
    device.minor = object.integer("minor");
    device.file_mode = optional_number<mode_t>(object, "fileMode");
    device.uid = optional_number<uid_t>(object, "uid");
    device.gid = optional_number<gid_t>(object, "gid");
    return device;
}

std::vector<Hook> read_hooks(const JsonReader& object, std::string_view key) {
    std::vector<Hook> hooks;
    for (const JsonReader& entry : object.objects(key))
        hooks.push_back({entry.string("path"), entry.strings("args"), entry.strings("env"),
                         optional_number<int>(entry, "timeout")});
    return hooks;
}

std::vector<DeviceRate> read_rates(const JsonReader& object, std::string_view list,
                                   std::string_view key) {
    std::vector<DeviceRate> rates;
    for (const JsonReader& entry : object.objects(list))
        rates.push_back({entry.integer("major"), entry.integer("minor"), large_number(entry, key)});
    return rates;
}

void read_block_io(const JsonReader& object, Resources& resources) {
    resources.blkio_weight = optional_number<std::uint16_t>(object, "weight");
    resources.weight_devices = read_rates(object, "weightDevice", "weight");
    resources.read_bps = read_rates(object, "throttleReadBpsDevice", "rate");
    resources.write_bps = read_rates(object, "throttleWriteBpsDevice", "rate");
    resources.read_iops = read_rates(object, "throttleReadIOPSDevice", "rate");
    resources.write_iops = read_rates(object, "throttleWriteIOPSDevice", "rate");
}

void read_rdma(const JsonReader& object, Resources& resources) {
    for (const auto& [device, ignored] : object.value().items()) {
        const JsonReader limit = object.object(device);
        resources.rdma[device] = {optional_number<std::uint32_t>(limit, "hcaHandles"),
                                  optional_number<std::uint32_t>(limit, "hcaObjects")};
    }
}

Resources read_resources(const JsonReader& object) {
    Resources resources;
    const JsonReader memory = object.object("memory");
    resources.memory_limit = memory.optional_integer("limit");
    resources.memory_reservation = memory.optional_integer("reservation");
    resources.memory_swap = memory.optional_integer("swap");
    const JsonReader cpu = object.object("cpu");
    resources.cpu_shares = optional_number<std::uint64_t>(cpu, "shares");
    resources.cpu_quota = cpu.optional_integer("quota");
    resources.cpu_period = optional_number<std::uint64_t>(cpu, "period");
    resources.cpu_burst = optional_number<std::uint64_t>(cpu, "burst");
    resources.cpu_idle = cpu.optional_integer("idle");
    resources.cpuset_cpus = cpu.string("cpus");
    resources.cpuset_mems = cpu.string("mems");
    resources.pids_limit = object.object("pids").optional_integer("limit");
    read_block_io(object.object("blockIO"), resources);
    for (const JsonReader& limit : object.objects("hugepageLimits"))
        resources.hugepage_limits[limit.string("pageSize")] = large_number(limit, "limit");
    if (object.has("rdma")) read_rdma(object.object("rdma"), resources);
    resources.unified = object.string_map("unified");
    return resources;
}

Linux read_linux(const JsonReader& object) {
    Linux part;
    for (const JsonReader& entry : object.objects("namespaces"))
        part.namespaces.push_back({entry.string("type"), entry.string("path")});
    part.uid_mappings = read_mappings(object, "uidMappings");
    part.gid_mappings = read_mappings(object, "gidMappings");
    for (const std::string clock : {"monotonic", "boottime"})
        if (const JsonReader offsets = object.object("timeOffsets"); offsets.has(clock)) {
            const JsonReader offset = offsets.object(clock);
            part.time_offsets[clock] = {offset.integer("secs"),
                                        number<std::uint32_t>(offset, "nanosecs")};
        }
    for (const JsonReader& entry : object.objects("devices"))
        part.devices.push_back(read_device(entry));
    part.cgroups_path = object.string("cgroupsPath");
    part.resources = read_resources(object.object("resources"));
    part.sysctl = object.string_map("sysctl");
    if (object.has("seccomp")) part.seccomp = parse_seccomp(object.object("seccomp"));
    part.rootfs_propagation = object.string("rootfsPropagation");
    part.masked_paths = object.strings("maskedPaths");
    part.readonly_paths = object.strings("readonlyPaths");
    part.mount_label = object.string("mountLabel");
    return part;
}

Spec read_spec(const JsonReader& object) {
    Spec spec;
    spec.version = object.string("ociVersion");
    if (object.has("process")) spec.process = read_process(object.object("process"));
    spec.root.path = object.object("root").string("path");
    spec.root.readonly = object.object("root").boolean("readonly", false);
    spec.hostname = object.string("hostname");
    spec.domainname = object.string("domainname");
    for (const JsonReader& entry : object.objects("mounts"))
        spec.mounts.push_back(read_mount(entry));
    const JsonReader hooks = object.object("hooks");
    spec.hooks = {read_hooks(hooks, "prestart"),        read_hooks(hooks, "createRuntime"),
                  read_hooks(hooks, "createContainer"), read_hooks(hooks, "startContainer"),
                  read_hooks(hooks, "poststart"),       read_hooks(hooks, "poststop")};
    spec.annotations = object.string_map("annotations");
    spec.linux_part = read_linux(object.object("linux"));
    return spec;
}

void check_namespaces(const Linux& part) {
    static const std::set<std::string_view> kTypes = {"user", "mount", "pid",    "network",
                                                      "uts",  "ipc",   "cgroup", "time"};
    std::set<std::string_view> seen;
    for (const Namespace& entry : part.namespaces) {
        if (!kTypes.contains(entry.type))
            throw Error(ErrorKind::invalid, "linux.namespaces: unknown type \"{}\"", entry.type);
        if (!seen.insert(entry.type).second)
            throw Error(ErrorKind::invalid, "linux.namespaces: {} is listed twice", entry.type);
        if (!entry.path.empty() && !entry.path.starts_with('/'))
            throw Error(ErrorKind::invalid, "linux.namespaces: path \"{}\" is not absolute",
                        entry.path);
    }
    if (!seen.contains("mount"))
        throw Error(ErrorKind::invalid, "linux.namespaces: a mount namespace is needed");
    const Namespace* user = part.find_namespace("user");
    const bool has_maps = !part.uid_mappings.empty() || !part.gid_mappings.empty();
    if (has_maps && !user)
        throw Error(ErrorKind::invalid, "linux.uidMappings: id mappings need a user namespace");
    if (user && user->path.empty() && (part.uid_mappings.empty() || part.gid_mappings.empty()))
        throw Error(ErrorKind::invalid,
                    "linux.uidMappings: a new user namespace needs uid and gid mappings");
    if (!part.time_offsets.empty() && !seen.contains("time"))
        throw Error(ErrorKind::invalid, "linux.timeOffsets: needs a time namespace");
}

void check_absolute(std::string_view where, const std::string& path) {
    if (!path.starts_with('/'))
        throw Error(ErrorKind::invalid, "{}: \"{}\" is not an absolute path", where, path);
    if (path.find('\0') != std::string::npos)
        throw Error(ErrorKind::invalid, "{}: the path has a NUL byte", where);
}

/// A host name is what sethostname(2) takes, without control characters.
void check_host_name(std::string_view where, const std::string& name) {
    if (name.size() > 64)
        throw Error(ErrorKind::invalid, "{}: \"{}\" is longer than 64 bytes", where, name);
}

}  // namespace

const Namespace* Linux::find_namespace(std::string_view type) const {
    for (const Namespace& entry : namespaces)
        if (entry.type == type) return &entry;
    return nullptr;
}

void validate(const Process& process) {
    check_absolute("process.cwd", process.cwd);
    if (process.args.empty()) throw Error(ErrorKind::invalid, "process.args: must not be empty");
    const auto has_nul = [](const std::string& text) {
        return text.find('\0') != std::string::npos;
    };
    if (std::any_of(process.args.begin(), process.args.end(), has_nul))
        throw Error(ErrorKind::invalid, "process.args: an argument has a NUL byte");
    if (std::any_of(process.env.begin(), process.env.end(), has_nul))
        throw Error(ErrorKind::invalid, "process.env: a variable has a NUL byte");
    for (const Rlimit& limit : process.rlimits)
        if (limit.soft > limit.hard)
            throw Error(ErrorKind::invalid, "process.rlimits: {} has soft above hard", limit.type);
}

void validate(const Spec& spec) {
    if (!spec.version.starts_with("1."))
        throw Error(ErrorKind::invalid, "ociVersion: \"{}\" is not supported", spec.version);
    if (spec.root.path.empty()) throw Error(ErrorKind::invalid, "root.path: must not be empty");
    if (spec.process) validate(*spec.process);
    check_host_name("hostname", spec.hostname);
    check_host_name("domainname", spec.domainname);
    if (!spec.hostname.empty() && !spec.linux_part.find_namespace("uts"))
        throw Error(ErrorKind::invalid, "hostname: needs a uts namespace");
    for (const Mount& mount : spec.mounts)
        if (mount.destination.empty())
            throw Error(ErrorKind::invalid, "mounts: a destination is empty");
    for (const std::string& path : spec.linux_part.masked_paths)
        check_absolute("linux.maskedPaths", path);
    for (const std::string& path : spec.linux_part.readonly_paths)
        check_absolute("linux.readonlyPaths", path);
    for (const Device& device : spec.linux_part.devices) {
        check_absolute("linux.devices", device.path);
        if (device.type.size() != 1 || !std::string_view("cbup").contains(device.type[0]))
            throw Error(ErrorKind::invalid, "linux.devices: {} has unknown type \"{}\"",
                        device.path, device.type);
    }
    check_namespaces(spec.linux_part);
}

Spec parse_spec(std::string_view text) {
    const json document = parse_json(text);
    Spec spec = read_spec(JsonReader(document));
    validate(spec);
    return spec;
}

Process parse_process_json(const json& object) {
    Process process = read_process(JsonReader(object, "process"));
    validate(process);
    return process;
}

Process parse_process(std::string_view text) { return parse_process_json(parse_json(text)); }

Resources parse_resources(std::string_view text) {
    const json document = parse_json(text);
    return read_resources(JsonReader(document, "resources"));
}

}  // namespace berth::oci
