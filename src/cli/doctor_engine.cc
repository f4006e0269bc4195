#include "cli/doctor_engine.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/default_host.h"
#include "cli/engine_client.h"
#include "linux/spawn.h"
#include "rootlesskit/preflight.h"

namespace berth::cli {
namespace {

using rootlesskit::Finding;
using rootlesskit::fine;
using rootlesskit::fixable;
using rootlesskit::State;
using rootlesskit::trouble;

constexpr std::chrono::seconds kPatience{10};

std::string socket_path(const std::string& host) {
    constexpr std::string_view kScheme = "unix://";
    return host.starts_with(kScheme) ? host.substr(kScheme.size()) : host;
}

// A lock that can be taken is nobody's, whatever its text says.
std::string holder_of_lock(const std::string& path) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return "";
    std::string text = read_file_if_exists(path).value_or("");
    while (text.ends_with('\n')) text.pop_back();
    return text.empty() ? "a berthd that is just starting" : text;
}

void ask_engine(EngineFacts& facts) {
    if (!answers(facts.own_host, kPatience)) return;
    try {
        EngineClient engine(facts.own_host);
        const nlohmann::json info = engine.get("/info");
        const JsonReader reader(info);
        facts.version = reader.string("ServerVersion");
        facts.warnings = reader.strings("Warnings");
        facts.answers = true;
    } catch (const Error&) {
        facts.answers = false;
    }
}

Finding check_engine(const EngineFacts& facts) {
    const std::string name = "engine";
    if (!facts.host_problem.empty()) return trouble(State::broken, name, facts.host_problem);
    if (facts.answers)
        return fine(name, fmt::format("version {} answers at {}", facts.version, facts.own_host));
    const std::string install = rootlesskit::shell_word(facts.own_program) + " setup install";
    if (!facts.holder_of_lock.empty())
        return trouble(State::broken, name,
                       fmt::format("berthd runs ({}), but nothing answers at {}",
                                   facts.holder_of_lock, facts.own_host),
                       {facts.has_systemd ? "systemctl --user restart berth" : install});
    if (facts.has_systemd && facts.units != UnitState::absent)
        return fixable(State::degraded, name, "the engine does not run",
                       {"systemctl --user start berth.socket berth.service"});
    return fixable(State::degraded, name, "the engine is not installed for this user", {install});
}

Finding check_units(const EngineFacts& facts) {
    const std::string name = "units";
    if (!facts.has_systemd) return fine(name, "no systemd of this user: none are needed");
    switch (facts.units) {
        case UnitState::current:
            return fine(name, "berth.socket and berth.service are those of this version");
        case UnitState::absent:
            return trouble(State::degraded, name, "the engine is not a service of this user",
                           {rootlesskit::shell_word(facts.own_program) + " setup install"});
        case UnitState::outdated:
            break;
    }
    return fixable(State::degraded, name,
                   "berth.socket or berth.service were written by another version or changed: a "
                   "restart may end containers",
                   {rootlesskit::shell_word(facts.own_program) + " setup install"});
}

Finding check_docker_host(const EngineFacts& facts) {
    const std::string name = "docker-host";
    if (facts.own_host.empty()) return fine(name, "not known");
    if (!facts.docker_host.empty()) {
        if (socket_path(facts.docker_host) == socket_path(facts.own_host))
            return fine(name, "DOCKER_HOST names this engine");
        return trouble(State::degraded, name,
                       fmt::format("DOCKER_HOST is {}: docker clients talk to that, not to berth",
                                   facts.docker_host),
                       {"export DOCKER_HOST=" + facts.own_host});
    }
    if (!facts.docker_cli) return fine(name, "no docker CLI is installed");
    if (facts.context.host == facts.own_host)
        return fine(name,
                    fmt::format("the docker context \"{}\" names this engine", facts.context.name));
    return fixable(
        State::degraded, name,
        fmt::format("the docker context is \"{}\" ({}): the docker CLI talks to that, "
                    "not to berth",
                    facts.context.name,
                    facts.context.host.empty() ? "/var/run/docker.sock" : facts.context.host),
        {rootlesskit::shell_word(facts.own_program) + " setup context",
         "docker context use berth"});
}

Finding check_warnings(const EngineFacts& facts) {
    const std::string name = "engine-warnings";
    if (!facts.answers) return fine(name, "the engine does not answer");
    if (facts.warnings.empty()) return fine(name, "none");
    return trouble(State::degraded, name, fmt::format("{}", fmt::join(facts.warnings, "; ")));
}

}  // namespace

EngineFacts gather_engine_facts() {
    EngineFacts facts;
    std::error_code unreadable;
    facts.own_program = std::filesystem::read_symlink("/proc/self/exe", unreadable).string();
    try {
        facts.own_host = own_host();
    } catch (const Error& error) {
        facts.host_problem = error.message();
    }
    if (!facts.own_host.empty()) {
        const std::string path = socket_path(facts.own_host);
        facts.holder_of_lock = holder_of_lock(path.substr(0, path.rfind('/')) + "/berth/lock");
        ask_engine(facts);
    }
    try {
        const UserService service;
        facts.has_systemd = service.has_systemd();
        if (facts.has_systemd) facts.units = service.unit_state();
        facts.context = current_docker_context();
    } catch (const Error&) {
        // Without HOME there are neither units nor contexts.
    }
    facts.docker_cli = !linux_os::find_program("docker").empty();
    if (const char* host = ::secure_getenv("DOCKER_HOST")) facts.docker_host = host;
    return facts;
}

std::vector<Finding> examine(const EngineFacts& facts) {
    return {check_engine(facts), check_units(facts), check_docker_host(facts),
            check_warnings(facts)};
}

}  // namespace berth::cli
