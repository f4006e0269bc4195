#include "engine/engine.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "async/worker_pool.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/abilities.h"
#include "engine/build/build_state.h"
#include "engine/containers/state.h"
#include "engine/data_root.h"
#include "engine/housekeeping_state.h"
#include "engine/image/state.h"
#include "engine/network/state.h"
#include "engine/system_facts.h"
#include "engine/volume/state.h"
#include "oci/default_seccomp.h"

namespace berth::engine {

namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::chrono::seconds kTaskEnd{5};

/// Files of the configuration that are missing would fail each container later.
void check_files(const Settings& settings) {
    const auto check = [](const std::string& option, const std::string& path) {
        if (access(path.c_str(), X_OK) != 0) throw_errno("{} {}", option, path);
    };
    if (!settings.init_program.empty()) check("init-path", settings.init_program);
    for (const auto& [name, program] : settings.runtimes)
        check("runtime " + name + ":", program.path);
    if (settings.seccomp_profile.find('/') == std::string::npos) return;
    try {
        (void)oci::parse_docker_seccomp(read_file(settings.seccomp_profile), {});
    } catch (Error& error) {
        throw error.while_("seccomp-profile {}", settings.seccomp_profile);
    }
}

std::string engine_id(const std::string& data_root) {
    const std::string path = data_root + "/engine-id";
    if (const auto known = read_file_if_exists(path)) return known->substr(0, known->find('\n'));
    const std::string id = random_hex_id();
    replace_file(path, id + "\n", 0600, Durability::power);
    return id;
}

bool mounts_volume(const model::ContainerRecord& record, const std::string& name) {
    return std::ranges::any_of(record.mounts, [&](const model::MountPoint& mount) {
        return mount.type == model::MountType::volume && mount.name == name;
    });
}

bool mounts_image(const model::ContainerRecord& record, const std::string& id) {
    return std::ranges::any_of(
        record.mounts, [&](const model::MountPoint& mount) { return mount.image_id == id; });
}

Storage open_storage(const Settings& settings) {
    storage::ProbeRequest request;
    request.data_directory = settings.data_root;
    if (!settings.storage_driver.empty())
        request.requested = storage::driver_from(settings.storage_driver);
    const archive::TarLimits limits{
        .max_entries = static_cast<std::uint64_t>(settings.max_layer_entries),
        .entries_setting = "max-layer-entries",
        .max_total_size = static_cast<std::uint64_t>(settings.max_layer_size),
        .size_setting = "max-layer-size"};
    Storage storage{storage::probe(request), storage::LayerStore::open(settings.data_root, limits)};
    log::info("storage driver {}: {}", storage::to_string(storage.driver.kind),
              storage.driver.reason);
    return storage;
}

}  // namespace

struct Engine::Parts final {
    Parts(boost::asio::io_context& io_context, Settings from)
        : io(io_context),
          settings(std::move(from)),
          tasks(io.get_executor()),
          events(io),
          pool(kWorkers) {}

    boost::asio::io_context& io;
    Settings settings;
    UniqueFd data_lock;
    async::TaskGroup tasks;
    Events events;
    std::optional<Storage> storage;
    std::unique_ptr<Images> images;
    std::unique_ptr<Volumes> volumes;
    std::unique_ptr<Networks> networks;
    std::unique_ptr<Containers> containers;
    std::unique_ptr<Execs> execs;
    std::unique_ptr<Builder> builder;
    std::unique_ptr<Housekeeping> housekeeping;
    std::unique_ptr<System> system;
    std::string own_id;  // the engine's, kept in the data root
    // The last member: its destructor waits for jobs, which use what is above.
    async::WorkerPool pool;

    void build();
    void wire();
    ContainerCounts counts() const;
};

void Engine::Parts::build() {
    const Context context{io.get_executor(), settings, pool, tasks, events, *storage};
    const model::Abilities abilities = find_abilities(settings);
    images = std::make_unique<Images>(ImageDependencies{context});
    volumes = std::make_unique<Volumes>(VolumeDependencies{context});
    own_id = engine_id(settings.data_root);
    networks = std::make_unique<Networks>(NetworkDependencies{context, own_id});
    containers = std::make_unique<Containers>(ContainerDependencies{
        context, images->state(), volumes->state(), networks->state(), abilities});
    execs = std::make_unique<Execs>(containers->state());
    builder = std::make_unique<Builder>(BuilderDependencies{context, *containers, *images});
    housekeeping =
        std::make_unique<Housekeeping>(HousekeepingDependencies{*containers, *images, *volumes});
    system = std::make_unique<System>(
        SystemDependencies{context, abilities, [this] { return counts(); },
                           [this] { return images->state().store->list().size(); },
                           [this] { return networks->warnings(); }, own_id, Timestamp::now()});
}

/// Answers to what images, volumes and networks have to know about containers.
void Engine::Parts::wire() {
    ContainerState& state = containers->state();
    images->state().uses = [&state](const Digest& id) {
        std::vector<image::ImageUse> uses;
        for (const auto& [key, container] : state.by_id)
            if (container->record.image_id == id.str() || mounts_image(container->record, id.str()))
                uses.push_back({key, container->record.state.is_running()});
        for (const model::ContainerRecord* record : state.creating)
            if (record->image_id == id.str() || mounts_image(*record, id.str()))
                uses.push_back({record->id, false});
        return uses;
    };
    images->state().top_layers = [&state] {
        std::vector<std::string> tops;
        const auto add = [&tops](const model::ContainerRecord& record) {
            std::ranges::move(model::top_layers_of(record), std::back_inserter(tops));
        };
        for (const auto& [key, container] : state.by_id) add(container->record);
        for (const model::ContainerRecord* record : state.creating) add(*record);
        return tops;
    };
    volumes->state().users = [&state](const std::string& name) {
        std::vector<std::string> users;
        for (const auto& [key, container] : state.by_id)
            if (mounts_volume(container->record, name)) users.push_back(key);
        for (const model::ContainerRecord* record : state.creating)
            if (mounts_volume(*record, name)) users.push_back(record->id);
        return users;
    };
    volumes->state().running_use = [&state](const std::string& name) -> std::optional<VolumeUse> {
        for (const auto& [key, container] : state.by_id)
            for (const model::MountPoint& mount : container->record.mounts)
                if (mount.type == model::MountType::volume && mount.name == name &&
                    mount.subpath.empty() && container->record.state.has_process())
                    return VolumeUse{container->record.state.pid, mount.destination};
        return std::nullopt;
    };
    volumes->state().in_use = [&state](const std::string& name) {
        return std::ranges::any_of(state.by_id, [&](const auto& entry) {
            const Container& container = *entry.second;
            return (container.starting || container.record.state.has_process()) &&
                   mounts_volume(container.record, name);
        });
    };
    networks->state().users = [&state](const std::string& name) {
        std::vector<NetworkUser> users;
        for (const auto& [key, container] : state.by_id) {
            const model::ContainerRecord& record = container->record;
            const auto endpoint = record.endpoints.find(name);
            if (endpoint != record.endpoints.end() && !endpoint->second.endpoint_id.empty())
                users.push_back({key, record.name, endpoint->second});
        }
        return users;
    };
    networks->state().plugged = [&state] {
        std::vector<const model::ContainerRecord*> records;
        for (const auto& [key, container] : state.by_id)
            for (const auto& [name, endpoint] : container->record.endpoints)
                if (!endpoint.interface.empty()) {
                    records.push_back(&container->record);
                    break;
                }
        return records;
    };
    networks->state().container_name = [&state](const std::string& ref) {
        const ContainerPtr container = state.try_find(ref);
        return container ? container->record.name : std::string();
    };
}

ContainerCounts Engine::Parts::counts() const {
    ContainerCounts counts;
    for (const auto& [id, container] : containers->state().by_id) {
        if (container->record.made_for == model::MadeFor::build_step) continue;
        ++counts.all;
        const model::Status status = container->record.state.status;
        if (status == model::Status::paused) {
            ++counts.paused;
        } else if (container->record.state.is_running()) {
            ++counts.running;
        }
    }
    return counts;
}

Engine::Engine(boost::asio::io_context& io, Settings settings)
    : parts_(std::make_unique<Parts>(io, std::move(settings))) {}
Engine::~Engine() = default;

async::Task<void> Engine::start() {
    Parts& parts = *parts_;
    check_files(parts.settings);
    parts.data_lock = lock_data_root(parts.settings.data_root);
    check_format(parts.settings.data_root);
    remove_unfinished_records(parts.settings.data_root);
    make_directories(parts.settings.exec_root, 0700);
    parts.storage.emplace(open_storage(parts.settings));
    parts.build();
    parts.images->state().load();
    parts.volumes->state().load();
    co_await parts.networks->state().load();
    parts.wire();
    co_await parts.containers->load();
    parts.images->state().collect_layers();
    parts.builder->load();
}

async::Task<void> Engine::shutdown() {
    Parts& parts = *parts_;
    if (parts.containers) co_await parts.containers->shut_down();
    co_await parts.tasks.stop(std::chrono::steady_clock::now() + kTaskEnd);
}

void Engine::reload(const Settings& wanted, std::map<std::string, std::string> shown) {
    Settings& settings = parts_->settings;
    settings.debug = wanted.debug;
    settings.labels = wanted.labels;
    settings.live_restore = wanted.live_restore;
    settings.shutdown_timeout_s = wanted.shutdown_timeout_s;
    settings.default_stop_timeout_s = wanted.default_stop_timeout_s;
    settings.default_shm_size = wanted.default_shm_size;
    settings.registry_mirrors = wanted.registry_mirrors;
    settings.insecure_registries = wanted.insecure_registries;
    settings.max_concurrent_downloads = wanted.max_concurrent_downloads;
    settings.max_concurrent_uploads = wanted.max_concurrent_uploads;
    settings.max_download_attempts = wanted.max_download_attempts;
    parts_->images->state().apply_registry_settings();
    Event event;
    event.type = "daemon";
    event.action = "reload";
    event.actor = parts_->own_id;
    event.attributes = std::move(shown);
    event.attributes["name"] = host_name();
    parts_->events.publish(std::move(event));
}

const Settings& Engine::settings() const { return parts_->settings; }
Containers& Engine::containers() { return *parts_->containers; }
Execs& Engine::execs() { return *parts_->execs; }
Images& Engine::images() { return *parts_->images; }
Volumes& Engine::volumes() { return *parts_->volumes; }
Networks& Engine::networks() { return *parts_->networks; }
Builder& Engine::builder() { return *parts_->builder; }
Housekeeping& Engine::housekeeping() { return *parts_->housekeeping; }
Events& Engine::events() { return parts_->events; }
System& Engine::system() { return *parts_->system; }

}  // namespace berth::engine
