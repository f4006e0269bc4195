// Client of one repository at its registry (distribution API v2), for the time of one operation.
// Thread-safe: download threads share it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "image/auth.h"
#include "image/reference.h"
#include "image/registry_endpoint.h"
#include "image/registry_session.h"
#include "image/registry_settings.h"
#include "image/transport.h"
#include "oci/image_spec.h"

namespace berth::image {

struct FetchedManifest final {
    std::string text;
    std::string content_type;
    Digest digest;  // computed over the text
};

class RegistryClient final {
  public:
    /// Borrows the settings. No connection is made yet.
    RegistryClient(const RegistrySettings& settings, Reference repository, Credentials credentials);

    /// By tag or by digest (which is then checked); tries the endpoints in order and stays with the
    /// one that answered. Throws Error with Docker's texts: not_found, unauthorized, …
    FetchedManifest manifest(const Reference& reference, std::stop_token stop);
    /// The bytes of a blob from `offset` on; `take` may get bytes from 0 again when the registry
    /// ignores ranges: `position` says where each piece belongs. The digest is the caller's to
    /// check. Throws Error{unavailable} for what a second try may mend.
    using TakeBytes = std::function<void(std::int64_t position, std::string_view bytes)>;
    void blob(const Digest& digest, std::int64_t offset, const TakeBytes& take,
              std::stop_token stop);
    /// An image's configuration, checked. Throws Error{invalid} when it is too large or another.
    std::string small_blob(const oci::Descriptor& descriptor, std::stop_token stop);
    /// All tags of the repository.
    std::vector<std::string> tags(std::stop_token stop);

  private:
    std::size_t current();
    void blob_from(const RegistryEndpoint& endpoint, const Digest& digest, std::int64_t offset,
                   const TakeBytes& take, std::stop_token stop);
    HttpResponse get_from_any(const std::string& path, const std::vector<std::string>& headers,
                              std::size_t limit, std::stop_token stop);
    std::string url_of(const RegistryEndpoint& endpoint, const std::string& path) const;
    [[noreturn]] void refuse(const HttpResponse& response, const std::string& what) const;

    const Reference repository_;
    RegistrySession session_;

    std::mutex mutex_;
    std::size_t current_ = 0;  // the endpoint that answered last; guarded
};

}  // namespace berth::image
