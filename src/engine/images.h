// Images: pull, load, import, list, inspect, history, tag, remove. Engine thread only; the work
// itself is done on worker threads, progress objects are posted back to the engine thread.
// Errors: "No such image: X:tag" (not_found), conflicts as Docker words them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "async/task.h"
#include "base/unique_fd.h"
#include "engine/containers.h"
#include "engine/filters.h"

namespace berth::engine {

/// Takes one object of an NDJSON stream, on the engine's thread.
using ProgressSink = std::function<void(const nlohmann::json&)>;

struct PullRequest final {
    std::string from_image;
    std::string tag;  // a tag or a digest; empty: of from_image, else latest
    std::string platform;
    std::string registry_auth;  // the header X-Registry-Auth
};

struct PushRequest final {
    std::string name;
    std::string tag;  // empty: all tags of the repository
    std::string platform;
    std::string registry_auth;
};

/// The body of POST /auth.
struct RegistryLogin final {
    std::string username, password, identity_token, server_address;
};

struct SearchRequest final {
    std::string term;
    std::int64_t limit = 25;
    Filters filters;
    std::string registry_auth;
};

struct ImportRequest final {
    std::string source = "-";  // or an URL, which is fetched
    std::string repository, tag, message, platform;
    std::vector<std::string> changes;
};

struct ImageRemoveOptions final {
    bool force = false;
    bool no_prune = false;
};

enum class LoadOutput { quiet, progress };
/// A platform is "os/architecture[/variant]"; empty: any.
struct LoadRequest final {
    LoadOutput output = LoadOutput::progress;
    std::string platform;
};
struct SaveRequest final {
    std::vector<std::string> names;
    std::string platform;
};
enum class StoreCheck { look, mend };

struct ImageListRequest final {
    ListScope scope = ListScope::running;  // all: intermediate ones too
    bool shared_size = false;
    Filters filters;
};

struct ImageDependencies;
struct ImageState;

class Images final {
  public:
    explicit Images(ImageDependencies dependencies);
    ~Images();
    Images(const Images&) = delete;
    Images& operator=(const Images&) = delete;

    /// Errors before the first progress object are thrown; once `sink` was called, the caller has
    /// begun its reply and writes a later error into the stream. `stop` cancels.
    async::Task<void> pull(PullRequest request, ProgressSink sink, std::stop_token stop);
    /// As pull(): "The push refers to …" is the first object, so that refusals come in the stream.
    async::Task<void> push(PushRequest request, ProgressSink sink, std::stop_token stop);
    /// Asks the registry whether the credentials are right; {"Status","IdentityToken"}.
    async::Task<nlohmann::json> login(RegistryLogin login, std::stop_token stop);
    /// The registry's answer as `docker search` reads it.
    async::Task<nlohmann::json> search(SearchRequest request, std::stop_token stop);
    /// {"Descriptor","Platforms"} of an image at its registry.
    async::Task<nlohmann::json> distribution(std::string name, std::string registry_auth,
                                             std::stop_token stop);
    /// Reads a docker or OCI archive from `tar` (a pipe or file, blocking) to its end.
    async::Task<void> load(UniqueFd tar, LoadRequest request, ProgressSink sink,
                           std::stop_token stop);
    /// Writes a docker and OCI archive of the images to `into` (blocking), "X" as `docker save X`.
    /// Throws Error{not_found} before the first byte. `stop` cancels.
    async::Task<void> save(SaveRequest request, UniqueFd into, std::stop_token stop);
    /// A flat file system as one layer; the new image's digest. `tar` is read for the source "-".
    async::Task<std::string> import(UniqueFd tar, ImportRequest request, std::stop_token stop);

    nlohmann::json list(const ImageListRequest& request) const;
    /// Throw Error{not_found} for an image of another platform too.
    nlohmann::json inspect(const std::string& name, const std::string& platform) const;
    nlohmann::json history(const std::string& name, const std::string& platform) const;
    async::Task<void> tag(std::string name, std::string repository, std::string tag);
    /// The list of {"Untagged"} and {"Deleted"} objects.
    async::Task<nlohmann::json> remove(std::string name, ImageRemoveOptions options);

    /// Reads all layers and compares; see image/store_check.h.
    async::Task<nlohmann::json> check_store(StoreCheck check, std::stop_token stop);

    ImageState& state() { return *state_; }

  private:
    std::unique_ptr<ImageState> state_;
};

}  // namespace berth::engine
