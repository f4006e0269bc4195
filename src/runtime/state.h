// What is known of a container between two calls of the runtime: a directory `--root`/ID with
// state.json, a copy of config.json and, until `start`, the socket start.sock on which process 1
// waits. The owner of the directory is the user who runs the runtime; nothing is kept in memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "linux/cgroup.h"
#include "linux/pid_fd.h"
#include "oci/runtime_spec.h"

namespace berth::runtime {

enum class Status { creating, created, running, paused, stopped };
std::string_view to_string(Status status);

struct ContainerState final {
    std::string id;
    std::string bundle;
    std::string rootfs;
    pid_t pid = 0;
    std::uint64_t start_time = 0;  // clock ticks since boot; with the pid it names one process
    std::string created;           // RFC 3339
    std::string cgroup;            // directory; empty without one
    std::map<std::string, std::string> annotations;
};

class StateDirectory final {
  public:
    /// Makes it. Throws Error{conflict} when the id is taken.
    static StateDirectory make(const std::string& root, const std::string& id);
    /// Throws Error{not_found} "container \"x\" does not exist".
    static StateDirectory open(const std::string& root, const std::string& id);
    /// The ids of all containers below `root`.
    static std::vector<std::string> list(const std::string& root);

    const std::string& id() const { return id_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    std::string start_socket() const { return file("start.sock"); }
    ContainerState load() const;
    void save(const ContainerState& state) const;
    oci::Spec load_spec() const;
    void save_spec(const std::string& text) const;
    void remove() const;

  private:
    StateDirectory(std::string path, std::string id) : path_(std::move(path)), id_(std::move(id)) {}
    std::string path_;
    std::string id_;
};

/// The process by pid and start time; nothing when it is gone or a zombie.
std::optional<linux_os::PidFd> open_process(const ContainerState& state);
Status status_of(const StateDirectory& directory, const ContainerState& state);
/// The state as `state` prints it and hooks read it.
nlohmann::json state_json(const ContainerState& state, Status status);

}  // namespace berth::runtime
