#include "engine/volume/state.h"

#include <dirent.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/model/mounts.h"
#include "engine/volume/local_options.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr int kVolumesVersion = 1;
constexpr const char* kAnonymousLabel = "com.docker.volume.anonymous";

std::string record_text(const Volume& volume) {
    return dump_json({{"v", kVolumesVersion},
                      {"name", volume.name},
                      {"created", volume.created.ns},
                      {"options", volume.options},
                      {"labels", volume.labels},
                      {"anonymous", volume.anonymous}});
}

Volume volume_from(const std::string& text) {
    const json value = parse_json(text);
    const JsonReader r(value);
    if (r.integer("v") != kVolumesVersion)
        throw Error(ErrorKind::invalid, "volume record of version {}: this engine reads {}",
                    r.integer("v"), kVolumesVersion);
    return {r.string("name"), Timestamp{r.integer("created")}, r.string_map("options"),
            r.string_map("labels"), r.boolean("anonymous", false)};
}

void check_driver(const VolumeRequest& request) {
    if (!request.driver.empty() && request.driver != "local")
        throw Error(ErrorKind::not_found,
                    "create {1}: error looking up volume plugin {0}: plugin \"{0}\" not found",
                    request.driver, request.name);
}

bool is_volume_name(const std::string& name) {
    try {
        model::check_volume_name(name);
        return true;
    } catch (const Error&) {
        return false;
    }
}

/// A directory without a record. With content it was restored from a backup or copied from another
/// engine, which keeps none: a volume. Without it is left over from a crash before its record.
std::optional<Volume> adopt(const std::filesystem::path& directory) {
    const std::string name = directory.filename().string();
    if (!is_volume_name(name)) return std::nullopt;  // lost+found and the like are not ours
    std::error_code absent;
    if (std::filesystem::is_empty(directory / "_data", absent) || absent) {
        remove_tree(directory.string());
        return std::nullopt;
    }
    Volume volume{.name = name, .created = Timestamp::now(), .options = {}, .labels = {}};
    replace_file(directory.string() + "/volume.json", record_text(volume), 0600, Durability::power);
    log::info("volume {} has no record: it is made anew", name);
    return volume;
}

}  // namespace

std::string VolumeState::mountpoint(const std::string& name) const {
    return deps.context.settings.data_root + "/volumes/" + name + "/_data";
}

void VolumeState::load() {
    const std::string root = deps.context.settings.data_root + "/volumes";
    make_directories(root, 0711);
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
        if (!entry.is_directory()) continue;
        try {
            const auto text = read_file_if_exists(entry.path().string() + "/volume.json");
            std::optional<Volume> volume = text ? volume_from(*text) : adopt(entry.path());
            if (!volume) continue;
            std::string name = volume->name;
            volumes.emplace(std::move(name), std::move(*volume));
        } catch (const Error& error) {
            log::warn("volume {}: {}", entry.path().string(), error.message());
        }
    }
}

async::Task<const Volume*> VolumeState::ensure(VolumeRequest request) {
    Volume volume;
    volume.anonymous = request.name.empty();
    if (volume.anonymous) {
        request.name = random_hex_id();
        request.labels.emplace(kAnonymousLabel, "");
    }
    if (removing.contains(request.name))
        throw Error(ErrorKind::conflict, "create {}: volume is being removed", request.name);
    check_driver(request);
    if (const auto known = volumes.find(request.name); known != volumes.end())
        co_return &known->second;
    model::check_volume_name(request.name);
    local_volume_from(request.name, request.options);  // refuses what cannot be mounted
    volume.name = request.name;
    volume.created = Timestamp::now();
    volume.options = request.options;
    volume.labels = request.labels;
    const std::string directory = deps.context.settings.data_root + "/volumes/" + volume.name;
    const std::string text = record_text(volume);
    const Durability durability = volume.anonymous ? Durability::process : Durability::power;
    auto job = [directory, text, durability] {
        make_directories(directory + "/_data", 0755);
        replace_file(directory + "/volume.json", text, 0600, durability);
    };
    co_await deps.context.pool.run(std::move(job));
    const auto [place, added] = volumes.emplace(request.name, std::move(volume));
    if (added) publish(request.name, "create");
    co_return &place->second;
}

async::Task<void> VolumeState::prepare(model::MountPoint& mount) {
    VolumeRequest request;
    request.name = mount.name;
    request.driver = mount.driver;
    request.labels = mount.volume_labels;
    request.options = mount.volume_options;
    const Volume* volume = co_await ensure(std::move(request));
    mount.name = volume->name;
    mount.driver = "local";
    mount.source = mountpoint(volume->name);
    const LocalVolume local = local_volume_from(volume->name, volume->options);
    mount.device = local.device;
    if (local.read_only) mount.read_write = false;
    // Nothing that is copied now would be there at the start.
    if (local.kind == LocalKind::tmpfs) mount.no_copy = true;
}

std::optional<std::vector<std::string>> VolumeState::tmpfs_options(const std::string& name) const {
    const auto found = volumes.find(name);
    if (found == volumes.end()) return std::nullopt;
    LocalVolume local = local_volume_from(name, found->second.options);
    if (local.kind != LocalKind::tmpfs) return std::nullopt;
    return std::move(local.options);
}

async::Task<void> VolumeState::mount(std::string name) {
    const auto options = tmpfs_options(name);
    if (!options) co_return;
    const async::Lock::Guard guard = co_await mounting.acquire();
    auto job = [root = deps.context.settings.data_root + "/volumes", target = mountpoint(name),
                options = *options, use = running_use ? running_use(name) : std::nullopt] {
        mount_tmpfs(root, target, options, use);
    };
    co_await deps.context.pool.run(std::move(job));
}

async::Task<void> VolumeState::unmount_unused(std::string name) {
    if (!tmpfs_options(name)) co_return;
    const async::Lock::Guard guard = co_await mounting.acquire();
    if (in_use && in_use(name)) co_return;
    auto job = [target = mountpoint(name)] { unmount_tmpfs(target); };
    co_await deps.context.pool.run(std::move(job));
}

async::Task<void> VolumeState::destroy(std::string name) {
    if (!removing.insert(name).second)
        throw Error(ErrorKind::conflict, "remove {}: volume is being removed", name);
    const std::string directory = deps.context.settings.data_root + "/volumes/" + name;
    std::exception_ptr failure;
    // The record goes last: after a crash the volume is there still, and can be removed again.
    auto job = [directory] {
        remove_tree(directory + "/_data");
        remove_tree(directory);
    };
    try {
        co_await deps.context.pool.run(std::move(job));
    } catch (...) {
        failure = std::current_exception();
    }
    removing.erase(name);
    if (failure) std::rethrow_exception(failure);
    volumes.erase(name);
    publish(name, "destroy");
}

async::Task<void> VolumeState::remove_if_unused(std::string name) {
    if (!volumes.contains(name) || removing.contains(name)) co_return;
    if (users && !users(name).empty()) co_return;
    co_await destroy(name);
}

void VolumeState::publish(const std::string& name, const std::string& action,
                          std::map<std::string, std::string> attributes) const {
    attributes.emplace("driver", "local");
    Event event;
    event.type = "volume";
    event.action = action;
    event.actor = name;
    event.attributes = std::move(attributes);
    deps.context.events.publish(std::move(event));
}

}  // namespace berth::engine
