#include "cli/user_service.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::cli {
namespace {

constexpr std::size_t kLogTail = 2000;
constexpr int kStopDeadlineMs = 60'000;

std::string from_environment(const char* name, const std::string& fallback) {
    const char* value = ::secure_getenv(name);
    return value && *value ? value : fallback;
}

std::string unit_text(const std::string& program) {
    return fmt::format(
        "[Unit]\nDescription=berth container engine (rootless)\n\n"
        "[Service]\nType=notify\nExecStart={}\nExecReload=/bin/kill -s HUP $MAINPID\n"
        // Containers have processes of their own that outlive a crash or restart of the engine.
        "KillMode=process\nRestart=always\nRestartSec=1\nTimeoutStopSec=60\nDelegate=yes\nTasksMax="
        "infinity\n"
        "LimitNOFILE=1048576\n\n[Install]\nWantedBy=default.target\n",
        program);
}

std::string find_systemctl() {
    const std::string runtime = from_environment("XDG_RUNTIME_DIR", "");
    if (runtime.empty() || !exists(runtime + "/systemd/private")) return "";
    for (const char* path : {"/usr/bin/systemctl", "/bin/systemctl"})
        if (::access(path, X_OK) == 0) return path;
    return "";
}

}  // namespace

UserService::UserService() : systemctl_(find_systemctl()) {
    const std::string home = from_environment("HOME", "");
    if (home.empty())
        throw Error(ErrorKind::invalid, "HOME is not set: berth keeps its files there");
    unit_path_ =
        from_environment("XDG_CONFIG_HOME", home + "/.config") + "/systemd/user/berth.service";
    state_directory_ = from_environment("XDG_STATE_HOME", home + "/.local/state") + "/berth";
}

void UserService::systemctl(std::initializer_list<const char*> arguments) const {
    linux_os::SpawnRequest request{.program = systemctl_,
                                   .arguments = {"systemctl", "--user"},
                                   .environment = linux_os::current_environment()};
    request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
    request.fds = {{BorrowedFd{STDERR_FILENO}, STDERR_FILENO}};
    const auto status = linux_os::spawn(request).reap();
    if (status.code != 0)
        throw Error(ErrorKind::internal, "systemctl --user {} failed with {}", *arguments.begin(),
                    status.code);
}

std::string UserService::start() {
    const std::string program = linux_os::find_own_program("berthd");
    if (has_systemd()) {
        make_directories(unit_path_.substr(0, unit_path_.rfind('/')));
        replace_file(unit_path_, unit_text(program), 0644, Durability::process);
        systemctl({"daemon-reload"});
        systemctl({"enable", "--now", "berth.service"});
        return "started as the systemd user service berth.service";
    }
    make_directories(state_directory_, 0700);
    const std::string log = state_directory_ + "/berthd.log";
    const UniqueFd log_fd = open_file(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    started_ = linux_os::spawn({.program = program,
                                .arguments = {program},
                                .environment = linux_os::current_environment(),
                                .directory = "/",
                                .fds = {{log_fd, STDOUT_FILENO}, {log_fd, STDERR_FILENO}},
                                .new_session = true,
                                .death_signal = {},
                                .cgroup = {}});
    replace_file(state_directory_ + "/berthd.pid", std::to_string(started_.pid()), 0600,
                 Durability::process);
    return fmt::format("started in the background as process {}, log in {}", started_.pid(), log);
}

linux_os::PidFd UserService::background_process() const {
    const auto text = read_file_if_exists(state_directory_ + "/berthd.pid");
    pid_t pid = 0;
    if (!text ||
        std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc{} ||
        pid <= 1)
        return {};
    try {
        auto process = linux_os::PidFd::open(pid);
        // The pid may have gone to a stranger since.
        const auto command = read_file_if_exists(fmt::format("/proc/{}/comm", pid));
        return command && *command == "berthd\n" ? std::move(process) : linux_os::PidFd{};
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::not_found) return {};
        throw;
    }
}

bool UserService::alive() const { return has_systemd() || (started_ && started_.alive()); }

void UserService::stop() {
    if (has_systemd() && exists(unit_path_)) {
        systemctl({"disable", "--now", "berth.service"});
        ::unlink(unit_path_.c_str());
        systemctl({"daemon-reload"});
    }
    if (const auto process = background_process()) {
        process.signal(SIGTERM);
        if (!linux_os::wait_readable(process.fd(), kStopDeadlineMs))
            throw Error(ErrorKind::unavailable,
                        "berthd (process {}) does not stop; its log is in {}/berthd.log",
                        process.pid(), state_directory_);
    }
    ::unlink((state_directory_ + "/berthd.pid").c_str());
}

std::string UserService::log_tail() const {
    const auto log = read_file_if_exists(state_directory_ + "/berthd.log");
    if (!log) return "";
    return log->size() > kLogTail ? log->substr(log->size() - kLogTail) : *log;
}

}  // namespace berth::cli
