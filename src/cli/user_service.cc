#include "cli/user_service.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "cli/unit_texts.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"
#include "rootlesskit/runtime_directory.h"

namespace berth::cli {
namespace {

constexpr std::size_t kLogTail = 2000;
constexpr int kStopDeadlineMs = 60'000;
constexpr const char* kService = "berth.service";
constexpr const char* kSocket = "berth.socket";

std::string from_environment(const char* name, const std::string& fallback) {
    const char* value = ::secure_getenv(name);
    return value && *value ? value : fallback;
}

std::string runtime_directory() {
    return from_environment("XDG_RUNTIME_DIR", rootlesskit::default_runtime_path(::getuid()));
}

// The manager is there also for a caller without a session of its own (`sudo su -`).
std::string find_systemctl() {
    if (!exists(runtime_directory() + "/systemd/private")) return "";
    for (const char* path : {"/usr/bin/systemctl", "/bin/systemctl"})
        if (::access(path, X_OK) == 0) return path;
    return "";
}

std::string with_directory(std::string_view text) {
    constexpr std::string_view kMark = "@bindir@";
    const std::string program = linux_os::find_own_program("berthd");
    const std::string directory = program.substr(0, program.rfind('/'));
    std::string result;
    for (std::size_t at; (at = text.find(kMark)) != std::string_view::npos;) {
        result += std::string(text.substr(0, at)) + directory;
        text.remove_prefix(at + kMark.size());
    }
    return result + std::string(text);
}

std::vector<std::pair<std::string, std::string>> unit_files() {
    return {{kService, with_directory(kServiceText)}, {kSocket, std::string(kSocketText)}};
}

}  // namespace

UserService::UserService() : systemctl_(find_systemctl()) {
    const std::string home = from_environment("HOME", "");
    if (home.empty())
        throw Error(ErrorKind::invalid, "HOME is not set: berth keeps its files there");
    unit_directory_ = from_environment("XDG_CONFIG_HOME", home + "/.config") + "/systemd/user/";
    state_directory_ = from_environment("XDG_STATE_HOME", home + "/.local/state") + "/berth";
}

ProgramResult UserService::ask_systemctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {systemctl_, "--user"});
    std::vector<std::string> environment;
    if (from_environment("XDG_RUNTIME_DIR", "").empty())
        environment.push_back("XDG_RUNTIME_DIR=" + runtime_directory());
    return run_program(arguments, environment);
}

void UserService::systemctl(std::vector<std::string> arguments) const {
    const std::string words = fmt::format("{}", fmt::join(arguments, " "));
    const ProgramResult result = ask_systemctl(std::move(arguments));
    if (result.code != 0)
        throw Error(ErrorKind::internal, "systemctl --user {} failed with {}: {}", words,
                    result.code, result.output);
}

bool UserService::is_active(const char* unit) const {
    return ask_systemctl({"is-active", "--quiet", unit}).code == 0;
}

UnitState UserService::unit_state() const {
    UnitState state = UnitState::current;
    for (const auto& [name, text] : unit_files()) {
        const auto found = read_file_if_exists(unit_directory_ + name);
        if (!found) return UnitState::absent;
        if (*found != text) state = UnitState::outdated;
    }
    return state;
}

bool UserService::running() const {
    if (has_systemd() && (is_active(kSocket) || is_active(kService))) return true;
    return static_cast<bool>(background_process());
}

bool UserService::write_units() const {
    if (unit_state() == UnitState::current) return false;
    make_directories(unit_directory_);
    for (const auto& [name, text] : unit_files())
        replace_file(unit_directory_ + name, text, 0644, Durability::process);
    return true;
}

std::string UserService::start_units() {
    stop_background();
    const bool changed = write_units();
    systemctl({"daemon-reload"});
    // A service that listens by itself keeps the socket unit from starting.
    if (!is_active(kSocket) && is_active(kService)) systemctl({"stop", kService});
    systemctl({"--quiet", "enable", kSocket, kService});
    systemctl({"start", kSocket});
    const bool ran = is_active(kService);
    try {
        systemctl({ran && changed ? "restart" : "start", kService});
    } catch (Error& error) {
        throw Error(ErrorKind::unavailable, "{}; its log ends with:\n{}", error.message(),
                    log_tail());
    }
    return fmt::format("{} the systemd user units berth.socket and berth.service in {}",
                       changed ? "installed" : "found", unit_directory_);
}

std::string UserService::start_in_background() {
    const std::string program = linux_os::find_own_program("berthd");
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

std::string UserService::start() {
    if (has_systemd()) return start_units();
    if (background_process()) return "runs in the background already";
    return start_in_background();
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

bool UserService::alive() const { return has_systemd() || !started_ || started_.alive(); }

void UserService::stop_background() const {
    if (const auto process = background_process()) {
        process.signal(SIGTERM);
        if (!linux_os::wait_readable(process.fd(), kStopDeadlineMs))
            throw Error(ErrorKind::unavailable,
                        "berthd (process {}) does not stop; its log is in {}/berthd.log",
                        process.pid(), state_directory_);
    }
    ::unlink((state_directory_ + "/berthd.pid").c_str());
}

void UserService::stop() {
    const bool installed = exists(unit_directory_ + kService);
    if (has_systemd() && installed) {
        // The socket first: a request that comes now must not start the service again.
        systemctl({"--quiet", "disable", "--now", kSocket});
        systemctl({"--quiet", "disable", "--now", kService});
    }
    for (const char* unit : {kService, kSocket}) ::unlink((unit_directory_ + unit).c_str());
    if (has_systemd() && installed) {
        systemctl({"daemon-reload"});
        (void)ask_systemctl({"reset-failed", kService, kSocket});
    }
    stop_background();
}

std::string UserService::log_tail() const {
    if (has_systemd()) {
        const char* user_unit = "--user-unit=berth.service";
        try {
            return run_program({"journalctl", "--quiet", "--no-pager", "-n", "20", user_unit})
                .output;
        } catch (const Error&) {
            return "(see journalctl --user-unit berth)";
        }
    }
    const auto log = read_file_if_exists(state_directory_ + "/berthd.log");
    if (!log) return "";
    return log->size() > kLogTail ? log->substr(log->size() - kLogTail) : *log;
}

}  // namespace berth::cli
