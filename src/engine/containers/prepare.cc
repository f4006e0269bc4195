#include "engine/containers/prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "engine/cgroup_limits.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/files.h"
#include "engine/containers/log_setup.h"
#include "engine/containers/shim_mounts.h"
#include "engine/spec_build.h"
#include "linux/rooted_path.h"
#include "linux/spawn.h"
#include "oci/id_map.h"
#include "shim/protocol.h"

namespace berth::engine {

namespace {

constexpr std::size_t kMaxUserFile = 4U << 20;
constexpr const char* kContainerMark = "/.dockerenv";

/// A file of the container's root file system, found in the uppermost layer that has it. Nothing is
/// mounted for it and no link leads outside.
std::string read_from_layers(const std::vector<std::string>& layers, const std::string& path) {
    for (const std::string& layer : layers) {
        const UniqueFd root(open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!root) continue;
        // A whiteout is a character device: the file was deleted above the layer that has it.
        if (auto text = linux_os::read_file_in_root(root, path, kMaxUserFile)) return *text;
    }
    return "";
}

std::vector<std::string> layers_of(const storage::RootfsMount& rootfs) {
    std::vector<std::string> layers;
    if (!rootfs.upperdir.empty()) layers.push_back(rootfs.upperdir);
    if (!rootfs.path.empty()) layers.push_back(rootfs.path);
    layers.insert(layers.end(), rootfs.lowerdirs.begin(), rootfs.lowerdirs.end());
    return layers;
}

model::ProcessUser user_of(const storage::RootfsMount& rootfs, const std::string& spec,
                           const std::vector<std::string>& group_add) {
    const std::vector<std::string> layers = layers_of(rootfs);
    const model::UserFiles files{read_from_layers(layers, "/etc/passwd"),
                                 read_from_layers(layers, "/etc/group")};
    return model::resolve_user(spec, files, group_add);
}

storage::RootfsMount rootfs_of(const model::ContainerRecord& record, const Storage& storage,
                               const std::string& directory) {
    std::optional<Digest> top;
    if (!record.top_layer.empty()) top = Digest::parse(record.top_layer);
    return storage::prepare_rootfs(storage.driver, storage.layers, directory, top);
}

RuntimeProgram runtime_program(const std::string& name, const Settings& settings) {
    const auto found = settings.runtimes.find(name);
    if (found != settings.runtimes.end()) return found->second;
    static const std::string kOwn = linux_os::find_own_program("berth-runtime");
    return {kOwn, {}};
}

shim::ShimConfig shim_config(const StartWork& work, shim::RootfsMount rootfs,
                             std::vector<shim::PreparedMount> mounts) {
    const model::ContainerRecord& record = work.record;
    shim::ShimConfig config;
    config.id = record.id;
    RuntimeProgram runtime = runtime_program(record.host_config.runtime, work.settings);
    config.runtime_program = std::move(runtime.path);
    config.runtime_arguments = std::move(runtime.arguments);
    config.runtime_root = work.settings.exec_root + "/runtime";
    config.bundle = work.run_directory;
    config.rootfs = std::move(rootfs);
    config.mounts = std::move(mounts);
    config.log = log_config(record, work.directory);
    config.log_copy = log_copy_config(record, work.directory);
    if (config.log.driver == "journald" && !exists(config.log.path))
        throw Error(ErrorKind::internal,
                    "failed to initialize logging driver: journald is not enabled on this host");
    config.spool_dir = work.directory;
    config.terminal = record.config.tty;
    config.open_stdin = record.config.open_stdin;
    config.stdin_once = record.config.stdin_once;
    config.cgroup_dir = cgroup_of(record);
    config.console_height = static_cast<std::uint16_t>(record.host_config.console_size.first);
    config.console_width = static_cast<std::uint16_t>(record.host_config.console_size.second);
    return config;
}

/// Plain write: the file is new and nobody reads it before the shim starts.
void write_file(const std::string& path, std::string_view text, mode_t mode) {
    const UniqueFd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    write_all(file, text);
}

std::string seccomp_profile(const Settings& settings) {
    if (settings.seccomp_profile.empty() || settings.seccomp_profile == "builtin") return "";
    if (settings.seccomp_profile == "unconfined") return "unconfined";
    return read_file(settings.seccomp_profile);
}

SpecInputs spec_inputs(const model::ContainerRecord& record, const Settings& settings) {
    SpecInputs inputs{.record = record, .settings = settings};
    inputs.seccomp_profile = seccomp_profile(settings);
    if (wants_init(record, settings)) {
        static const std::string kInit = linux_os::find_own_program("berth-init");
        inputs.init_program = settings.init_program.empty() ? kInit : settings.init_program;
    }
    for (const char* place : {"/dev/mqueue", "/dev/shm"})
        if (!exists(place)) inputs.absent_on_host.insert(place);
    if (record.host_config.privileged)
        for (const char* device : {"/dev/fuse", "/dev/net/tun", "/dev/kvm"})
            if (exists(device)) inputs.host_devices.emplace_back(device);
    return inputs;
}

/// Containers write what is in a volume: a link there must not lead a mount out to the host. The
/// shim looks again when it mounts; here the error still names the volume. As with Docker, a link
/// is followed as long as it stays below the volume, and an absolute one does not.
void check_subpaths(const model::ContainerRecord& record) {
    for (const model::MountPoint& point : record.mounts) {
        if (point.subpath.empty() || point.type != model::MountType::volume) continue;
        const UniqueFd volume =
            open_file(point.device.empty() ? point.source : point.device, O_PATH | O_DIRECTORY);
        try {
            linux_os::open_in_root(volume, point.subpath, O_PATH, linux_os::Resolve::beneath);
        } catch (const Error& error) {
            throw Error(ErrorKind::invalid, "subpath {} of the volume {}: {}", point.subpath,
                        point.name,
                        error.errno_value() == EXDEV ? "a link leads out of the volume"
                                                     : errno_text(error.errno_value()));
        }
    }
}

/// Docker's text. A directory stands for what is in it.
void check_host_devices(const model::HostConfig& host) {
    for (const model::Device& device : host.devices)
        if (!exists(device.path_on_host))
            throw Error(ErrorKind::internal,
                        "error gathering device information while adding custom device \"{}\": no "
                        "such file or directory",
                        device.path_on_host);
}

std::vector<std::string> link_variables_of(const model::ContainerRecord& record,
                                           const std::vector<model::Link>& links) {
    std::vector<std::string> all;
    for (const model::Link& link : links)
        for (std::string& variable : model::link_variables(record.name, link))
            all.push_back(std::move(variable));
    return all;
}

void write_network_files(const StartWork& work, SpecInputs& inputs) {
    if (work.network_owner != work.record.id) {
        // One network, one set of names: the files of the container that owns it.
        const std::string owner = work.settings.data_root + "/containers/" + work.network_owner;
        inputs.hosts_path = owner + "/hosts";
        inputs.hostname_path = owner + "/hostname";
        inputs.resolv_conf_path = owner + "/resolv.conf";
        return;
    }
    inputs.hosts_path = work.directory + "/hosts";
    inputs.hostname_path = work.directory + "/hostname";
    inputs.resolv_conf_path = work.directory + "/resolv.conf";
    const std::string host_text = read_file_if_exists("/etc/resolv.conf").value_or("");
    write_file(inputs.hosts_path, hosts_text(work.record, work.settings, work.links), 0644);
    write_file(inputs.hostname_path, work.record.config.hostname + "\n", 0644);
    write_file(inputs.resolv_conf_path, resolv_conf_text(work.record, work.settings, host_text),
               0644);
    if (inputs.uid_map.empty()) return;
    for (const std::string& path :
         {inputs.hosts_path, inputs.hostname_path, inputs.resolv_conf_path})
        if (::chown(path.c_str(), oci::mapped_id(inputs.uid_map, 0),
                    oci::mapped_id(inputs.gid_map, 0)) < 0)
            throw_errno("giving {} to root of the container", path);
}

/// Programs ask by /.dockerenv whether they run in a container. One that was removed stays away.
void mark_as_container(const storage::RootfsMount& rootfs, const model::IdMaps& maps) {
    const std::string path =
        (rootfs.upperdir.empty() ? rootfs.path : rootfs.upperdir) + kContainerMark;
    const UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755));
    if (!file) {
        if (errno == EEXIST) return;
        throw_errno("creating {}", path);
    }
    if (::fchmod(file.get(), 0755) < 0) throw_errno("changing the mode of {}", path);
    if (!maps.uids.empty() &&
        ::fchown(file.get(), oci::mapped_id(maps.uids, 0), oci::mapped_id(maps.gids, 0)) < 0)
        throw_errno("giving {} to root of the container", path);
}

}  // namespace

void check_devices(const std::vector<model::MountPoint>& mounts) {
    for (const model::MountPoint& point : mounts)
        if (!point.device.empty() && !exists(point.device))
            throw Error(ErrorKind::internal,
                        "error while mounting volume '{0}': failed to mount local volume: mount "
                        "{1}:{0}: no such file or directory",
                        point.source, point.device);
}

void StartWork::operator()() const {
    const storage::RootfsMount rootfs = rootfs_of(record, storage, directory);
    remove_tree(run_directory);
    make_directories(run_directory, 0700);
    SpecInputs inputs = spec_inputs(record, settings);
    inputs.user = user_of(rootfs, record.config.user, record.host_config.group_add);
    inputs.joined = joined;
    inputs.link_variables = link_variables_of(record, links);
    inputs.secret_variables = secret_variables;
    const model::IdMaps maps =
        model::id_maps_of(record.host_config, abilities.user, abilities.id_counts);
    inputs.uid_map = maps.uids;
    inputs.gid_map = maps.gids;
    mark_as_container(rootfs, maps);
    check_host_devices(record.host_config);
    check_devices(record.mounts);
    check_subpaths(record);
    ShimMounts mounts = shim_mounts(record, storage, {directory, run_directory, ipc_process}, maps);
    inputs.mount_sources = std::move(mounts.sources);
    write_network_files(*this, inputs);
    inputs.lowest_oom_score = abilities.lowest_oom_score;
    inputs.congestion_control = abilities.congestion_control;
    if (!cgroup.empty()) {
        inputs.cgroups_path = path_in_hierarchy(cgroup);
        const model::Resources& resources = record.host_config.resources;
        inputs.limits = limits_of(resources, abilities,
                                  abilities.io ? device_numbers(resources) : DeviceNumbers{});
    }
    write_file(run_directory + "/config.json", dump_json(oci::to_json(build_spec(inputs))), 0600);
    write_file(
        run_directory + "/shim.json",
        shim::encode(shim_config(*this, shim_rootfs(rootfs, maps), std::move(mounts.mounts))),
        0600);
}

std::string ExecWork::operator()() const {
    const storage::RootfsMount rootfs = rootfs_of(record, storage, directory);
    SpecInputs inputs = spec_inputs(record, settings);
    const std::string& user = config.user.empty() ? record.config.user : config.user;
    inputs.user = user_of(rootfs, user, record.host_config.group_add);
    inputs.link_variables = link_variables_of(record, links);
    return dump_json(oci::to_json(build_exec_process(inputs, config)));
}

}  // namespace berth::engine
