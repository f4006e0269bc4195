#include "image/distribution.h"

#include "base/error.h"
#include "image/registry.h"

namespace berth::image {

RemoteImage describe_remote(const RegistrySettings& settings, const Reference& reference,
                            const Credentials& credentials, std::stop_token stop) {
    RegistryClient client(settings, reference.without_tag_and_digest(), credentials);
    const FetchedManifest manifest = client.manifest(reference.with_default_tag(), stop);
    RemoteImage result{.descriptor = {.media_type = manifest.content_type,
                                      .digest = manifest.digest,
                                      .size = static_cast<std::int64_t>(manifest.text.size()),
                                      .platform = {},
                                      .annotations = {}},
                       .platforms = {}};
    if (oci::classify_document(manifest.text, manifest.content_type) == oci::DocumentKind::index) {
        for (const oci::Descriptor& entry : oci::parse_index(manifest.text).manifests)
            if (entry.platform) result.platforms.push_back(*entry.platform);
        return result;
    }
    const oci::Descriptor config = oci::parse_manifest(manifest.text).config;
    result.platforms.push_back(oci::parse_image_config(client.small_blob(config, stop)).platform);
    return result;
}

}  // namespace berth::image
