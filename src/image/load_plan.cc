#include "image/load_plan.h"

#include <nlohmann/json.hpp>

#include "archive/digester.h"
#include "base/error.h"
#include "base/json.h"
#include "image/platform.h"
#include "oci/image_spec.h"

namespace berth::image {
namespace {

constexpr std::size_t kMaxImages = 10'000;

std::vector<ArchivedImage> plan_docker_archive(const ArchiveMembers& members) {
    const nlohmann::json document = parse_json(members.text("manifest.json", oci::kMaxConfigBytes));
    if (!document.is_array() || document.size() > kMaxImages)
        throw Error(ErrorKind::invalid, "invalid archive: manifest.json is not a list of images");
    std::vector<ArchivedImage> result;
    for (const nlohmann::json& item : document) {
        const JsonReader reader(item, "manifest.json");
        ArchivedImage image;
        image.config = members.text(reader.string("Config"), oci::kMaxConfigBytes);
        image.layers = reader.strings("Layers");
        for (const std::string& tag : reader.strings("RepoTags"))
            image.tags.push_back(Reference::parse(tag).with_default_tag());
        result.push_back(std::move(image));
    }
    return result;
}

std::string blob_name(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

std::string checked_blob(const ArchiveMembers& members, const Digest& digest, std::size_t limit) {
    std::string text = members.text(blob_name(digest), limit);
    if (archive::sha256(text) != digest)
        throw Error(ErrorKind::invalid, "invalid archive: blob {} has another content",
                    digest.str());
    return text;
}

/// The name that an entry of index.json gives: containerd's annotation, or ref.name when it is more
/// than a bare tag.
std::vector<Reference> names_of(const oci::Descriptor& entry) {
    std::string name;
    if (const auto full = entry.annotations.find("io.containerd.image.name");
        full != entry.annotations.end()) {
        name = full->second;
    } else if (const auto ref = entry.annotations.find("org.opencontainers.image.ref.name");
               ref != entry.annotations.end() &&
               ref->second.find_first_of("/:@") != std::string::npos) {
        name = ref->second;
    }
    if (name.empty()) return {};
    const Reference reference = Reference::parse(name).with_default_tag();
    // A digest reference says what the registry had, which an archive cannot vouch for.
    if (reference.digest()) return {};
    return {reference};
}

std::vector<ArchivedImage> plan_oci_layout(const ArchiveMembers& members,
                                           const std::optional<oci::Platform>& wanted) {
    const oci::ImageIndex top =
        oci::parse_index(members.text("index.json", oci::kMaxManifestBytes));
    std::vector<ArchivedImage> result;
    for (const oci::Descriptor& entry : top.manifests) {
        std::string text = checked_blob(members, entry.digest, oci::kMaxManifestBytes);
        if (oci::classify_document(text, entry.media_type) == oci::DocumentKind::index) {
            const oci::ImageIndex inner = oci::parse_index(text);
            const oci::Descriptor& chosen =
                select_manifest(inner, wanted.value_or(host_platform()));
            text = checked_blob(members, chosen.digest, oci::kMaxManifestBytes);
        } else if (entry.platform && entry.platform->os == "unknown") {
            continue;  // an attestation
        }
        const oci::ImageManifest manifest = oci::parse_manifest(text);
        ArchivedImage image;
        image.config = checked_blob(members, manifest.config.digest, oci::kMaxConfigBytes);
        for (const oci::Descriptor& layer : manifest.layers)
            image.layers.push_back(blob_name(layer.digest));
        image.tags = names_of(entry);
        result.push_back(std::move(image));
    }
    return result;
}

}  // namespace

std::vector<ArchivedImage> plan_load(const ArchiveMembers& members,
                                     const std::optional<oci::Platform>& wanted) {
    std::vector<ArchivedImage> images;
    if (members.contains("manifest.json")) {
        images = plan_docker_archive(members);
    } else if (members.contains("index.json")) {
        images = plan_oci_layout(members, wanted);
    } else {
        throw Error(ErrorKind::invalid,
                    "invalid archive: it has neither manifest.json nor index.json, so it is no "
                    "archive of images");
    }
    if (wanted)
        for (const ArchivedImage& image : images)
            check_platform(image.tags.empty() ? "without a name" : image.tags.front().familiar(),
                           oci::parse_image_config(image.config).platform, wanted);
    return images;
}

}  // namespace berth::image
