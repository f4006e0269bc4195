#include "engine/containers/files.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "engine/model/network_config.h"
#include "net/host_alias.h"

namespace berth::engine {

namespace {

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += " " + word;
    return text;
}

struct Resolver final {
    std::vector<std::string> servers, search, options;
};

Resolver parse_resolver(const std::string& text) {
    Resolver resolver;
    for (const std::string& line : copied_words_of(text, "\n")) {
        std::vector<std::string> words = copied_words_of(line, " \t");
        if (words.size() < 2) continue;
        const std::string key = words.front();
        words.erase(words.begin());
        if (key == "nameserver") resolver.servers.push_back(words.front());
        if (key == "search") resolver.search = words;
        if (key == "options") resolver.options = words;
    }
    return resolver;
}

bool is_loopback(const std::string& address) {
    return address.starts_with("127.") || address == "::1";
}

/// As a linked container is called in /etc/hosts.
std::string names_of(const model::Link& link) {
    std::string names = link.alias;
    if (link.hostname != link.alias) names += " " + link.hostname;
    if (link.name != link.alias) names += " " + link.name;
    return names;
}

const std::vector<std::string>& first_set(const std::vector<std::string>& a,
                                          const std::vector<std::string>& b,
                                          const std::vector<std::string>& c) {
    return !a.empty() ? a : !b.empty() ? b : c;
}

}  // namespace

bool has_embedded_dns(const model::ContainerRecord& record) {
    return std::ranges::any_of(record.endpoints, [](const auto& entry) {
        return !model::is_predefined_network(entry.first) && !entry.second.endpoint_id.empty();
    });
}

std::string hosts_text(const model::ContainerRecord& record, const Settings& settings,
                       const std::vector<model::Link>& links) {
    std::string text =
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
        "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
    std::vector<std::string> gateways = settings.host_gateway_ips;
    // The host itself, whatever its addresses are later on.
    if (gateways.empty())
        gateways = {record.host_config.network_mode == "host" ? "127.0.0.1" : net::kHostAlias4};
    for (const std::string& entry : record.host_config.extra_hosts) {
        const std::size_t colon = entry.find(':');
        std::vector<std::string> addresses{entry.substr(colon + 1)};
        if (addresses.front() == "host-gateway") addresses = gateways;
        for (const std::string& address : addresses)
            if (!address.empty()) text += address + "\t" + entry.substr(0, colon) + "\n";
    }
    for (const model::Link& link : links) text += link.address + "\t" + names_of(link) + "\n";
    std::string names = record.config.hostname;
    if (!record.config.domainname.empty())
        names = record.config.hostname + "." + record.config.domainname + " " + names;
    for (const auto& [name, endpoint] : record.endpoints)
        for (const std::string& address : {endpoint.ip_address, endpoint.ipv6_address})
            if (!address.empty()) text += address + "\t" + names + "\n";
    return text;
}

std::string resolv_conf_text(const model::ContainerRecord& record, const Settings& settings,
                             const std::string& host_text) {
    const model::HostConfig& host = record.host_config;
    Resolver resolver = parse_resolver(host_text);
    const bool shares_network = host.network_mode == "host";
    if (!shares_network) std::erase_if(resolver.servers, is_loopback);
    if (resolver.servers.empty()) resolver.servers = {"8.8.8.8", "8.8.4.4"};
    std::string text;
    const bool embedded = has_embedded_dns(record);
    if (embedded) text = "nameserver 127.0.0.11\n";
    for (const std::string& server : first_set(host.dns, settings.dns, resolver.servers))
        if (!embedded) text += "nameserver " + server + "\n";
    const auto& search = first_set(host.dns_search, settings.dns_search, resolver.search);
    if (!search.empty() && search != std::vector<std::string>{"."})
        text += "search" + join(search) + "\n";
    std::vector<std::string> options =
        first_set(host.dns_options, settings.dns_options, resolver.options);
    // Names of one label are those of other containers: nothing is appended before they are asked.
    const auto is_ndots = [](const std::string& option) { return option.starts_with("ndots:"); };
    if (embedded && std::ranges::none_of(options, is_ndots)) options.emplace_back("ndots:0");
    if (!options.empty()) text += "options" + join(options) + "\n";
    return text;
}

std::string with_moved_link(const std::string& file, const model::Link& link) {
    const std::string names = names_of(link);
    std::string text;
    for (const std::string& line : copied_words_of(file, "\n")) {
        const auto tab = line.find('\t');
        const bool moved = tab != std::string::npos && line.substr(tab + 1) == names;
        text += (moved ? link.address + "\t" + names : line) + "\n";
    }
    return text;
}

std::string with_changes(const std::string& file, const std::string& before,
                         const std::string& after) {
    if (file == before) return after;
    const std::vector<std::string> old_lines = copied_words_of(before, "\n");
    const std::vector<std::string> new_lines = copied_words_of(after, "\n");
    const auto has = [](const std::vector<std::string>& lines, const std::string& line) {
        return std::ranges::find(lines, line) != lines.end();
    };
    std::string text;
    for (const std::string& line : copied_words_of(file, "\n"))
        if (!has(old_lines, line) || has(new_lines, line)) text += line + "\n";
    for (const std::string& line : new_lines)
        if (!has(old_lines, line)) text += line + "\n";
    return text;
}

std::string detach_key_bytes(const std::string& keys) {
    if (keys.empty()) return "\x10\x11";
    std::string bytes;
    for (const std::string& key : copied_words_of(keys, ",")) {
        if (key.size() == 1) {
            bytes += key;
            continue;
        }
        static const std::string kSpecial = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
        const std::size_t place =
            key.size() == 6 && key.starts_with("ctrl-") ? kSpecial.find(key[5]) : std::string::npos;
        if (place == std::string::npos)
            throw Error(ErrorKind::invalid, "Invalid detach keys ({}) provided", keys);
        bytes += static_cast<char>(place);
    }
    return bytes;
}

}  // namespace berth::engine
