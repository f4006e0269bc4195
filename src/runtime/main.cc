// berth-runtime: an OCI runtime. One run is one verb; nothing of it stays behind.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "oci/runtime_spec.h"
#include "runtime/create.h"
#include "runtime/self_protection.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

struct Entry final {
    std::string_view name;
    int (*run)(const Settings&, const Arguments&);
    bool enters_container = false;
};
constexpr Entry kEntries[] = {{"create", create, true}, {"run", run, true}, {"exec", exec, true},
                              {"start", start},         {"state", state},   {"kill", kill},
                              {"delete", remove},       {"list", list},     {"ps", ps},
                              {"features", features},   {"spec", spec},     {"pause", pause},
                              {"resume", resume},       {"update", update}};

constexpr std::string_view kUsage =
    "usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND [FLAGS] ID\n"
    "commands: create start state kill delete run exec list ps pause resume update features spec\n";

void print_version() {
    write_all(BorrowedFd{1}, fmt::format("berth-runtime version {}\ncommit: {}\nspec: {}\n",
                                         BERTH_VERSION, BERTH_VERSION, oci::kSpecVersion));
}

/// Descriptors of the caller that were not meant for us, nor for the container.
void close_strangers(const Options& options) {
    const auto kept = static_cast<unsigned>(options.number("preserve-fds").value_or(0));
    ::syscall(SYS_close_range, 3 + kept, ~0U, CLOSE_RANGE_CLOEXEC);
}

/// containerd's shim shows the last line of level error of the file.
void report(const Options& global, const Error& error) {
    ::dprintf(2, "%s\n", error.what());
    const std::string path = global.value("log");
    if (path.empty()) return;
    const std::string time = rfc3339(Timestamp::now());
    const std::string line =
        global.value("log-format") == "json"
            ? dump_json({{"level", "error"}, {"msg", error.message()}, {"time", time}})
            : fmt::format("time=\"{}\" level=error msg={}", time,
                          dump_json(nlohmann::json(error.message())));
    try {
        write_all(open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0644), line + "\n");
    } catch (const Error& log_error) {
        ::dprintf(2, "%s\n", log_error.what());
    }
}

int dispatch(const Arguments& arguments, char** argv, char** environment) {
    if (arguments.global.has("version")) {
        print_version();
        return 0;
    }
    if (arguments.verb.empty() || arguments.global.has("help") || arguments.options.has("help")) {
        write_all(BorrowedFd{1}, kUsage);
        return arguments.verb.empty() && !arguments.global.has("help") ? 1 : 0;
    }
    for (const Entry& entry : kEntries) {
        if (entry.name != arguments.verb) continue;
        close_strangers(arguments.options);
        if (entry.enters_container) run_from_protected_file(argv, environment);
        return entry.run(settings_of(arguments.global), arguments);
    }
    throw Error(ErrorKind::invalid, "unknown command \"{}\"", arguments.verb);
}

}  // namespace

Settings settings_of(const Options& global) {
    Settings settings;
    settings.root = global.value("root");
    const char* runtime_directory = ::secure_getenv("XDG_RUNTIME_DIR");
    if (settings.root.empty())
        settings.root = ::geteuid() != 0 && runtime_directory
                            ? std::string(runtime_directory) + "/berth-runtime"
                            : "/run/berth-runtime";
    if (!settings.root.starts_with('/'))
        throw Error(ErrorKind::invalid, "--root: \"{}\" is not an absolute path", settings.root);
    settings.uses_cgroups = global.value("cgroup-manager") != "disabled";
    return settings;
}

std::string container_id(const Arguments& arguments) {
    if (arguments.positional.size() != 1)
        throw Error(ErrorKind::invalid, "{}: exactly one container ID is needed", arguments.verb);
    return arguments.positional[0];
}

int main_program(int count, char** argv, char** environment) {
    Arguments arguments;
    try {
        arguments = parse_arguments(std::vector<std::string>(argv + 1, argv + count));
        return dispatch(arguments, argv, environment);
    } catch (const Error& error) {
        report(arguments.global, error);
    } catch (const std::exception& error) {
        report(arguments.global, Error(ErrorKind::internal, "{}", error.what()));
    }
    return 1;
}

}  // namespace berth::runtime

int main(int count, char** argv, char** environment) {
    return berth::runtime::main_program(count, argv, environment);
}
