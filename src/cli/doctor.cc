#include "cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/doctor_engine.h"
#include "cli/doctor_service.h"
#include "cli/doctor_store.h"
#include "cli/flags.h"
#include "cli/run_program.h"
#include "rootlesskit/host_facts.h"

namespace berth::cli {
namespace {

using nlohmann::json;
using rootlesskit::Finding;
using rootlesskit::State;

constexpr std::array kFlags{Flag{"json", 0, FlagKind::toggle}, Flag{"fix", 0, FlagKind::toggle},
                            Flag{"store", 0, FlagKind::toggle}};

std::string from_environment(const char* name, const std::string& fallback) {
    const char* value = ::secure_getenv(name);
    return value && *value ? value : fallback;
}

// As berthd finds it: its daemon.json, else docker's, else the usual place.
std::string data_directory() {
    const std::string home = from_environment("HOME", "/");
    const std::string config = from_environment("XDG_CONFIG_HOME", home + "/.config");
    for (const char* name : {"/berth/daemon.json", "/docker/daemon.json"}) {
        try {
            const auto text = read_file_if_exists(config + name);
            if (!text) continue;
            const json document = parse_json(*text);
            const std::string root = JsonReader(document).string("data-root");
            if (!root.empty()) return root;
            break;
        } catch (const Error&) {
            break;  // berthd itself names the fault when it starts
        }
    }
    return from_environment("XDG_DATA_HOME", home + "/.local/share") + "/berth";
}

rootlesskit::HostFacts host_facts() {
    rootlesskit::HostPlaces places{std::nullopt, data_directory()};
    if (const char* value = ::secure_getenv("XDG_RUNTIME_DIR")) places.runtime_variable = value;
    return gather_host_facts(places);
}

std::vector<Finding> examine_all() {
    const rootlesskit::HostFacts host = host_facts();
    std::vector<Finding> findings = rootlesskit::examine(host);
    if (host.start.host_root) return findings;
    const auto add = [&findings](std::vector<Finding> more) {
        std::move(more.begin(), more.end(), std::back_inserter(findings));
    };
    add(examine(gather_service_facts(host.start.user, host.start.os_release)));
    add(examine(gather_engine_facts()));
    return findings;
}

// Those that were named on the command line; all when none was.
std::vector<Finding> chosen(std::vector<Finding> findings, const std::vector<std::string>& names) {
    if (names.empty()) return findings;
    const auto named = [](const std::string& name) {
        return [&name](const Finding& finding) { return finding.name == name; };
    };
    for (const std::string& name : names)
        if (std::none_of(findings.begin(), findings.end(), named(name)))
            throw Error(ErrorKind::invalid, "there is no check named '{}'; see berth doctor", name);
    std::erase_if(findings, [&](const Finding& finding) {
        return std::find(names.begin(), names.end(), finding.name) == names.end();
    });
    return findings;
}

struct Done final {
    std::string name;  // of the finding
    std::string command;
    ProgramResult result;
};

// In order; what follows a command that failed has lost its ground.
void carry_out(const Finding& finding, std::vector<Done>& done) {
    for (const std::string& command : finding.fix) {
        done.push_back({finding.name, command, run_program({"/bin/sh", "-c", command})});
        if (done.back().result.code != 0) return;
    }
}

std::string text_of(const Done& done) {
    const bool good = done.result.code == 0;
    std::string text =
        fmt::format("{}  {}: {}\n", good ? "fixed   " : "not fixed", done.name, done.command);
    if (!good)
        text += fmt::format("  it failed with {}: {}\n", done.result.code, done.result.output);
    return text;
}

json to_json(const Finding& finding) {
    return {{"name", finding.name},
            {"state", to_string(finding.state)},
            {"cause", finding.cause},
            {"mend", finding.mend},
            {"fixable", !finding.fix.empty()}};
}

State worst_of(const std::vector<Finding>& findings) {
    State worst = State::ok;
    for (const Finding& finding : findings) worst = std::max(worst, finding.state);
    return worst;
}

std::string json_text(const std::vector<Finding>& findings, const std::vector<Done>& done) {
    json document{{"state", to_string(worst_of(findings))},
                  {"checks", json::array()},
                  {"fixed", json::array()}};
    for (const Finding& finding : findings) document["checks"].push_back(to_json(finding));
    for (const Done& one : done)
        document["fixed"].push_back({{"name", one.name},
                                     {"command", one.command},
                                     {"code", one.result.code},
                                     {"output", one.result.output}});
    return dump_json(document) + "\n";
}

int doctor_store(const Flags& flags) {
    if (!flags.positionals().empty())
        throw Error(ErrorKind::invalid, "--store checks the store alone: it takes no check's name");
    const StoreFix fix = flags.on("fix") ? StoreFix::yes : StoreFix::no;
    const json report = examine_store(data_directory(), fix);
    write_all(BorrowedFd{STDOUT_FILENO},
              flags.on("json") ? dump_json(report) + "\n" : store_text(report, fix));
    return store_is_whole(report, fix) ? 0 : 1;
}

}  // namespace

std::string text_of(const Finding& finding) {
    std::string text =
        fmt::format("{:<8}  {}: {}\n", to_string(finding.state), finding.name, finding.cause);
    for (const std::string& command : finding.mend) text += fmt::format("  mend: {}\n", command);
    return text;
}

std::vector<Finding> examine_prerequisites() { return rootlesskit::examine(host_facts()); }

int doctor_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    if (flags.on("store")) return doctor_store(flags);
    std::vector<Finding> findings = chosen(examine_all(), flags.positionals());
    std::vector<Done> done;
    if (flags.on("fix")) {
        for (const Finding& finding : findings)
            if (finding.state != State::ok) carry_out(finding, done);
        if (!done.empty()) findings = chosen(examine_all(), flags.positionals());
    }
    std::string text;
    if (flags.on("json")) {
        text = json_text(findings, done);
    } else {
        for (const Done& one : done) text += text_of(one);
        for (const Finding& finding : findings) text += text_of(finding);
    }
    write_all(BorrowedFd{STDOUT_FILENO}, text);
    return worst_of(findings) == State::broken ? 1 : 0;
}

}  // namespace berth::cli
