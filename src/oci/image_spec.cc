#include "oci/image_spec.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace berth::oci {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxManifestsInIndex = 1000;
constexpr std::size_t kMaxHistory = 2000;

json parse_limited(std::string_view text, std::size_t limit) {
    return parse_json(text, {.max_bytes = limit, .max_depth = 32});
}

Platform read_platform(const JsonReader& reader) {
    return {.os = reader.string("os"),
            .architecture = reader.string("architecture"),
            .variant = reader.string("variant")};
}

Descriptor read_descriptor(const JsonReader& reader) {
    Descriptor result{.media_type = reader.string("mediaType"),
                      .digest = Digest::parse(reader.string("digest")),
                      .size = reader.integer("size"),
                      .platform = std::nullopt,
                      .annotations = reader.string_map("annotations")};
    if (result.size < 0)
        throw Error(ErrorKind::invalid, "{}: negative size", reader.path_of("size"));
    if (reader.has("platform")) result.platform = read_platform(reader.object("platform"));
    return result;
}

json write_descriptor(const Descriptor& descriptor) {
    json result{{"mediaType", descriptor.media_type},
                {"digest", descriptor.digest.str()},
                {"size", descriptor.size}};
    if (!descriptor.annotations.empty()) result["annotations"] = descriptor.annotations;
    return result;
}

/// The keys of {"80/tcp":{},…}.
std::set<std::string> read_key_set(const JsonReader& reader, std::string_view key) {
    std::set<std::string> result;
    const JsonReader members = reader.object(key);
    for (const auto& member : members.value().items()) result.insert(member.key());
    return result;
}

json write_key_set(const std::set<std::string>& keys) {
    json result = json::object();
    for (const std::string& key : keys) result[key] = json::object();
    return result;
}

std::optional<std::vector<std::string>> read_optional_list(const JsonReader& reader,
                                                           std::string_view key) {
    if (!reader.has(key)) return std::nullopt;
    return reader.string_or_strings(key);
}

Timestamp read_time(const JsonReader& reader, std::string_view key) {
    const std::string text = reader.string(key);
    if (text.empty() || text.starts_with("0001-01-01T00:00:00")) return {};
    return parse_rfc3339(text);
}

HealthCheck read_health_check(const JsonReader& reader) {
    return {.test = reader.strings("Test"),
            .interval = reader.integer("Interval"),
            .timeout = reader.integer("Timeout"),
            .start_period = reader.integer("StartPeriod"),
            .start_interval = reader.integer("StartInterval"),
            .retries = reader.integer("Retries")};
}

ContainerDefaults read_defaults(const JsonReader& reader) {
    check_no_zero_bytes(reader.value(), "config");
    ContainerDefaults result;
    result.user = reader.string("User");
    result.exposed_ports = read_key_set(reader, "ExposedPorts");
    result.env = reader.strings("Env");
    result.entrypoint = read_optional_list(reader, "Entrypoint");
    result.cmd = read_optional_list(reader, "Cmd");
    result.volumes = read_key_set(reader, "Volumes");
    result.working_dir = reader.string("WorkingDir");
    result.labels = reader.string_map("Labels");
    result.stop_signal = reader.string("StopSignal");
    result.on_build = reader.strings("OnBuild");
    result.shell = read_optional_list(reader, "Shell");
    if (reader.has("Healthcheck"))
        result.healthcheck = read_health_check(reader.object("Healthcheck"));
    return result;
}

std::vector<HistoryEntry> read_history(const JsonReader& reader) {
    std::vector<HistoryEntry> result;
    for (const JsonReader& entry : reader.objects("history")) {
        if (result.size() == kMaxHistory)
            throw Error(ErrorKind::invalid, "history: more than {} entries", kMaxHistory);
        result.push_back({.created = read_time(entry, "created"),
                          .created_by = entry.string("created_by"),
                          .author = entry.string("author"),
                          .comment = entry.string("comment"),
                          .empty_layer = entry.boolean("empty_layer", false)});
    }
    return result;
}

json write_history(const HistoryEntry& entry) {
    json result = json::object();
    if (entry.created != Timestamp{}) result["created"] = rfc3339(entry.created);
    if (!entry.created_by.empty()) result["created_by"] = entry.created_by;
    if (!entry.author.empty()) result["author"] = entry.author;
    if (!entry.comment.empty()) result["comment"] = entry.comment;
    if (entry.empty_layer) result["empty_layer"] = true;
    return result;
}

}  // namespace

std::string Platform::str() const {
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

DocumentKind classify_document(std::string_view text, std::string_view content_type) {
    const json document = parse_limited(text, kMaxManifestBytes);
    const JsonReader reader(document, "manifest");
    std::string type = reader.string("mediaType");
    if (type.empty()) type = content_type.substr(0, content_type.find(';'));
    if (type == kDockerManifestList || type == kOciIndex) return DocumentKind::index;
    if (type == kDockerManifest || type == kOciManifest) return DocumentKind::manifest;
    if (reader.integer("schemaVersion") == 1)
        throw Error(ErrorKind::invalid,
                    "the manifest is in the outdated format of schema 1, which is not supported");
    if (reader.has("manifests")) return DocumentKind::index;
    if (reader.has("layers")) return DocumentKind::manifest;
    throw Error(ErrorKind::invalid, "unsupported manifest media type '{}'", type);
}

ImageManifest parse_manifest(std::string_view text) {
    const json document = parse_limited(text, kMaxManifestBytes);
    const JsonReader reader(document, "manifest");
    ImageManifest result{.media_type = reader.string("mediaType"),
                         .config = read_descriptor(reader.object("config")),
                         .layers = {}};
    for (const JsonReader& layer : reader.objects("layers")) {
        if (result.layers.size() == kMaxLayers)
            throw Error(ErrorKind::invalid, "manifest: more than {} layers", kMaxLayers);
        result.layers.push_back(read_descriptor(layer));
    }
    return result;
}

ImageIndex parse_index(std::string_view text) {
    const json document = parse_limited(text, kMaxManifestBytes);
    const JsonReader reader(document, "index");
    ImageIndex result{.media_type = reader.string("mediaType"), .manifests = {}};
    for (const JsonReader& manifest : reader.objects("manifests")) {
        if (result.manifests.size() == kMaxManifestsInIndex)
            throw Error(ErrorKind::invalid, "index: more than {} manifests", kMaxManifestsInIndex);
        result.manifests.push_back(read_descriptor(manifest));
    }
    return result;
}

ImageConfig parse_image_config(std::string_view text) {
    const json document = parse_limited(text, kMaxConfigBytes);
    const JsonReader reader(document, "image configuration");
    ImageConfig result;
    result.created = read_time(reader, "created");
    result.author = reader.string("author");
    result.comment = reader.string("comment");
    result.docker_version = reader.string("docker_version");
    result.platform = read_platform(reader);
    result.os_version = reader.string("os.version");
    result.config = read_defaults(reader.object("config"));
    const JsonReader rootfs = reader.object("rootfs");
    if (rootfs.string("type") != "layers")
        throw Error(ErrorKind::invalid, "invalid rootfs in image configuration");
    for (const std::string& diff_id : rootfs.strings("diff_ids")) {
        if (result.diff_ids.size() == kMaxLayers)
            throw Error(ErrorKind::invalid, "image configuration: more than {} layers", kMaxLayers);
        result.diff_ids.push_back(Digest::parse(diff_id));
    }
    result.history = read_history(reader);
    result.command = reader.object("container_config").string_or_strings("Cmd");
    return result;
}

json to_json(const ImageManifest& manifest) {
    json layers = json::array();
    for (const Descriptor& layer : manifest.layers) layers.push_back(write_descriptor(layer));
    return {{"schemaVersion", 2},
            {"mediaType", manifest.media_type},
            {"config", write_descriptor(manifest.config)},
            {"layers", std::move(layers)}};
}

json to_json(const HealthCheck& check) {
    json result = json::object();
    if (!check.test.empty()) result["Test"] = check.test;
    if (check.interval != 0) result["Interval"] = check.interval;
    if (check.timeout != 0) result["Timeout"] = check.timeout;
    if (check.start_period != 0) result["StartPeriod"] = check.start_period;
    if (check.start_interval != 0) result["StartInterval"] = check.start_interval;
    if (check.retries != 0) result["Retries"] = check.retries;
    return result;
}

json to_json(const ContainerDefaults& defaults) {
    json result = json::object();
    if (!defaults.user.empty()) result["User"] = defaults.user;
    if (!defaults.exposed_ports.empty())
        result["ExposedPorts"] = write_key_set(defaults.exposed_ports);
    if (!defaults.env.empty()) result["Env"] = defaults.env;
    if (defaults.entrypoint) result["Entrypoint"] = *defaults.entrypoint;
    if (defaults.cmd) result["Cmd"] = *defaults.cmd;
    if (!defaults.volumes.empty()) result["Volumes"] = write_key_set(defaults.volumes);
    if (!defaults.working_dir.empty()) result["WorkingDir"] = defaults.working_dir;
    if (!defaults.labels.empty()) result["Labels"] = defaults.labels;
    if (!defaults.stop_signal.empty()) result["StopSignal"] = defaults.stop_signal;
    if (!defaults.on_build.empty()) result["OnBuild"] = defaults.on_build;
    if (defaults.shell) result["Shell"] = *defaults.shell;
    if (defaults.healthcheck) result["Healthcheck"] = to_json(*defaults.healthcheck);
    return result;
}

json to_json(const ImageConfig& config) {
    json diff_ids = json::array();
    for (const Digest& diff_id : config.diff_ids) diff_ids.push_back(diff_id.str());
    json history = json::array();
    for (const HistoryEntry& entry : config.history) history.push_back(write_history(entry));
    json result{{"architecture", config.platform.architecture},
                {"os", config.platform.os},
                {"config", to_json(config.config)},
                {"created", rfc3339(config.created)},
                {"rootfs", {{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}},
                {"history", std::move(history)}};
    if (!config.platform.variant.empty()) result["variant"] = config.platform.variant;
    if (!config.os_version.empty()) result["os.version"] = config.os_version;
    if (!config.author.empty()) result["author"] = config.author;
    if (!config.comment.empty()) result["comment"] = config.comment;
    if (!config.docker_version.empty()) result["docker_version"] = config.docker_version;
    if (!config.command.empty()) result["container_config"] = {{"Cmd", config.command}};
    return result;
}

}  // namespace berth::oci
