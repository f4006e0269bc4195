// What a start needs on disk: the run directory with shim.json and config.json, and the container's
// hosts, hostname and resolv.conf. Runs on a worker thread: values only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/execs.h"
#include "engine/model/links.h"
#include "engine/model/record.h"
#include "engine/model/user.h"
#include "engine/model/validate.h"

namespace berth::engine {

/// Volumes that bind a directory of the user's need it to be there. Throws Error with Docker's
/// text.
void check_devices(const std::vector<model::MountPoint>& mounts);

struct StartWork final {
    const model::ContainerRecord record;
    const Settings& settings;
    const Storage& storage;
    std::string directory;                      // data_root/containers/<id>
    std::string run_directory;                  // exec_root/c/<id12>
    std::map<std::string, std::string> joined;  // namespaces of other containers
    std::string network_owner;                  // the container whose /etc/hosts it has
    int ipc_process;  // process 1 of the container whose IPC namespace is joined; 0: none
    std::vector<model::Link> links;
    std::string cgroup;  // its directory; empty: none
    const model::Abilities& abilities;
    std::vector<std::string> secret_variables{};

    /// Throws Error.
    void operator()() const;
};

/// The process object of an exec as JSON text.
struct ExecWork final {
    const model::ContainerRecord record;
    const Settings& settings;
    const Storage& storage;
    std::string directory;
    ExecConfig config;
    std::vector<model::Link> links;

    std::string operator()() const;
};

}  // namespace berth::engine
