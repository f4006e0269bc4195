// berthd: reads flags and daemon.json, takes the lock, runs the supervisor. `berthd holder` is the
// process that pins the namespaces; the supervisor starts it.
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <vector>
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/instance_lock.h"
#include "daemon/options.h"
#include "daemon/supervisor.h"
#include "rootlesskit/holder.h"
#include "rootlesskit/runtime_directory.h"
#include "systemd/notify.h"

namespace {

using namespace berth;

std::optional<std::string> variable(const char* name) {
    const char* value = ::secure_getenv(name);
    if (!value) return std::nullopt;
    return value;
}

// $HOME, else the directory in /etc/passwd: never one that somebody else could have made first.
std::string home_directory() {
    const std::string home = variable("HOME").value_or("");
    if (home.starts_with('/')) return home;
    std::istringstream lines(read_file_if_exists("/etc/passwd").value_or(""));
    const std::string id = std::to_string(::getuid());
    for (std::string line; std::getline(lines, line);) {
        std::istringstream row(line);
        std::vector<std::string> fields;
        for (std::string field; std::getline(row, field, ':');) fields.push_back(field);
        if (fields.size() >= 6 && fields[2] == id && fields[5].starts_with('/')) return fields[5];
    }
    throw Error(ErrorKind::invalid,
                "HOME is not set and user {} has no entry in /etc/passwd: set HOME", id);
}

std::string directory_from(const char* name, const std::string& fallback) {
    const std::string value = variable(name).value_or("");
    return value.starts_with('/') ? value : home_directory() + fallback;
}

daemon::Environment environment_of(const std::string& runtime_directory) {
    return {runtime_directory, directory_from("XDG_DATA_HOME", "/.local/share"),
            directory_from("XDG_CONFIG_HOME", "/.config")};
}

std::optional<std::string> read_config(const std::string& path) {
    return read_file_if_exists(path);
}

bool is_machine_root() {
    return ::getuid() == 0 &&
           read_file_if_exists("/proc/self/uid_map").value_or("").find("4294967295") !=
               std::string::npos;
}

// Many containers mean many descriptors: take what the system grants.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Removes the directory at the end of its scope; it stays while anything is in it.
struct EmptyDirectory final {
    std::string path;
    ~EmptyDirectory() { ::rmdir(path.c_str()); }
};

int supervise(const daemon::CommandLine& line, const daemon::Supervisor::Reload& reload,
              std::vector<UniqueFd> inherited) {
    const daemon::Config& config = line.config;
    log::configure("berthd", log::level_from(config.log_level));
    for (const std::string& warning : line.warnings) log::warn("{}", warning);
    raise_descriptor_limit();
    make_directories(config.exec_root, 0700);
    if (::access(config.exec_root.c_str(), W_OK | X_OK) < 0)
        throw_errno("writing to the run-time directory {}", config.exec_root);
    const EmptyDirectory directory{config.exec_root};
    const daemon::InstanceLock lock(config);
    systemd::Notifier notifier(variable("NOTIFY_SOCKET").value_or(""));
    // Children report through the supervisor alone.
    for (const char* name : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
        ::unsetenv(name);
    daemon::Supervisor supervisor(config, std::move(notifier), reload);
    return supervisor.run(std::move(inherited));
}

int run(const std::vector<std::string>& arguments) {
    std::vector<UniqueFd> inherited = systemd::take_listen_fds();
    // What a careless parent left open must not travel on into engine and containers.
    ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    // Whether root or not, flags and file are judged first: --help and --validate work anywhere.
    const auto wants = variable("XDG_RUNTIME_DIR");
    const bool named = wants && !wants->empty();
    const daemon::Environment guess =
        environment_of(named ? *wants : rootlesskit::default_runtime_path(::getuid()));
    const auto reload = [arguments, guess] {
        return daemon::read_command_line(arguments, guess, read_config).config;
    };
    const daemon::CommandLine line = daemon::read_command_line(arguments, guess, read_config);
    switch (line.action) {
        case daemon::Action::help:
            fmt::print("{}", daemon::help_text());
            return 0;
        case daemon::Action::version:
            fmt::print("berthd version {}\n", BERTH_VERSION);
            return 0;
        case daemon::Action::validate:
            fmt::print("configuration OK\n");
            return 0;
        case daemon::Action::run:
            break;
    }
    if (is_machine_root())
        throw Error(ErrorKind::denied,
                    "must not run as root: it is an engine for a plain user: start it as that "
                    "user (`sudo -u USER -i berthd`)");
    const auto directory = rootlesskit::find_runtime_directory(wants, ::getuid());
    if (directory.fallback)
        log::info("XDG_RUNTIME_DIR is not set: using {}, so set DOCKER_HOST={}", directory.path,
                  line.config.hosts.front());
    // After `sudo su -` the user's session is there all the same, its D-Bus with it.
    if (!named && !directory.fallback) ::setenv("XDG_RUNTIME_DIR", directory.path.c_str(), 1);
    return supervise(line, reload, std::move(inherited));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "holder") rootlesskit::sleep_as_holder();
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        fmt::print(stderr, "berthd: {}\n", error.what());
        return 1;
    }
}
