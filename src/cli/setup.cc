// `berth setup`: checks the host, and installs, starts and removes the engine of this user.
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/default_host.h"
#include "cli/user_service.h"
#include "http/client.h"
#include "rootlesskit/preflight.h"

namespace berth::cli {
namespace {

constexpr auto kStartDeadline = std::chrono::seconds(30);
constexpr int kPollMs = 20;

bool answers() {
    try {
        http::Client client(own_host());
        return client.send({"GET", "/_ping", {}, {}, {}}).status() == 200;
    } catch (const Error&) {
        return false;
    }
}

void print(const std::string& text) { write_all(BorrowedFd{STDOUT_FILENO}, text + "\n"); }

// Prints what is missing; true when nothing of it is fatal.
bool check_host() {
    bool good = true;
    for (const auto& finding : rootlesskit::check(rootlesskit::gather_facts())) {
        if (finding.state == rootlesskit::State::ok) continue;
        good = good && finding.state != rootlesskit::State::broken;
        print(fmt::format("{}: {}", to_string(finding.state), message_of(finding)));
    }
    return good;
}

void install() {
    if (answers()) {
        print("the engine runs already at " + own_host());
        return;
    }
    if (!check_host())
        throw Error(ErrorKind::unavailable,
                    "this host cannot run berth yet: see above for what mends it");
    UserService service;
    print(service.start());
    const SteadyTime deadline = std::chrono::steady_clock::now() + kStartDeadline;
    while (!answers()) {
        if (!service.alive() || std::chrono::steady_clock::now() > deadline)
            throw Error(ErrorKind::unavailable, "the engine did not start; its log ends with:\n{}",
                        service.log_tail());
        ::poll(nullptr, 0, kPollMs);
    }
    print("the engine answers at " + own_host());
}

}  // namespace

int setup_command(const Invocation& invocation) {
    const std::string action = invocation.arguments.size() == 1 ? invocation.arguments.front() : "";
    if (action == "install") {
        install();
    } else if (action == "uninstall") {
        UserService().stop();
        print("the engine was stopped and its service removed; images and containers are kept");
    } else if (action == "check") {
        if (!check_host()) return 1;
        print("this host can run berth");
    } else if (action == "host") {
        print(own_host());
    } else {
        throw Error(ErrorKind::invalid, "usage: berth setup install|uninstall|check|host");
    }
    return 0;
}

}  // namespace berth::cli
