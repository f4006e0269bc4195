#include "engine/containers/create.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ranges>

#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/links.h"
#include "engine/containers/prepare.h"
#include "engine/image/state.h"
#include "engine/model/log_options.h"
#include "engine/model/merge.h"
#include "engine/model/names.h"
#include "engine/model/warnings.h"
#include "engine/network/state.h"
#include "engine/system_facts.h"
#include "engine/volume/state.h"
#include "image/platform.h"
#include "linux/rooted_path.h"
#include "storage/copy_tree.h"
#include "storage/layer_view.h"

namespace berth::engine {

namespace {

/// Holds a name from before the container exists; forgets it unless kept.
class NameReservation final {
  public:
    NameReservation(ContainerState& state, std::string name, const std::string& id)
        : state_(state), name_(std::move(name)) {
        const auto [place, added] = state_.names.emplace(name_, id);
        // "is already in use by container" is what clients match.
        if (!added)
            throw Error(ErrorKind::conflict,
                        "Conflict. The container name \"/{}\" is already in use by container "
                        "\"{}\". You have to remove (or rename) that container to be able to reuse "
                        "that name.",
                        name_, place->second);
    }
    ~NameReservation() {
        if (!kept_) state_.names.erase(name_);
    }
    NameReservation(const NameReservation&) = delete;
    NameReservation& operator=(const NameReservation&) = delete;
    void keep() { kept_ = true; }
    const std::string& name() const { return name_; }

  private:
    ContainerState& state_;
    std::string name_;
    bool kept_ = false;
};

/// A container that is not known yet is still a user of its image and its volumes.
class UnderCreation final {
  public:
    UnderCreation(ContainerState& state, const model::ContainerRecord& record)
        : state_(state), record_(record) {
        state_.creating.insert(&record_);
    }
    ~UnderCreation() { state_.creating.erase(&record_); }
    UnderCreation(const UnderCreation&) = delete;
    UnderCreation& operator=(const UnderCreation&) = delete;

  private:
    ContainerState& state_;
    const model::ContainerRecord& record_;
};

std::string choose_name(const ContainerState& state, const std::string& asked,
                        const std::string& id) {
    if (asked.empty())
        return model::make_name([&](const std::string& n) { return state.names.contains(n); },
                                id.substr(0, 12));
    const std::string name = asked.starts_with('/') ? asked.substr(1) : asked;
    if (!Name::is_valid(name))
        throw Error(ErrorKind::invalid,
                    "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                    asked);
    return name;
}

/// A container that the new one wants something of. Clients take a 404 for a missing image, and the
/// CLI would pull that.
ContainerPtr find_donor(const ContainerState& state, const std::string& ref) {
    try {
        return state.find(ref);
    } catch (const Error& error) {
        throw Error::with_text(ErrorKind::invalid, error.message());
    }
}

/// "container:NAME" becomes "container:ID", for network, pid and ipc.
void resolve_container_modes(const ContainerState& state, model::HostConfig& host) {
    for (std::string* mode : {&host.network_mode, &host.pid_mode, &host.ipc_mode}) {
        if (!mode->starts_with("container:")) continue;
        *mode = "container:" + find_donor(state, mode->substr(10))->record.id;
    }
}

struct VolumesFrom final {
    std::string container;
    bool read_only = false;
};

/// "container[:ro|rw][,z|Z]".
VolumesFrom volumes_from(const std::string& text) {
    const std::size_t colon = text.find(':');
    VolumesFrom from{text.substr(0, colon), false};
    if (from.container.empty())
        throw Error(ErrorKind::invalid, "volumes-from specification cannot be an empty string");
    if (colon == std::string::npos) return from;
    const std::string mode = text.substr(colon + 1);
    for (const std::string_view word : words_of(mode, ",")) {
        if (word != "ro" && word != "rw" && word != "z" && word != "Z")
            throw Error(ErrorKind::invalid, "invalid mode: {}", mode);
        if (word == "ro") from.read_only = true;
    }
    if (mode.empty()) throw Error(ErrorKind::invalid, "invalid mode: {}", mode);
    return from;
}

void add_volumes_from(const ContainerState& state, model::ContainerRecord& record) {
    for (const std::string& text : record.host_config.volumes_from) {
        const VolumesFrom from = volumes_from(text);
        for (model::MountPoint mount : find_donor(state, from.container)->record.mounts) {
            const bool covered =
                std::ranges::any_of(record.mounts, [&](const model::MountPoint& other) {
                    return other.destination == mount.destination;
                });
            if (covered || mount.type == model::MountType::tmpfs) continue;
            if (from.read_only) mount.read_write = false;
            mount.no_copy = true;
            record.mounts.push_back(std::move(mount));
        }
    }
}

/// The images of `type=image` mounts, as they are now: a tag that moves later changes nothing.
void find_mounted_images(const ContainerState& state, model::ContainerRecord& record) {
    for (model::MountPoint& mount : record.mounts) {
        if (mount.type != model::MountType::image || !mount.image_id.empty()) continue;
        try {
            ImageForContainer image = state.deps.images.for_container(mount.source);
            mount.image_id = std::move(image.id);
            mount.top_layer = std::move(image.top_layer);
        } catch (const Error& error) {
            // Not a 404: clients would pull the container's image and try again.
            throw Error(ErrorKind::invalid, "invalid mount config for type \"image\": {}",
                        error.message());
        }
    }
}

/// A platform that was asked for must be the image's, so that the client pulls the right one; one
/// that was not is only warned of.
std::vector<std::string> check_platform(const CreateOptions& options, const std::string& name,
                                        const ImageForContainer& image) {
    if (image.platform.empty()) return {};
    const oci::Platform offered = image::parse_platform(image.platform);
    image::check_platform(name, offered, image::wanted_platform(options.platform));
    const oci::Platform wanted = image::parse_platform(options.platform);
    if (image::is_compatible(wanted, offered)) return {};
    return {
        fmt::format("The requested image's platform ({}) does not match the detected host "
                    "platform ({}) and no specific platform was requested",
                    offered.str(), wanted.str())};
}

/// Copies what the image has at `destination` into an empty volume (docker's copy-up).
void copy_up(const std::vector<std::string>& lowerdirs, const std::string& destination,
             const std::string& volume, const model::IdMaps& maps) {
    if (!std::filesystem::is_empty(volume)) return;
    std::vector<UniqueFd> layers;
    for (const std::string& layer : lowerdirs)
        layers.push_back(open_file(layer, O_PATH | O_DIRECTORY));
    const storage::LayerView view({layers.begin(), layers.end()});
    const UniqueFd target = open_file(volume, O_RDONLY | O_DIRECTORY);
    // Lowest first, so that upper layers replace what lower ones put there.
    const std::string path = view.resolve(linux_os::clean_path(destination));
    for (const UniqueFd& source : std::views::reverse(view.directories_at(path)))
        storage::copy_tree(source, target,
                           {.whiteouts = storage::Whiteouts::applied,
                            .stop = {},
                            .uids = maps.uids,
                            .gids = maps.gids});
}

void check_bind_source(const model::MountPoint& mount) {
    if (mount.type != model::MountType::bind || exists(mount.source)) return;
    if (mount.create_source) {
        make_directories(mount.source, 0755);
        return;
    }
    throw Error(ErrorKind::invalid,
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source);
}

/// A directory as overlay would copy it up: with the owner and mode that it has below.
UniqueFd copy_directory(BorrowedFd parent, const std::string& name, const struct stat& status) {
    if (mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
        throw_errno("making {}", name);
    UniqueFd made(
        openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made || fchown(made.get(), status.st_uid, status.st_gid) != 0 ||
        fchmod(made.get(), status.st_mode & 07777) != 0)
        throw_errno("making {}", name);
    return made;
}

/// Makes the working directory in the container's own layer when no layer has it: the root may be
/// read-only later on. Components that a lower layer has keep their owner and mode. The layer is
/// walked once: a path may be two thousand levels deep.
void make_working_directory(const storage::RootfsMount& rootfs, const std::string& path) {
    const std::string& own = rootfs.upperdir.empty() ? rootfs.path : rootfs.upperdir;
    if (path.empty() || path == "/" || own.empty()) return;
    std::vector<UniqueFd> layers;
    for (const std::string& layer : rootfs.lowerdirs)
        layers.push_back(open_file(layer, O_PATH | O_DIRECTORY));
    const UniqueFd top = open_file(own, O_PATH | O_DIRECTORY);
    const auto find = [&](const std::string& prefix) {
        for (const UniqueFd& layer : layers)
            if (UniqueFd fd =
                    linux_os::try_open_in_root(layer, prefix, O_PATH, linux_os::Resolve::in_root))
                return fd;
        return UniqueFd();
    };
    if (find(path)) return;
    const std::string clean = linux_os::clean_path(path);
    UniqueFd place = duplicate(top);
    for (std::size_t start = 1, end = 0; end != std::string::npos; start = end + 1) {
        end = clean.find('/', start);
        const UniqueFd below = find(clean.substr(0, end));
        if (!below) break;
        struct stat status {};
        // Through a file or a link of the image: the runtime says what is wrong.
        if (fstat(below.get(), &status) != 0 || !S_ISDIR(status.st_mode)) return;
        place = copy_directory(place, clean.substr(start, end - start), status);
    }
    linux_os::make_directories_in_root(top, clean, 0755);
}

/// The directories of a new container, made by a worker.
struct DiskWork final {
    std::string directory;
    std::string record_text;
    Durability durability;
    std::optional<Digest> top;
    std::vector<model::MountPoint> mounts;
    std::string working_directory;
    const Storage& storage;
    model::IdMaps id_maps;

    void operator()() const {
        make_directories(directory, 0710);
        const storage::RootfsMount rootfs =
            storage::prepare_rootfs(storage.driver, storage.layers, directory, top);
        std::vector<std::string> lower = rootfs.lowerdirs;
        if (lower.empty() && !rootfs.path.empty()) lower.push_back(rootfs.path);
        check_devices(mounts);
        for (const model::MountPoint& mount : mounts) {
            check_bind_source(mount);
            if (mount.type == model::MountType::volume && !mount.no_copy)
                copy_up(lower, mount.destination,
                        mount.device.empty() ? mount.source : mount.device, id_maps);
        }
        make_working_directory(rootfs, working_directory);
        // The record comes last: a directory without one is a half-made container.
        replace_file(directory + "/container.json", record_text, 0600, durability);
    }
};

async::Task<void> make_on_disk(ContainerState& state, model::ContainerRecord& record) {
    for (model::MountPoint& mount : record.mounts)
        if (mount.type == model::MountType::volume && mount.source.empty())
            co_await state.deps.volumes.prepare(mount);
    DiskWork work{
        .directory = state.directory(record.id),
        .record_text = dump_json(model::to_json(record)),
        // What is removed at its end anyway need not survive a power cut.
        .durability = record.host_config.auto_remove ? Durability::process : Durability::power,
        .top = std::nullopt,
        .mounts = record.mounts,
        .working_directory = record.config.working_dir,
        .storage = state.deps.context.storage,
        .id_maps = model::id_maps_of(record.host_config, state.deps.abilities.user,
                                     state.deps.abilities.id_counts)};
    if (!record.top_layer.empty()) work.top = Digest::parse(record.top_layer);
    co_await state.deps.context.pool.run(std::move(work));
}

/// Removes what a failed create left.
async::Task<void> discard(ContainerState& state, const model::ContainerRecord& record) {
    const std::string directory = state.directory(record.id);
    auto job = [directory] { remove_tree(directory); };
    try {
        co_await state.deps.context.pool.run(std::move(job));
    } catch (const std::exception& error) {
        // The next start of the engine removes it: it has no record.
        log::warn("removing the half-made container {}: {}", record.id, error.what());
    }
    for (const model::MountPoint& mount : record.mounts) {
        if (!mount.anonymous || mount.name.empty()) continue;
        try {
            co_await state.deps.volumes.remove_if_unused(mount.name);
        } catch (const std::exception& error) {
            log::warn("removing the volume {}: {}", mount.name, error.what());
        }
    }
}

/// Makes the container on disk and then known.
async::Task<void> make(ContainerState& state, const ContainerPtr& container) {
    std::exception_ptr failure;
    {
        const UnderCreation creation(state, container->record);
        try {
            co_await make_on_disk(state, container->record);
            state.by_id.emplace(container->id(), container);
            co_return;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    co_await discard(state, container->record);
    std::rethrow_exception(failure);
}

/// A container that keeps the user's ids needs fuse-overlayfs, and runs as the user unless its
/// image or the request name another one.
void choose_userns(const ContainerState& state, model::CreateRequest& request) {
    model::HostConfig& host = request.host_config;
    host.userns_mode = model::chosen_userns_mode(host, request.config.labels,
                                                 state.settings().default_userns_mode);
    const model::Abilities& able = state.deps.abilities;
    if (model::id_maps_of(host, able.user, able.id_counts).empty()) return;
    if (state.deps.context.storage.driver.kind == storage::DriverKind::copy)
        throw Error(ErrorKind::invalid, "userns mode {} does not work with the storage driver vfs",
                    host.userns_mode);
    try {
        storage::find_fuse_overlayfs();
    } catch (Error& error) {
        throw Error(ErrorKind::invalid, "userns mode {} needs fuse-overlayfs: {}", host.userns_mode,
                    error.message());
    }
}

/// Podman's rule: keep-id is there to be the user.
void choose_user(const ContainerState& state, model::ContainerRecord& record) {
    const auto kept =
        model::kept_ids_from(record.host_config.userns_mode, state.deps.abilities.user);
    if (kept && record.config.user.empty())
        record.config.user = fmt::format("{}:{}", kept->uid, kept->gid);
}

model::ContainerRecord make_record(ContainerState& state, model::CreateRequest& request,
                                   const ImageForContainer& image, std::string id,
                                   model::MadeFor made_for) {
    model::ContainerRecord record;
    record.id = std::move(id);
    record.created = Timestamp::now();
    record.image_id = image.id;
    record.top_layer = image.top_layer;
    record.manifest = image.manifest;
    record.driver = storage::to_string(state.deps.context.storage.driver.kind);
    record.made_for = made_for;
    model::ContainerConfig inherited = image.config;
    if (made_for == model::MadeFor::build_step) inherited.volumes.clear();
    record.config = model::merge_image(std::move(request.config), inherited);
    record.host_config = std::move(request.host_config);
    record.mounts = model::collect_mounts(record.config, record.host_config);
    for (auto& [name, config] : request.networking.endpoints) {
        const Network* network = state.deps.networks.try_find(name);
        model::Endpoint endpoint;
        endpoint.config = std::move(config);
        record.endpoints.emplace(network != nullptr ? network->name : name, std::move(endpoint));
    }
    return record;
}

}  // namespace

async::Task<ContainerCreated> create_container(ContainerState& state, model::CreateRequest request,
                                               CreateOptions options) {
    const std::string id = random_hex_id();
    NameReservation reservation(state, choose_name(state, options.name, id), id);
    if (request.config.image.empty())
        throw Error(ErrorKind::invalid, "config cannot be empty in order to create a container");
    const ImageForContainer image = state.deps.images.for_container(request.config.image);
    choose_userns(state, request);
    model::validate(request.config, request.host_config, request.networking, state.deps.abilities);
    resolve_container_modes(state, request.host_config);
    model::apply_defaults(request, state.settings(),
                          {.container_id = id, .host_name = host_name()});
    // Options without a driver are the default driver's.
    model::check_log_options(request.host_config.log_config);
    auto container = std::make_shared<Container>();
    model::ContainerRecord& record = container->record;
    record = make_record(state, request, image, id, options.made_for);
    container->secret_variables = std::move(options.secret_variables);
    choose_user(state, record);
    ContainerCreated created{id, model::warnings(record, state.deps.abilities)};
    for (const std::string& line : created.warnings)
        log::warn("container {}: {}", id.substr(0, 12), line);
    for (std::string& line : check_platform(options, record.config.image, image))
        created.warnings.push_back(std::move(line));
    choose_cgroup(record, state.settings());  // refuses a parent that cannot be used
    record.name = reservation.name();
    add_volumes_from(state, record);
    find_mounted_images(state, record);
    const std::string& mode = record.host_config.network_mode;
    if (mode.starts_with("container:"))
        record.config.hostname = state.find(mode.substr(10))->record.config.hostname;
    // A missing network is found out at the start, as with Docker: clients take a 404 here for a
    // missing image.
    if (!mode.starts_with("container:")) state.deps.networks.prepare_endpoints(record);
    check_links(state, record);
    co_await make(state, container);
    reservation.keep();
    state.publish(*container, "create");
    co_return created;
}

}  // namespace berth::engine
