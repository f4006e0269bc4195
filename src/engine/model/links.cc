#include "engine/model/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "engine/model/validate.h"

namespace berth::engine::model {

namespace {

std::string variable_prefix(const std::string& alias) {
    std::string prefix;
    for (const char c : alias)
        prefix += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return prefix;
}

/// The same, for "tcp".
std::string upper(const std::string& text) { return variable_prefix(text); }

}  // namespace

std::pair<std::string, std::string> split_link(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos) return {text, text};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

Link link_to(const ContainerRecord& target, std::string alias) {
    Link link;
    link.alias = std::move(alias);
    link.name = target.name;
    link.hostname = target.config.hostname;
    link.environment = target.config.env;
    const auto bridge = target.endpoints.find("bridge");
    if (bridge != target.endpoints.end()) link.address = bridge->second.ip_address;
    for (const std::string& port : target.config.exposed_ports)
        link.ports.push_back(port.find('/') == std::string::npos ? port + "/tcp" : port);
    std::ranges::sort(link.ports, [](const std::string& a, const std::string& b) {
        const PortSpec first = port_spec_from(a);
        const PortSpec second = port_spec_from(b);
        return std::pair(first.number, first.protocol) < std::pair(second.number, second.protocol);
    });
    return link;
}

std::vector<std::string> link_variables(const std::string& own_name, const Link& link) {
    const std::string prefix = variable_prefix(link.alias);
    std::vector<std::string> variables;
    const auto url = [&](const PortSpec& port) {
        return fmt::format("{}://{}:{}", port.protocol, link.address, port.number);
    };
    if (!link.ports.empty())
        variables.push_back(prefix + "_PORT=" + url(port_spec_from(link.ports.front())));
    for (const std::string& text : link.ports) {
        const PortSpec port = port_spec_from(text);
        const std::string name =
            fmt::format("{}_PORT_{}_{}", prefix, port.number, upper(port.protocol));
        variables.push_back(name + "=" + url(port));
        variables.push_back(name + "_ADDR=" + link.address);
        variables.push_back(fmt::format("{}_PORT={}", name, port.number));
        variables.push_back(name + "_PROTO=" + port.protocol);
    }
    variables.push_back(fmt::format("{}_NAME=/{}/{}", prefix, own_name, link.alias));
    for (const std::string& entry : link.environment) {
        const std::string key = variable_name(entry);
        if (key.size() == entry.size() || key == "HOME" || key == "PATH") continue;
        variables.push_back(fmt::format("{}_ENV_{}", prefix, entry));
    }
    return variables;
}

}  // namespace berth::engine::model
