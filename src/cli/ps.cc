// `berth ps`: the containers.
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/table.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::array kFlags{Flag{"all", 'a', FlagKind::toggle}, Flag{"filter", 'f'},
                            Flag{"no-trunc", 0, FlagKind::toggle},
                            Flag{"quiet", 'q', FlagKind::toggle}};
constexpr std::size_t kCommandWidth = 20;

std::string ports_of(const JsonReader& container) {
    std::string text;
    for (const JsonReader& port : container.objects("Ports")) {
        if (!text.empty()) text += ", ";
        if (port.has("PublicPort"))
            text += fmt::format("{}:{}->", port.string("IP"), port.integer("PublicPort"));
        text += fmt::format("{}/{}", port.integer("PrivatePort"), port.string("Type"));
    }
    return text;
}

Row row_of(const JsonReader& container, const Flags& flags) {
    const bool whole = flags.on("no-trunc");
    std::string command = container.string("Command");
    if (!whole && command.size() > kCommandWidth)
        command = command.substr(0, kCommandWidth - 3) + "...";
    std::string names;
    for (const std::string& name : container.strings("Names"))
        names += (names.empty() ? "" : ",") + (name.starts_with('/') ? name.substr(1) : name);
    return {container.string("Id").substr(0, whole ? std::string::npos : 12),
            container.string("Image"),
            '"' + command + '"',
            age(container.integer("Created")),
            container.string("Status"),
            ports_of(container),
            names};
}

}  // namespace

int ps_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    std::string path = std::string("/containers/json?all=") + (flags.on("all") ? "1" : "0");
    json filters = json::object();
    for (const std::string& filter : flags.all("filter")) {
        const auto equals = filter.find('=');
        filters[filter.substr(0, equals)].push_back(
            equals == std::string::npos ? "" : filter.substr(equals + 1));
    }
    if (!filters.empty()) path += "&filters=" + http::encode_percent(dump_json(filters));
    const json list = json{{"list", EngineClient(invocation.host).get(path)}};
    std::vector<Row> rows;
    if (!flags.on("quiet"))
        rows = {{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"}};
    for (const JsonReader& container : JsonReader(list).objects("list")) {
        Row row = row_of(container, flags);
        if (flags.on("quiet")) row.resize(1);
        rows.push_back(std::move(row));
    }
    write_all(BorrowedFd{STDOUT_FILENO}, format_table(rows));
    return 0;
}

}  // namespace berth::cli
