// Building an image from a Dockerfile and a directory of files: the whole contract of the builder,
// whoever asks (POST /build, a BuildKit client). Engine thread only; the files are handled by
// worker threads. The steps' intermediate images are the cache. Nothing of a failed or stopped
// build stays but the images of its finished steps.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "engine/model/container_config.h"

namespace berth::engine {

/// What COPY and ADD take files from, and the text of the Dockerfile.
struct BuildContext final {
    /// An open directory of plain files, whose owners COPY does not keep. Nobody else writes to it
    /// during the build. None: a Dockerfile alone.
    UniqueFd directory;
    std::string dockerfile;
};

/// Which instructions there are: the classic builder refuses what only BuildKit has (RUN --mount,
/// COPY --chmod, heredocs …), and builds all stages up to the target.
enum class BuildDialect { classic, buildkit };

/// Asked for the credentials of an image, as the header X-Registry-Auth has them; "" is anonymous.
using RegistryAuth = std::function<async::Task<std::string>(std::string image)>;
/// The content of a secret (RUN --mount=type=secret); nothing when the client has none.
using BuildSecrets = std::function<async::Task<std::optional<std::string>>(std::string id)>;
/// The client's ssh agents (RUN --mount=type=ssh, repositories).
struct BuildAgents final {
    std::function<async::Task<bool>(std::string id)> has;
    /// Carries a connection to the agent until one of its ends closes.
    std::function<async::Task<>(std::string id, UniqueFd connection)> carry;
};

/// --build-context: what takes the place of an image or a stage.
struct NamedContext final {
    std::string image;  // a name or id; empty: files
    std::function<async::Task<std::shared_ptr<const BuildContext>>()> files;
};

/// A context that the engine fetches: a tar, a Dockerfile alone, a git repository.
struct RemoteContext final {
    std::string url;
    std::string dockerfile;  // a path in it; empty: files for steps only, and an archive stays one
    bool dockerfile_apart = false;  // its text comes from elsewhere
    BuildSecrets secrets;           // GIT_AUTH_TOKEN and the like; may be empty
    BuildAgents agents;             // may be empty
    bool keep_git_directory = false;
};

struct BuildRequest final {
    BuildDialect dialect = BuildDialect::classic;
    std::string target;  // the name or number of a stage; empty: the last one
    std::map<std::string, std::optional<std::string>> arguments;  // nothing: the default stays
    std::map<std::string, std::string> labels;
    std::vector<std::string> tags;
    std::vector<std::string> cache_from;  // images whose steps count as done
    std::string platform;                 // empty: the host's
    bool no_cache = false;
    std::set<std::string> uncached_stages;  // by name, in lower case
    bool pull = false;                      // also images that are here
    bool remove = true;                     // containers of steps that worked
    bool remove_on_error = false;           // and of the step that failed
    /// What containers of RUN get: network mode, extra hosts, shm size, limits, security options.
    model::HostConfig host;
    RegistryAuth registry_auth;  // may be empty
    BuildSecrets secrets;        // may be empty
    BuildAgents agents;          // may be empty
    /// By familiar name ("base", "alpine:3"), with "::linux/amd64" for one platform.
    std::map<std::string, NamedContext> contexts;
};

struct BuildStep final {
    std::size_t stage = 0;   // of the Dockerfile, from 0
    std::string stage_name;  // as in FROM … AS name; empty: none
    std::size_t number = 0;  // from 1, over the whole build
    std::size_t total = 0;
    std::string text;  // the instruction as it is written, on one line
};

enum class BuildOutput { standard, error };

/// Told on the engine's thread of what happens, in order. It must not throw.
class BuildLog {
  public:
    virtual ~BuildLog() = default;
    virtual void begin(const BuildStep& step) = 0;
    virtual void cached(const BuildStep& step) = 0;
    virtual void running(const BuildStep& step, const std::string& container) = 0;
    virtual void output(const BuildStep& step, BuildOutput kind, std::string_view bytes) = 0;
    /// An object of a pull, which belongs to a FROM or COPY --from.
    virtual void pull_progress(const BuildStep& step, const nlohmann::json& line) = 0;
    virtual void removed(const BuildStep& step, const std::string& container) = 0;
    /// The id of the image that the stage has become; empty for scratch without a layer.
    virtual void finished(const BuildStep& step, const std::string& image) = 0;
    virtual void failed(const BuildStep& step, const Error& error) = 0;
    virtual void stage_finished(const std::string& image) = 0;
    /// A line for the user: a warning, how many triggers run.
    virtual void note(const std::string& text) = 0;
    /// All steps are done.
    virtual void built(const std::string& image) = 0;
    virtual void tagged(const std::string& name) = 0;
};

/// A command of RUN that ended with another code than 0.
struct CommandFailure final {
    int code = 0;
    std::string message;  // The command '…' returned a non-zero code: N
};

struct BuildResult final {
    std::string image;                      // its id; empty when a command failed
    std::optional<CommandFailure> failure;  // a step's command ended with another code than 0
};

struct BuilderDependencies;
struct BuilderState;

class Builder final {
  public:
    explicit Builder(BuilderDependencies dependencies);
    ~Builder();
    Builder(const Builder&) = delete;
    Builder& operator=(const Builder&) = delete;

    /// A context from a tar (a pipe or file, blocking, compressed or not), unpacked below the data
    /// root; it is removed with the last reference, which must go on the engine's thread.
    /// `dockerfile` is a path in it; an empty one: the text comes from elsewhere, and no ignore
    /// file is looked at.
    async::Task<std::shared_ptr<const BuildContext>> unpack_context(UniqueFd tar,
                                                                    std::string dockerfile,
                                                                    std::stop_token stop);
    /// The same of an URL. What .dockerignore names is left out.
    async::Task<std::shared_ptr<const BuildContext>> fetch_context(RemoteContext remote,
                                                                   std::stop_token stop);
    /// `stop` must be requested on the engine's thread. Throws Error for everything but a command
    /// that fails: of the Dockerfile before any step, of a step after log.failed(), {cancelled}.
    async::Task<BuildResult> build(BuildRequest request,
                                   std::shared_ptr<const BuildContext> context, BuildLog& log,
                                   std::stop_token stop);

    /// Removes what builds of a former engine left.
    void load();

  private:
    std::unique_ptr<BuilderState> state_;
};

}  // namespace berth::engine
