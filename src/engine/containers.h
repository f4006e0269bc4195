// Containers: create, run, stop, remove, attach, logs, list and inspect. Engine thread only; every
// call that names a container takes an id, a name or a unique prefix of an id and throws
// Error{not_found} "No such container: X". Errors carry Docker's texts; not_modified means
// "already".
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "async/task.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/filters.h"
#include "engine/model/container_config.h"
#include "engine/model/record.h"
#include "engine/model/resources.h"

namespace berth::engine {

struct ContainerCreated final {
    std::string id;
    std::vector<std::string> warnings;
};

struct CreateOptions final {
    std::string name;      // empty: one is made up
    std::string platform;  // "os[/arch[/variant]]"; a difference is a warning
    model::MadeFor made_for = model::MadeFor::client;
    std::vector<std::string> secret_variables;  // K=V for process 1, never written to the record
};

struct StopOptions final {
    std::optional<std::string> signal;
    std::optional<int> timeout_s;  // -1: no limit
};

struct RemoveOptions final {
    bool force = false;
    bool volumes = false;
    bool link = false;
};

struct AttachRequest final {
    bool logs = false, stream = false;
    bool stdin_ = false, stdout_ = false, stderr_ = false;
    std::string detach_keys;  // as the client wrote them: "ctrl-p,ctrl-q"; empty: the default
    bool websocket = false;   // the stream is frames of RFC 6455; the handshake is done
};

enum class StreamKind { raw, multiplexed };  // raw with a terminal, else frames

enum class WaitCondition { not_running, next_exit, removed };
/// Throws Error{invalid} `invalid condition: "x"`; empty is not_running.
WaitCondition wait_condition_from(const std::string& text);

struct WaitOutcome final {
    int exit_code = 0;
    std::string error;  // not empty: the container could not be started
};

/// One waiting client. It is registered from birth, so send headers, then await. Destroying it
/// (client gone) forgets the wait.
class Wait final {
  public:
    struct State;
    explicit Wait(std::shared_ptr<State> state) : state_(std::move(state)) {}
    async::Task<WaitOutcome> outcome();

  private:
    std::shared_ptr<State> state_;
};

struct LogRequest final {
    bool follow = false;
    bool stdout_ = false, stderr_ = false;
    bool timestamps = false, details = false;
    std::string since, until;  // unix seconds with fraction, RFC 3339 or a Go duration
    std::string tail;          // "all" or a number
};

/// A container's log as a client sees it, framed already.
class LogStream {
  public:
    virtual ~LogStream() = default;
    virtual StreamKind kind() const = 0;
    /// The next bytes; nothing at the end. With follow it waits; cancel the coroutine to stop.
    virtual async::Task<std::optional<std::string>> next() = 0;
};

enum class StatsMode {
    stream,         // a sample about every second
    one_with_rate,  // one, with the sample of a second before in it
    one_at_once,
};

/// What a container uses, as objects that clients read.
class StatsStream {
  public:
    virtual ~StatsStream() = default;
    /// The next sample; nothing at the end (the container was removed, or one was asked for).
    virtual async::Task<std::optional<nlohmann::json>> next() = 0;
};

/// What is at a path in a container.
struct PathStat final {
    std::string name;
    std::int64_t size = 0;
    std::uint32_t mode = 0;  // as Go's io/fs.FileMode
    Timestamp modified;
    std::string link_target;  // of a symbolic link: where it leads in the container
};

struct ContainerArchive;
/// A path that was found and can be sent.
struct OpenedArchive final {
    PathStat stat;
    std::shared_ptr<ContainerArchive> source;
};

enum class ArchiveReplacing { anything, same_kind };
enum class ArchiveOwner { as_archived, container_user };
struct ArchivePut final {
    std::string path;
    ArchiveReplacing replacing = ArchiveReplacing::anything;
    ArchiveOwner owner = ArchiveOwner::as_archived;
};

enum class CommitPause { no, yes };
struct CommitRequest final {
    std::string repository, tag;  // no repository: an image without a name
    std::string comment, author;
    std::vector<std::string> changes;              // Dockerfile instructions
    CommitPause pause = CommitPause::yes;          // while the container's files are read
    std::optional<model::ContainerConfig> config;  // in place of the container's own
};

enum class ListScope { running, all };
enum class WithSize { no, yes };

struct ListRequest final {
    ListScope scope = ListScope::running;
    int limit = 0;  // 0: none
    WithSize size = WithSize::no;
    Filters filters;
};

struct ContainerDependencies;
struct ContainerState;

class Containers final {
  public:
    explicit Containers(ContainerDependencies dependencies);
    ~Containers();
    Containers(const Containers&) = delete;
    Containers& operator=(const Containers&) = delete;

    async::Task<ContainerCreated> create(model::CreateRequest request, CreateOptions options);
    async::Task<void> start(std::string ref, std::string detach_keys);
    async::Task<void> stop(std::string ref, StopOptions options);
    async::Task<void> restart(std::string ref, StopOptions options);
    async::Task<void> kill(std::string ref, std::string signal);
    async::Task<void> pause(std::string ref);
    async::Task<void> unpause(std::string ref);
    /// Returns warnings.
    async::Task<std::vector<std::string>> update(std::string ref, model::UpdateRequest request);
    async::Task<void> remove(std::string ref, RemoveOptions options);
    async::Task<void> rename(std::string ref, std::string name);
    async::Task<void> resize(std::string ref, std::uint32_t height, std::uint32_t width);
    /// {"Container","EndpointConfig"} and {"Container","Force"}; to or from the network `network`.
    async::Task<void> connect(std::string network, nlohmann::json body);
    async::Task<void> disconnect(std::string network, nlohmann::json body);

    /// Registers the wait at once: send the headers after this returned.
    Wait wait(const std::string& ref, WaitCondition condition);

    /// Everything that can be refused before the connection is taken over (404, 409, 400).
    StreamKind check_attach(const std::string& ref, const AttachRequest& request) const;
    /// Takes the client's connection after the hijack; `early` is what the client sent already.
    /// Returns when the stream ended.
    async::Task<void> attach(std::string ref, AttachRequest request, UniqueFd client,
                             std::string early);

    /// Throws what is refused before the first byte (400, 404, 409, 501).
    std::unique_ptr<LogStream> logs(const std::string& ref, const LogRequest& request);

    std::unique_ptr<StatsStream> stats(const std::string& ref, StatsMode mode);
    /// The processes, with the columns that `ps` shows for these arguments.
    async::Task<nlohmann::json> top(std::string ref, std::string ps_arguments);

    /// docker cp; `path` in the container. Throws Error{not_found} "Could not find the file …".
    async::Task<PathStat> stat_path(std::string ref, std::string path);
    async::Task<OpenedArchive> open_archive(std::string ref, std::string path);
    /// Writes the tar (blocking, on a thread) to `into` and closes it.
    async::Task<void> send_archive(OpenedArchive archive, UniqueFd into, std::stop_token stop);
    /// Reads a tar, compressed or not, from `tar` to its end.
    async::Task<void> put_archive(std::string ref, ArchivePut request, UniqueFd tar,
                                  std::stop_token stop);
    /// The root file system as a tar, without what is mounted in it.
    async::Task<void> export_root(std::string ref, UniqueFd into, std::stop_token stop);
    /// [{"Path","Kind"}], null when there is none.
    async::Task<nlohmann::json> changes(std::string ref);
    /// Makes an image of the container; its id.
    async::Task<std::string> commit(std::string ref, CommitRequest request, std::stop_token stop);

    async::Task<nlohmann::json> list(ListRequest request);
    async::Task<nlohmann::json> inspect(std::string ref, WithSize size);

    // For the engine itself.
    async::Task<void> load();       // records, living shims, restart policies
    async::Task<void> shut_down();  // stops all, unless live-restore
    ContainerState& state() { return *state_; }

  private:
    std::unique_ptr<ContainerState> state_;
};

}  // namespace berth::engine
