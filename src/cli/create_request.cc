#include "cli/create_request.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/number.h"
#include "base/text.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::array kContainerFlags{Flag{"add-host"},
                                     Flag{"cap-add"},
                                     Flag{"cap-drop"},
                                     Flag{"cpus"},
                                     Flag{"detach", 'd', FlagKind::toggle},
                                     Flag{"detach-keys"},
                                     Flag{"dns"},
                                     Flag{"entrypoint"},
                                     Flag{"env", 'e'},
                                     Flag{"env-file"},
                                     Flag{"expose"},
                                     Flag{"hostname", 'h'},
                                     Flag{"init", 0, FlagKind::toggle},
                                     Flag{"interactive", 'i', FlagKind::toggle},
                                     Flag{"ipc"},
                                     Flag{"label", 'l'},
                                     Flag{"log-driver"},
                                     Flag{"log-opt"},
                                     Flag{"memory", 'm'},
                                     Flag{"name"},
                                     Flag{"network"},
                                     Flag{"net"},
                                     Flag{"pid"},
                                     Flag{"pids-limit"},
                                     Flag{"platform"},
                                     Flag{"privileged", 0, FlagKind::toggle},
                                     Flag{"publish", 'p'},
                                     Flag{"publish-all", 'P', FlagKind::toggle},
                                     Flag{"pull"},
                                     Flag{"read-only", 0, FlagKind::toggle},
                                     Flag{"restart"},
                                     Flag{"rm", 0, FlagKind::toggle},
                                     Flag{"security-opt"},
                                     Flag{"shm-size"},
                                     Flag{"stop-signal"},
                                     Flag{"stop-timeout"},
                                     Flag{"sysctl"},
                                     Flag{"tmpfs"},
                                     Flag{"tty", 't', FlagKind::toggle},
                                     Flag{"user", 'u'},
                                     Flag{"volume", 'v'},
                                     Flag{"workdir", 'w'}};

std::int64_t parse_number(std::string_view flag, std::string_view text) {
    if (const auto value = whole_number<std::int64_t>(text)) return *value;
    throw Error(ErrorKind::invalid, "--{}: '{}' is not a number", flag, text);
}

// KEY=VALUE as it is; KEY alone takes the value of our own environment, or is left out.
void add_environment(json& list, const std::string& entry) {
    if (entry.find('=') != std::string::npos) {
        list.push_back(entry);
    } else if (const char* value = ::secure_getenv(entry.c_str())) {
        list.push_back(entry + "=" + value);
    }
}

json environment(const Flags& flags) {
    json list = json::array();
    for (const std::string& path : flags.all("env-file")) {
        std::istringstream lines(read_file(path));
        for (std::string line; std::getline(lines, line);)
            if (!line.empty() && line[0] != '#') add_environment(list, line);
    }
    for (const std::string& entry : flags.all("env")) add_environment(list, entry);
    return list;
}

std::pair<std::string, std::string> split(const std::string& text, char separator) {
    const auto at = text.find(separator);
    if (at == std::string::npos) return {text, ""};
    return {text.substr(0, at), text.substr(at + 1)};
}

json map_of(const std::vector<std::string>& entries, char separator) {
    json map = json::object();
    for (const std::string& entry : entries) {
        const auto [key, value] = split(entry, separator);
        map[key] = value;
    }
    return map;
}

json restart_policy(const std::string& text) {
    const auto [name, count] = split(text, ':');
    return {{"Name", name},
            {"MaximumRetryCount", count.empty() ? 0 : parse_number("restart", count)}};
}

json host_config(const Flags& flags) {
    json host{{"Binds", flags.all("volume")},
              {"NetworkMode", flags.get("network", flags.get("net", "default"))},
              {"AutoRemove", flags.on("rm")},
              {"ReadonlyRootfs", flags.on("read-only")},
              {"Privileged", flags.on("privileged")},
              {"CapAdd", flags.all("cap-add")},
              {"CapDrop", flags.all("cap-drop")},
              {"SecurityOpt", flags.all("security-opt")},
              {"Dns", flags.all("dns")},
              {"ExtraHosts", flags.all("add-host")},
              {"Tmpfs", map_of(flags.all("tmpfs"), ':')},
              {"Sysctls", map_of(flags.all("sysctl"), '=')},
              {"PublishAllPorts", flags.on("publish-all")},
              {"PidMode", flags.get("pid")},
              {"IpcMode", flags.get("ipc")}};
    if (flags.has("init")) host["Init"] = flags.on("init");
    if (flags.has("restart")) host["RestartPolicy"] = restart_policy(flags.get("restart"));
    if (flags.has("memory")) host["Memory"] = parse_bytes("memory", flags.get("memory"));
    if (flags.has("shm-size")) host["ShmSize"] = parse_bytes("shm-size", flags.get("shm-size"));
    if (flags.has("pids-limit"))
        host["PidsLimit"] = parse_number("pids-limit", flags.get("pids-limit"));
    if (flags.has("cpus"))
        host["NanoCpus"] =
            static_cast<std::int64_t>(std::strtod(flags.get("cpus").c_str(), nullptr) * 1e9);
    if (flags.has("log-driver") || flags.has("log-opt"))
        host["LogConfig"] = {{"Type", flags.get("log-driver")},
                             {"Config", map_of(flags.all("log-opt"), '=')}};
    return host;
}

struct PortRange {
    std::int64_t first = 0, last = -1;
    std::int64_t count() const { return last - first + 1; }
};

PortRange parse_range(const std::string& text) {
    const auto [first, last] = split(text, '-');
    constexpr std::int64_t kHighest = 65535;
    const PortRange range{parse_number("publish", first), last.empty()
                                                              ? parse_number("publish", first)
                                                              : parse_number("publish", last)};
    if (range.first < 1 || range.last > kHighest || range.count() < 1)
        throw Error(ErrorKind::invalid, "--publish: '{}' is not a port or a range of ports", text);
    return range;
}

}  // namespace

std::span<const Flag> container_flags() { return kContainerFlags; }

std::int64_t parse_bytes(std::string_view flag, const std::string& text) {
    std::string lower = to_lower(text);
    if (lower.ends_with('b') && lower.size() > 1 &&
        !std::isdigit(static_cast<unsigned char>(lower[lower.size() - 2])))
        lower.pop_back();
    std::int64_t unit = 1;
    constexpr std::string_view kUnits = "bkmgt";
    if (const auto index = lower.empty() ? std::string_view::npos : kUnits.find(lower.back());
        index != std::string_view::npos) {
        unit = std::int64_t{1} << (10 * index);
        lower.pop_back();
    }
    return parse_number(flag, lower) * unit;
}

std::vector<PortBinding> parse_publish(const std::string& text) {
    const auto [address, protocol] = split(text, '/');
    const auto last = address.rfind(':');
    const std::string container = last == std::string::npos ? address : address.substr(last + 1);
    std::string rest = last == std::string::npos ? "" : address.substr(0, last);
    std::string host_ip, host_port = rest;
    if (const auto colon = rest.rfind(':'); colon != std::string::npos) {
        host_ip = rest.substr(0, colon);
        host_port = rest.substr(colon + 1);
        if (host_ip.starts_with('[') && host_ip.ends_with(']'))
            host_ip = host_ip.substr(1, host_ip.size() - 2);
    }
    const PortRange inside = parse_range(container);
    const PortRange outside = host_port.empty() ? PortRange{} : parse_range(host_port);
    if (!host_port.empty() && outside.count() != inside.count())
        throw Error(ErrorKind::invalid, "--publish: the ranges of '{}' differ in length", text);
    std::vector<PortBinding> bindings;
    for (std::int64_t i = 0; i < inside.count(); ++i)
        bindings.push_back(
            {host_ip, host_port.empty() ? "" : std::to_string(outside.first + i),
             fmt::format("{}/{}", inside.first + i, protocol.empty() ? "tcp" : protocol)});
    return bindings;
}

json create_request(const Flags& flags) {
    const auto& positionals = flags.positionals();
    const bool attached = !flags.on("detach");
    const bool interactive = flags.on("interactive");
    json request{{"Image", positionals.at(0)},
                 {"Env", environment(flags)},
                 {"Labels", map_of(flags.all("label"), '=')},
                 {"Hostname", flags.get("hostname")},
                 {"User", flags.get("user")},
                 {"WorkingDir", flags.get("workdir")},
                 {"Tty", flags.on("tty")},
                 {"OpenStdin", interactive},
                 {"StdinOnce", interactive && attached},
                 {"AttachStdin", interactive && attached},
                 {"AttachStdout", attached},
                 {"AttachStderr", attached}};
    if (positionals.size() > 1)
        request["Cmd"] = std::vector(positionals.begin() + 1, positionals.end());
    if (flags.has("entrypoint")) request["Entrypoint"] = json::array({flags.get("entrypoint")});
    if (flags.has("stop-signal")) request["StopSignal"] = flags.get("stop-signal");
    if (flags.has("stop-timeout"))
        request["StopTimeout"] = parse_number("stop-timeout", flags.get("stop-timeout"));
    request["HostConfig"] = host_config(flags);
    json& bindings = request["HostConfig"]["PortBindings"] = json::object();
    json& exposed = request["ExposedPorts"] = json::object();
    for (const std::string& text : flags.all("publish"))
        for (const PortBinding& binding : parse_publish(text)) {
            bindings[binding.container_port].push_back(
                {{"HostIp", binding.host_ip}, {"HostPort", binding.host_port}});
            exposed[binding.container_port] = json::object();
        }
    for (const std::string& port : flags.all("expose"))
        exposed[port.find('/') == std::string::npos ? port + "/tcp" : port] = json::object();
    return request;
}

}  // namespace berth::cli
