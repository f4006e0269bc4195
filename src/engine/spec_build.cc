#include "engine/spec_build.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "engine/model/merge.h"
#include "engine/model/validate.h"
#include "oci/default_seccomp.h"
#include "oci/defaults.h"

namespace berth::engine {

namespace {

constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kInitInContainer = "/sbin/docker-init";

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
    return std::ranges::any_of(env, [&](const std::string& entry) {
        return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
    });
}

/// Later entries win, in the place of the earlier; one without '=' removes the variable.
void set_variable(std::vector<std::string>& env, const std::string& entry) {
    const auto place = std::ranges::find(env, variable_name(entry), variable_name);
    if (entry.find('=') == std::string::npos) {
        if (place != env.end()) env.erase(place);
    } else if (place != env.end()) {
        *place = entry;
    } else {
        env.push_back(entry);
    }
}

std::vector<std::string> environment(const SpecInputs& inputs, bool terminal) {
    const model::ContainerConfig& config = inputs.record.config;
    std::vector<std::string> env = {kDefaultPath};
    if (!config.hostname.empty()) env.push_back("HOSTNAME=" + config.hostname);
    if (terminal) env.emplace_back("TERM=xterm");
    for (const std::string& entry : inputs.link_variables) set_variable(env, entry);
    for (const std::string& entry : config.env) set_variable(env, entry);
    if (!has_variable(env, "HOME")) env.push_back("HOME=" + inputs.user.home);
    return env;
}

oci::Capabilities capability_sets(const std::vector<std::string>& names, uid_t uid) {
    oci::Capabilities sets;
    sets.bounding = names;
    // As with Docker, a user other than root starts with nothing but the bounding set.
    if (uid == 0) sets.effective = sets.permitted = names;
    return sets;
}

std::vector<oci::Rlimit> rlimits(const SpecInputs& inputs) {
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> limits =
        inputs.settings.default_ulimits;
    for (const model::Ulimit& limit : inputs.record.host_config.ulimits)
        limits[limit.name] = {limit.soft, limit.hard};
    std::vector<oci::Rlimit> result;
    for (const auto& [name, values] : limits) {
        std::string type = "RLIMIT_";
        for (const char c : name) type += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        result.push_back({type, static_cast<std::uint64_t>(values.first),
                          static_cast<std::uint64_t>(values.second)});
    }
    return result;
}

oci::Process build_process(const SpecInputs& inputs) {
    const model::ContainerRecord& record = inputs.record;
    const model::HostConfig& host = record.host_config;
    oci::Process process;
    process.terminal = record.config.tty;
    if (host.console_size.first != 0 || host.console_size.second != 0)
        process.console_size = oci::ConsoleSize{host.console_size.first, host.console_size.second};
    process.user = inputs.user.user;
    process.args = model::command_line(record.config);
    if (wants_init(record, inputs.settings))
        process.args.insert(process.args.begin(), {kInitInContainer, "--"});
    process.env = environment(inputs, record.config.tty);
    for (const std::string& entry : inputs.secret_variables) set_variable(process.env, entry);
    process.cwd = record.config.working_dir.empty() ? "/" : record.config.working_dir;
    process.capabilities = capability_sets(model::capabilities_of(host), process.user.uid);
    process.rlimits = rlimits(inputs);
    process.no_new_privileges =
        model::security_options_from(host.security_opt, inputs.settings.no_new_privileges)
            .no_new_privileges;
    if (host.oom_score_adj != 0)
        process.oom_score_adj = std::max(host.oom_score_adj, inputs.lowest_oom_score);
    return process;
}

bool is_foreign(const model::HostConfig& host, const Settings& settings) {
    return settings.runtimes.contains(host.runtime);
}

bool shares(const std::string& mode) { return mode == "host" || mode.starts_with("container:"); }

/// Namespaces of its own, except those of the host and those that it joins.
std::vector<oci::Namespace> namespaces(const SpecInputs& inputs) {
    const model::HostConfig& host = inputs.record.host_config;
    std::vector<oci::Namespace> result;
    for (oci::Namespace space : oci::default_namespaces()) {
        if (space.type == "network" && host.network_mode == "host") continue;
        if (space.type == "ipc" && host.ipc_mode == "host") continue;
        if (space.type == "pid" && host.pid_mode == "host") continue;
        if (space.type == "uts" && host.uts_mode == "host") continue;
        if (space.type == "cgroup" && host.cgroupns_mode == "host") continue;
        const auto joined = inputs.joined.find(space.type);
        if (joined != inputs.joined.end()) space.path = joined->second;
        result.push_back(std::move(space));
    }
    return result;
}

/// The kernel lets a user namespace mount sysfs, proc and mqueue only for namespaces that it owns:
/// those of the host are bound instead.
void bind_what_the_host_owns(const model::HostConfig& host, std::vector<oci::Mount>& mounts) {
    for (oci::Mount& mount : mounts) {
        const bool sys = mount.destination == "/sys" && host.network_mode == "host";
        const bool proc = mount.destination == "/proc" && host.pid_mode == "host";
        const bool ipc = host.ipc_mode == "host" &&
                         (mount.destination == "/dev/mqueue" || mount.destination == "/dev/shm");
        if (!sys && !proc && !ipc) continue;
        mount.type = "bind";
        mount.source = mount.destination;
        mount.options = {"rbind", "nosuid", "nodev"};
        if (!ipc) mount.options.emplace_back("noexec");
        // With what is mounted below it: cgroups, debugfs.
        if (sys) mount.options.emplace_back("rro");
    }
}

oci::Mount bind_mount(std::string source, std::string destination,
                      std::vector<std::string> options) {
    oci::Mount mount;
    mount.type = "bind";
    mount.source = std::move(source);
    mount.destination = std::move(destination);
    mount.options = std::move(options);
    return mount;
}

oci::Mount user_mount(const SpecInputs& inputs, const model::MountPoint& point) {
    if (point.type == model::MountType::tmpfs) {
        oci::Mount mount;
        mount.type = mount.source = "tmpfs";
        mount.destination = point.destination;
        mount.options = point.tmpfs_options;
        if (!point.read_write) mount.options.emplace_back("ro");
        return mount;
    }
    std::vector<std::string> options = {point.non_recursive ? "bind" : "rbind"};
    options.push_back(point.propagation.empty() ? "rprivate" : point.propagation);
    if (!point.read_write)
        options.emplace_back(point.read_only_non_recursive || point.non_recursive ? "ro" : "rro");
    const auto prepared = inputs.mount_sources.find(point.destination);
    std::string source = prepared == inputs.mount_sources.end() ? point.source : prepared->second;
    return bind_mount(std::move(source), point.destination, std::move(options));
}

void add_files(const SpecInputs& inputs, std::vector<oci::Mount>& mounts) {
    const auto covered = [&](std::string_view destination) {
        return std::ranges::any_of(inputs.record.mounts, [&](const model::MountPoint& point) {
            return point.destination == destination;
        });
    };
    const auto add = [&](const std::string& source, const char* destination) {
        if (source.empty() || covered(destination)) return;
        std::vector<std::string> options{"bind", "rprivate"};
        if (inputs.record.host_config.readonly_rootfs) options.emplace_back("ro");
        mounts.push_back(bind_mount(source, destination, std::move(options)));
    };
    add(inputs.resolv_conf_path, "/etc/resolv.conf");
    add(inputs.hostname_path, "/etc/hostname");
    add(inputs.hosts_path, "/etc/hosts");
}

void add_devices(const SpecInputs& inputs, std::vector<oci::Mount>& mounts) {
    const model::HostConfig& host = inputs.record.host_config;
    // mknod of a device is refused in a user namespace: the host's node is bound.
    for (const model::Device& device : host.devices)
        mounts.push_back(bind_mount(device.path_on_host, device.path_in_container,
                                    {"bind", "nosuid", "noexec"}));
    if (!host.privileged) return;
    for (const std::string& path : inputs.host_devices)
        mounts.push_back(bind_mount(path, path, {"bind", "nosuid", "noexec"}));
}

/// With the IPC namespace of another container goes its /dev/shm.
void share_memory(const SpecInputs& inputs, std::vector<oci::Mount>& mounts) {
    const auto shared = inputs.mount_sources.find("/dev/shm");
    if (shared == inputs.mount_sources.end()) return;
    for (oci::Mount& mount : mounts)
        if (mount.destination == "/dev/shm" && mount.type == "tmpfs")
            mount = bind_mount(shared->second, mount.destination,
                               {"rbind", "nosuid", "noexec", "nodev"});
}

std::vector<oci::Mount> build_mounts(const SpecInputs& inputs) {
    const model::ContainerRecord& record = inputs.record;
    std::vector<oci::Mount> mounts =
        oci::default_mounts(fmt::format("{}", record.host_config.shm_size));
    std::erase_if(mounts, [&](const oci::Mount& mount) {
        return (mount.destination == "/dev/shm" && record.host_config.ipc_mode == "none") ||
               std::ranges::any_of(record.mounts, [&](const model::MountPoint& point) {
                   return point.destination == mount.destination;
               });
    });
    bind_what_the_host_owns(record.host_config, mounts);
    share_memory(inputs, mounts);
    if (record.host_config.ipc_mode == "host")
        std::erase_if(mounts, [&](const oci::Mount& mount) {
            return inputs.absent_on_host.contains(mount.destination);
        });
    if (record.host_config.privileged)
        for (oci::Mount& mount : mounts)
            if (mount.type != "bind") std::erase(mount.options, "ro");
    add_files(inputs, mounts);
    for (const model::MountPoint& point : record.mounts)
        mounts.push_back(user_mount(inputs, point));
    add_devices(inputs, mounts);
    if (wants_init(record, inputs.settings))
        mounts.push_back(
            bind_mount(inputs.init_program, kInitInContainer, {"bind", "ro", "rprivate"}));
    return mounts;
}

std::optional<oci::Seccomp> seccomp_of(const SpecInputs& inputs,
                                       const std::vector<std::string>& capabilities) {
    const model::HostConfig& host = inputs.record.host_config;
    if (host.privileged) return std::nullopt;
    const auto options = model::security_options_from(host.security_opt, false);
    const std::string& profile = options.seccomp.empty() ? inputs.seccomp_profile : options.seccomp;
    if (profile == "unconfined") return std::nullopt;
    if (profile.empty()) return oci::default_seccomp(capabilities);
    return oci::parse_docker_seccomp(profile, capabilities);
}

std::map<std::string, std::string> sysctls(const SpecInputs& inputs) {
    const model::HostConfig& host = inputs.record.host_config;
    std::map<std::string, std::string> result;
    if (!shares(host.network_mode)) {
        result["net.ipv4.ip_unprivileged_port_start"] = "0";
        if (!inputs.congestion_control.empty())
            result["net.ipv4.tcp_congestion_control"] = inputs.congestion_control;
    }
    for (const auto& [key, value] : host.sysctls) result[key] = value;
    return result;
}

std::string root_propagation(const model::ContainerRecord& record) {
    for (const model::MountPoint& point : record.mounts)
        if (point.propagation.ends_with("shared")) return "shared";
    for (const model::MountPoint& point : record.mounts)
        if (point.propagation.ends_with("slave")) return "rslave";
    return "rprivate";
}

}  // namespace

bool wants_init(const model::ContainerRecord& record, const Settings& settings) {
    return record.host_config.init.value_or(settings.init) && !shares(record.host_config.pid_mode);
}

oci::Spec build_spec(const SpecInputs& inputs) {
    const model::ContainerRecord& record = inputs.record;
    const model::HostConfig& host = record.host_config;
    oci::Spec spec;
    // Debian 12's crun takes no later version, and needs nothing of one.
    if (is_foreign(host, inputs.settings)) spec.version = "1.0.2";
    spec.process = build_process(inputs);
    spec.root = {inputs.rootfs, host.readonly_rootfs};
    if (host.uts_mode != "host" && !shares(host.network_mode)) {
        spec.hostname = record.config.hostname;
        spec.domainname = record.config.domainname;
    } else if (host.uts_mode != "host") {
        spec.hostname = record.config.hostname;
    }
    spec.mounts = build_mounts(inputs);
    spec.annotations = host.annotations;
    oci::Linux& part = spec.linux_part;
    part.namespaces = namespaces(inputs);
    if (!inputs.uid_map.empty()) {
        part.namespaces.push_back({"user", ""});
        part.uid_mappings = inputs.uid_map;
        part.gid_mappings = inputs.gid_map;
    }
    part.cgroups_path = inputs.cgroups_path;
    if (!inputs.cgroups_path.empty()) part.resources = inputs.limits;
    part.sysctl = sysctls(inputs);
    part.seccomp = seccomp_of(inputs, spec.process->capabilities->bounding);
    part.rootfs_propagation = root_propagation(record);
    part.masked_paths = host.masked_paths.value_or(oci::default_masked_paths());
    part.readonly_paths = host.readonly_paths.value_or(oci::default_readonly_paths());
    return spec;
}

oci::Process build_exec_process(const SpecInputs& inputs, const ExecConfig& exec) {
    oci::Process process = build_process(inputs);
    process.terminal = exec.tty;
    process.console_size.reset();
    if (exec.console_size)
        process.console_size =
            oci::ConsoleSize{exec.console_size->first, exec.console_size->second};
    process.args = exec.cmd;
    process.env = environment(inputs, exec.tty);
    for (const std::string& entry : exec.env) set_variable(process.env, entry);
    if (!exec.working_dir.empty()) process.cwd = exec.working_dir;
    if (exec.privileged)
        process.capabilities = capability_sets(oci::all_capabilities(), process.user.uid);
    process.oom_score_adj.reset();
    return process;
}

}  // namespace berth::engine
