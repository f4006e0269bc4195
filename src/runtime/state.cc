#include "runtime/state.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "runtime/arguments.h"

namespace berth::runtime {
namespace {

using nlohmann::json;

/// The letter of /proc/PID/stat: 'R', 'S', 'Z'...
char process_letter(pid_t pid) {
    const auto text = read_file_if_exists(fmt::format("/proc/{}/stat", pid));
    const auto close = text ? text->rfind(')') : std::string::npos;
    return close == std::string::npos || close + 2 >= text->size() ? 'X' : (*text)[close + 2];
}

}  // namespace

std::string_view to_string(Status status) {
    switch (status) {
        case Status::creating:
            return "creating";
        case Status::created:
            return "created";
        case Status::running:
            return "running";
        case Status::paused:
            return "paused";
        case Status::stopped:
            return "stopped";
    }
    return "unknown";
}

StateDirectory StateDirectory::make(const std::string& root, const std::string& id) {
    check_container_id(id);
    make_directories(root, 0700);
    const std::string path = root + "/" + id;
    if (::mkdir(path.c_str(), 0700) < 0) {
        if (errno == EEXIST)
            throw Error(ErrorKind::conflict, "container with id \"{}\" exists already", id);
        throw_errno("making state directory {}", path);
    }
    return {path, id};
}

StateDirectory StateDirectory::open(const std::string& root, const std::string& id) {
    check_container_id(id);
    const std::string path = root + "/" + id;
    // Matched by containerd's shim: "does not exist".
    if (!exists(path)) throw Error(ErrorKind::not_found, "container \"{}\" does not exist", id);
    return {path, id};
}

std::vector<std::string> StateDirectory::list(const std::string& root) {
    std::vector<std::string> ids;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(root.c_str()), &::closedir};
    if (!directory) return ids;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string name = entry->d_name;
        if (name[0] != '.' && exists(root + "/" + name + "/state.json")) ids.push_back(name);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

ContainerState StateDirectory::load() const {
    const auto text = read_file_if_exists(file("state.json"));
    if (!text) throw Error(ErrorKind::not_found, "container \"{}\" does not exist", id_);
    const json document = parse_json(*text);
    const JsonReader reader(document, "state.json");
    ContainerState state;
    state.id = id_;
    state.bundle = reader.string("bundle");
    state.rootfs = reader.string("rootfs");
    state.pid = static_cast<pid_t>(reader.integer("pid"));
    state.start_time = static_cast<std::uint64_t>(reader.integer("startTime"));
    state.created = reader.string("created");
    state.cgroup = reader.string("cgroup");
    state.annotations = reader.string_map("annotations");
    return state;
}

void StateDirectory::save(const ContainerState& state) const {
    const json document{{"v", 1},
                        {"id", state.id},
                        {"bundle", state.bundle},
                        {"rootfs", state.rootfs},
                        {"pid", state.pid},
                        {"startTime", state.start_time},
                        {"created", state.created},
                        {"cgroup", state.cgroup},
                        {"annotations", state.annotations}};
    replace_file(file("state.json"), dump_json(document), 0600, Durability::process);
}

oci::Spec StateDirectory::load_spec() const {
    return oci::parse_spec(read_file(file("config.json")));
}

void StateDirectory::save_spec(const std::string& text) const {
    replace_file(file("config.json"), text, 0600, Durability::process);
}

void StateDirectory::remove() const { remove_tree(path_); }

std::optional<linux_os::PidFd> open_process(const ContainerState& state) {
    if (state.pid <= 0) return std::nullopt;
    try {
        linux_os::PidFd process = linux_os::PidFd::open(state.pid);
        // The pidfd first, then the look: so it cannot be a later process of the same number.
        if (linux_os::process_start_time(state.pid) != state.start_time) return std::nullopt;
        const char letter = process_letter(state.pid);
        if (letter == 'Z' || letter == 'X') return std::nullopt;
        return process;
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::not_found) return std::nullopt;
        throw;
    }
}

Status status_of(const StateDirectory& directory, const ContainerState& state) {
    if (!open_process(state)) return Status::stopped;
    if (exists(directory.start_socket())) return Status::created;
    if (!state.cgroup.empty())
        if (const auto cgroup = linux_os::Cgroup::open(state.cgroup); cgroup && cgroup->frozen())
            return Status::paused;
    return Status::running;
}

json state_json(const ContainerState& state, Status status) {
    return {{"ociVersion", oci::kSpecVersion}, {"id", state.id},
            {"status", to_string(status)},     {"pid", status == Status::stopped ? 0 : state.pid},
            {"bundle", state.bundle},          {"rootfs", state.rootfs},
            {"created", state.created},        {"owner", ""},
            {"annotations", state.annotations}};
}

}  // namespace berth::runtime
