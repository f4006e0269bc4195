// Pulling images from a registry. One Puller serves all pulls of the engine: it lets pulls that
// need the same layer share it. pull() is synchronous: run it on a thread of its own (it starts up
// to three download threads that end with it). libcurl is loaded at the first pull, not before.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "image/auth.h"
#include "image/layer_sink.h"
#include "image/progress.h"
#include "image/reference.h"
#include "image/registry_settings.h"
#include "image/store.h"

namespace berth::image {

struct PullRequest final {
    Reference reference;   // without tag and digest: all tags of the repository
    std::string platform;  // as the API gives it; empty: the host's
    Credentials credentials;
};

enum class PullChange { downloaded, up_to_date };
struct PullResult final {
    Digest id;
    Digest manifest_digest;
    PullChange change;
    std::optional<MovedTag> moved;
    oci::Platform platform{};  // as its configuration says
};

class Puller final {
  public:
    /// Borrows both; they must outlive every pull.
    Puller(ImageStore& store, LayerSink& sink, RegistrySettings settings);
    ~Puller();
    /// Throws Error: not_found, unauthorized, invalid, cancelled, unavailable or internal, with
    /// Docker's texts. When `progress` was called before the throw, the HTTP status is already out:
    /// the API then sends error_line(). One result a tag.
    std::vector<PullResult> pull(const PullRequest& request, const ProgressCallback& progress,
                                 std::stop_token stop);

  private:
    struct Shared;
    std::unique_ptr<Shared> shared_;
};

}  // namespace berth::image
