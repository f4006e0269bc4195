// `berth setup`: checks the host, and installs, starts and removes the engine of this user.
#include <poll.h>
#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/default_host.h"
#include "cli/docker_context.h"
#include "cli/doctor.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/user_service.h"
#include "linux/spawn.h"
#include "systemd/client.h"

namespace berth::cli {
namespace {

constexpr auto kStartDeadline = std::chrono::seconds(30);
constexpr std::chrono::seconds kPingPatience{10};
constexpr int kPollMs = 20;
constexpr std::string_view kUsage =
    "usage: berth setup install [--force] [--skip-context] | uninstall | check | host | context | "
    "apparmor";

constexpr std::array kFlags{Flag{"force", 'f', FlagKind::toggle},
                            Flag{"skip-context", 0, FlagKind::toggle}};

void print(const std::string& text) { write_all(BorrowedFd{STDOUT_FILENO}, text + "\n"); }

// Prints what is missing; true when nothing of it keeps the engine from starting.
bool check_host() {
    bool good = true;
    for (const rootlesskit::Finding& finding : examine_prerequisites()) {
        if (finding.state == rootlesskit::State::ok) continue;
        good = good && finding.state != rootlesskit::State::broken;
        write_all(BorrowedFd{STDOUT_FILENO}, text_of(finding));
    }
    return good;
}

void await_engine(const UserService& service) {
    const SteadyTime deadline = std::chrono::steady_clock::now() + kStartDeadline;
    while (!answers(own_host(), kPingPatience)) {
        if (!service.alive() || std::chrono::steady_clock::now() > deadline)
            throw Error(ErrorKind::unavailable, "the engine did not start; its log ends with:\n{}",
                        service.log_tail());
        ::poll(nullptr, 0, kPollMs);
    }
    print("the engine answers at " + own_host());
}

// Its presence says that lingering came with berth and goes with it.
std::string linger_mark(const UserService& service) {
    return service.state_directory() + "/lingering-by-setup";
}

void ask_for_lingering(const UserService& service) {
    try {
        if (systemd::linger() == systemd::Linger::on) return;
        systemd::set_linger(systemd::Linger::on);
        make_directories(service.state_directory(), 0700);
        replace_file(linger_mark(service), "", 0600, Durability::process);
        print("lingering is on: the engine starts at boot and survives logout");
    } catch (const Error& error) {
        const char* user = ::secure_getenv("USER");
        print(
            fmt::format("without lingering containers end at logout, and none starts at boot "
                        "({}): sudo loginctl enable-linger {}",
                        error.message(), user ? user : std::to_string(::getuid())));
    }
}

void take_lingering_back(const UserService& service) {
    if (!exists(linger_mark(service))) return;
    try {
        systemd::set_linger(systemd::Linger::off);
        ::unlink(linger_mark(service).c_str());
    } catch (const Error& error) {
        print("lingering stays on: " + error.message());
    }
}

void install(const Flags& flags) {
    UserService service;
    if (answers(own_host(), kPingPatience) && !service.running()) {
        if (service.has_systemd() && !flags.on("force"))
            throw Error(ErrorKind::conflict,
                        "an engine that is no systemd service answers at {} already: stop it "
                        "first, so that berth.socket can listen there",
                        own_host());
        print("an engine runs already at " + own_host());
    } else {
        if (!check_host() && !flags.on("force"))
            throw Error(ErrorKind::unavailable,
                        "this host cannot run berth yet: see above for what mends it");
        print(service.start());
        await_engine(service);
    }
    if (service.has_systemd()) ask_for_lingering(service);
    if (!flags.on("skip-context")) {
        try {
            print(make_docker_context(own_host()) + ": docker context use berth");
        } catch (const Error& error) {
            print("no docker context: " + error.message());
        }
    }
    print("docker clients reach it with: export DOCKER_HOST=" + own_host());
}

void uninstall() {
    UserService service;
    service.stop();
    take_lingering_back(service);
    remove_docker_context();
    const char* data = ::secure_getenv("XDG_DATA_HOME");
    const char* home = ::secure_getenv("HOME");
    const bool stays = answers(own_host(), kPingPatience);
    if (stays)
        print("an engine that setup did not start runs on at " + own_host() +
              ": stop its berthd where it was started");
    print(
        fmt::format("{} units and the docker context are gone. Images, "
                    "containers and volumes are kept in {}/berth",
                    stays ? "the" : "the engine was stopped; its",
                    data && *data ? data : std::string(home ? home : "") + "/.local/share"));
}

// The program that makes the user namespaces, wherever it is installed, may do so.
std::string apparmor_profile() {
    const std::string program = linux_os::find_own_program("berthd");
    const std::string directory = program.substr(0, program.rfind('/'));
    return fmt::format(
        "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile berth-{} \"{}/berth{{,d}}\" "
        "flags=(unconfined) {{\n  userns,\n}}",
        ::getuid(), directory);
}

}  // namespace

int setup_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    const auto& words = flags.positionals();
    const std::string action = words.size() == 1 ? words.front() : "";
    if (action == "install") {
        install(flags);
    } else if (action == "uninstall") {
        uninstall();
    } else if (action == "check") {
        if (!check_host()) return 1;
        print("this host can run berth");
    } else if (action == "host") {
        print(own_host());
    } else if (action == "context") {
        print(make_docker_context(own_host()));
    } else if (action == "apparmor") {
        print(apparmor_profile());
    } else {
        throw Error(ErrorKind::invalid, "{}", kUsage);
    }
    return 0;
}

}  // namespace berth::cli
