// Everything the container services share: the table of containers, names, and the services around
// it. Engine thread only. The operations are free functions in the files beside this one.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/sync.h"
#include "base/file.h"
#include "engine/containers.h"
#include "engine/containers/shim_client.h"
#include "engine/context.h"
#include "engine/model/record.h"
#include "engine/model/restart.h"
#include "engine/model/validate.h"

namespace berth::engine {

struct ImageState;
struct VolumeState;
struct NetworkState;

struct ContainerDependencies final {
    Context context;
    ImageState& images;
    VolumeState& volumes;
    NetworkState& networks;
    model::Abilities abilities;
};

struct Wait::State final {
    WaitCondition condition = WaitCondition::not_running;
    std::optional<WaitOutcome> outcome;
    async::Event done;
};

/// A client that attached before the container runs: it is handed to the shim at the next start.
struct QueuedAttach final {
    shim::StreamOptions streams;
    UniqueFd client;
};

/// What became of a command that the engine ran in a container.
struct ExecOutcome final {
    int exit_code = 0;
    std::string output;      // of both streams; cut, which "..." at its end shows
    bool timed_out = false;  // and killed with all it had started
};

struct Container final {
    model::ContainerRecord record;
    std::vector<std::string> secret_variables;  // of process 1, for as long as this engine lives
    /// Orders start, remove and the like. Exits are handled without it.
    async::Lock operations;
    async::Condition changed;  // after each change of the state
    std::unique_ptr<ShimClient> shim;
    UniqueFd process;  // pidfd of process 1
    bool starting = false;
    bool takes_clients = false;                 // the shim is there for those who attach
    std::optional<shim::ExitEvent> early_exit;  // it ended while the start was still going on
    bool removing = false;
    bool removed = false;
    bool keep_after_exit = false;  // `docker restart`: no auto-removal in between
    bool unsaved = false;          // save_event() tries again
    bool cleaning_up = false;      // the shim of the last run is not gone yet
    bool restart_due = false;      // its exit, or the pause after it, fell to an absent engine
    model::RestartBackoff backoff;
    std::shared_ptr<async::Event> restart_cancelled;  // set while a restart waits for its time
    std::shared_ptr<async::Event> health_stopped;     // set while its health is watched
    std::list<std::weak_ptr<Wait::State>> waits;
    std::list<QueuedAttach> queued;
    std::set<std::string> exec_ids;

    const std::string& id() const { return record.id; }
    model::State& state() { return record.state; }
};

using ContainerPtr = std::shared_ptr<Container>;

class StatsSampler;

struct ContainerState final {
    explicit ContainerState(ContainerDependencies dependencies) : deps(std::move(dependencies)) {}

    ContainerDependencies deps;
    std::map<std::string, ContainerPtr> by_id;
    std::map<std::string, std::string> names;  // name -> id; also of creates that are under way
    /// Not in by_id yet, but users of their image and volumes: creates that are under way.
    std::set<const model::ContainerRecord*> creating;
    bool shutting_down = false;
    std::shared_ptr<StatsSampler> stats;  // since the first client

    // Set by the exec service.
    std::function<void(const shim::ExecExitEvent&)> on_exec_exit;
    std::function<void(const std::string& exec_id)> on_exec_detached;
    /// An exec of a former engine, which the shim still knows.
    std::function<void(ContainerPtr, const shim::ExecState&)> on_exec_found;
    std::function<void(Container&)> on_container_exit;
    std::function<void(const Container&)> on_container_removed;
    /// Runs a command in a container to its end, or to the deadline. Throws Error when it cannot
    /// be started.
    std::function<async::Task<ExecOutcome>(ContainerPtr, std::vector<std::string> command,
                                           SteadyTime deadline, std::size_t output_limit)>
        run_exec;

    const Settings& settings() const { return deps.context.settings; }
    /// By id, name or unique prefix. Throws Error{not_found} "No such container: X".
    ContainerPtr find(const std::string& ref) const;
    ContainerPtr try_find(const std::string& ref) const;
    std::string directory(const std::string& id) const;      // data_root/containers/<id>
    std::string run_directory(const std::string& id) const;  // exec_root/c/<id12>
    void save(const Container& container, Durability durability) const;
    /// Saves what has happened and cannot be undone. A failure (a full disk) is logged and tried
    /// again until it works: the state in memory goes on.
    void save_event(Container& container);
    /// An event with the container's labels, image and name.
    void publish(const Container& container, const std::string& action,
                 std::map<std::string, std::string> attributes = {}) const;
    /// The same for each of the container's networks: "connect" or "disconnect".
    void publish_networks(const Container& container, const std::string& action) const;
};

}  // namespace berth::engine
