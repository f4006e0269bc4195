// The image side of OCI and of Docker's schema 2: manifest, index, image configuration. Parsing is
// strict about types and limits, since all of it comes from outside.
// Plain values, no IO. Errors: Error{invalid} naming the member.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"

namespace berth::oci {

constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerManifestList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kDockerImageConfig = "application/vnd.docker.container.image.v1+json";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kOciImageConfig = "application/vnd.oci.image.config.v1+json";

constexpr std::size_t kMaxManifestBytes = 4U << 20;
constexpr std::size_t kMaxConfigBytes = 8U << 20;
/// Overlay takes 500 lower directories; Docker stops at 127 layers.
constexpr std::size_t kMaxLayers = 127;

struct Platform final {
    std::string os;
    std::string architecture;
    std::string variant;
    bool operator==(const Platform&) const = default;
    /// "linux/arm64/v8"
    std::string str() const;
};

struct Descriptor final {
    std::string media_type;
    Digest digest;
    std::int64_t size = 0;
    std::optional<Platform> platform;
    std::map<std::string, std::string> annotations;
};

struct ImageManifest final {
    std::string media_type;
    Descriptor config;
    std::vector<Descriptor> layers;  // lowest first
};

struct ImageIndex final {
    std::string media_type;
    std::vector<Descriptor> manifests;
};

/// Durations in nanoseconds; zero means inherited or default.
struct HealthCheck final {
    std::vector<std::string> test;
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    std::int64_t retries = 0;
    bool operator==(const HealthCheck&) const = default;
};

/// The member "config": what a container inherits from its image.
struct ContainerDefaults final {
    std::string user;
    std::set<std::string> exposed_ports;
    std::vector<std::string> env;
    std::optional<std::vector<std::string>> entrypoint;
    std::optional<std::vector<std::string>> cmd;
    std::set<std::string> volumes;
    std::string working_dir;
    std::map<std::string, std::string> labels;
    std::string stop_signal;
    std::vector<std::string> on_build;
    std::optional<std::vector<std::string>> shell;
    std::optional<HealthCheck> healthcheck;
    bool operator==(const ContainerDefaults&) const = default;
};

struct HistoryEntry final {
    Timestamp created;
    std::string created_by;
    std::string author;
    std::string comment;
    bool empty_layer = false;
};

struct ImageConfig final {
    Timestamp created;
    std::string author;
    std::string comment;
    std::string docker_version;
    Platform platform;
    std::string os_version;
    ContainerDefaults config;
    std::vector<Digest> diff_ids;  // lowest first
    std::vector<HistoryEntry> history;
    /// container_config.Cmd: the step of a build that made it. Docker's cache compares it.
    std::vector<std::string> command;
};

enum class DocumentKind { manifest, index };
/// Tells a manifest from an index by mediaType, else by its members; `content_type` is the HTTP
/// header (or empty). Throws Error{invalid} for schema 1 and for anything unknown.
DocumentKind classify_document(std::string_view text, std::string_view content_type);

ImageManifest parse_manifest(std::string_view text);
ImageIndex parse_index(std::string_view text);
ImageConfig parse_image_config(std::string_view text);

nlohmann::json to_json(const ImageManifest& manifest);
nlohmann::json to_json(const ImageConfig& config);
/// As in the image configuration: only the members that are set.
nlohmann::json to_json(const ContainerDefaults& defaults);
nlohmann::json to_json(const HealthCheck& check);

}  // namespace berth::oci
