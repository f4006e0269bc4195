// The writing side of one repository at its registry, for the time of one push: looks for blobs,
// mounts them from other repositories, uploads, puts manifests. Thread-safe: upload threads share
// it. Mirrors are never written to. Refusals are Errors with Docker's texts; Error{unavailable} is
// what a second try may mend.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <string>

#include "base/digest.h"
#include "image/auth.h"
#include "image/reference.h"
#include "image/registry_session.h"
#include "image/registry_settings.h"

namespace berth::image {

/// Where the next request of an upload goes; every answer names it anew.
struct UploadLocation final {
    std::string url;
};

class RegistryWriter final {
  public:
    /// Borrows the settings. connect() comes first.
    RegistryWriter(const RegistrySettings& settings, Reference repository, Credentials credentials);

    /// Finds the endpoint that answers: https, else http where that is allowed.
    void connect(std::stop_token stop);
    bool has_blob(const Digest& digest, std::stop_token stop);
    /// True when the registry took the blob over from its repository `from` ("library/alpine").
    bool mount(const Digest& digest, const std::string& from, std::stop_token stop);
    UploadLocation begin_upload(std::stop_token stop);
    /// Sends all that `body` gives; it fills the span and says how much, 0 at the end.
    using GiveBytes = std::function<std::size_t(std::span<char>)>;
    UploadLocation send(const UploadLocation& upload, GiveBytes body, std::stop_token stop);
    void commit(const UploadLocation& upload, const Digest& digest, std::stop_token stop);
    /// A small blob, in one piece.
    void put_blob(const Digest& digest, const std::string& bytes, std::stop_token stop);
    void put_manifest(const std::string& tag, const std::string& text,
                      const std::string& media_type, std::stop_token stop);

  private:
    HttpRequest request(const std::string& method, const std::string& path) const;
    UploadLocation location_of(const HttpResponse& response) const;
    HttpResponse exchange(HttpRequest request, std::stop_token stop,
                          const std::string& more_scope = "");
    const RegistryEndpoint& endpoint() const { return session_.endpoints().at(current_); }

    const Reference repository_;
    RegistrySession session_;
    std::size_t current_ = 0;  // set by connect()
};

}  // namespace berth::image
