#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

void print(const std::string& text) { write_all(BorrowedFd{1}, text); }

nlohmann::json container_json(const Settings& settings, const std::string& id) {
    const auto directory = StateDirectory::open(settings.root, id);
    const ContainerState state = directory.load();
    return state_json(state, status_of(directory, state));
}

bool wants_json(const Options& options, const char* fallback) {
    const std::string format = options.value("format", fallback);
    if (format != "json" && format != "table")
        throw Error(ErrorKind::invalid, "--format: \"{}\" is neither table nor json", format);
    return format == "json";
}

}  // namespace

int state(const Settings& settings, const Arguments& arguments) {
    print(container_json(settings, container_id(arguments)).dump(2) + "\n");
    return 0;
}

int list(const Settings& settings, const Arguments& arguments) {
    nlohmann::json all = nlohmann::json::array();
    std::string table = "ID\tPID\tSTATUS\tBUNDLE\tCREATED\n";
    std::string ids;
    for (const std::string& id : StateDirectory::list(settings.root)) {
        const nlohmann::json one = container_json(settings, id);
        ids += id + "\n";
        table += fmt::format("{}\t{}\t{}\t{}\t{}\n", id, one["pid"].get<pid_t>(),
                             one["status"].get<std::string>(), one["bundle"].get<std::string>(),
                             one["created"].get<std::string>());
        all.push_back(one);
    }
    if (arguments.options.has("quiet"))
        print(ids);
    else
        print(wants_json(arguments.options, "table") ? dump_json(all) + "\n" : table);
    return 0;
}

int ps(const Settings& settings, const Arguments& arguments) {
    if (arguments.positional.empty())
        throw Error(ErrorKind::invalid, "ps: a container ID is needed");
    const auto directory = StateDirectory::open(settings.root, arguments.positional[0]);
    const ContainerState state = directory.load();
    if (state.cgroup.empty())
        throw Error(ErrorKind::unavailable, "ps: container \"{}\" has no cgroup", state.id);
    nlohmann::json pids = nlohmann::json::array();
    std::string table;
    const std::string text = read_file(state.cgroup + "/cgroup.procs");
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        pids.push_back(std::stol(text.substr(at, end - at)));
        table += text.substr(at, end - at) + "\n";
        at = end + 1;
    }
    print(wants_json(arguments.options, "table") ? dump_json(pids) + "\n" : "PID\n" + table);
    return 0;
}

}  // namespace berth::runtime
