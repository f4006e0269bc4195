#include "net/host_resolvers.h"

#include <net/if.h>
#include <netinet/in.h>

#include <string>

#include "base/error.h"
#include "base/file.h"
#include "net/dns_message.h"

namespace berth::net {
namespace {

constexpr std::size_t kMaxResolvers = 3;
constexpr std::string_view kBlanks = " \t\r";

std::string_view next_word(std::string_view& line) {
    const auto begin = line.find_first_not_of(kBlanks);
    if (begin == line.npos) return {};
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
    line.remove_prefix(word.size());
    return word;
}

void add_resolver(std::vector<linux_os::SocketAddress>& resolvers, std::string_view text) {
    const auto percent = text.find('%');
    const std::string_view address = text.substr(0, percent);
    if (!IpAddress::is_valid(address)) return;
    linux_os::SocketAddress resolver{IpAddress::parse(address), kDnsPort};
    if (percent != text.npos && resolver.family() == AF_INET6)
        reinterpret_cast<sockaddr_in6*>(resolver.get())->sin6_scope_id =
            ::if_nametoindex(std::string(text.substr(percent + 1)).c_str());
    resolvers.push_back(resolver);
}

}  // namespace

std::vector<linux_os::SocketAddress> parse_resolvers(std::string_view text) {
    std::vector<linux_os::SocketAddress> resolvers;
    while (!text.empty() && resolvers.size() < kMaxResolvers) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (next_word(line) == "nameserver") add_resolver(resolvers, next_word(line));
    }
    if (resolvers.empty())
        resolvers.emplace_back(IpAddress{IpFamily::v4, INADDR_LOOPBACK}, kDnsPort);
    return resolvers;
}

std::vector<linux_os::SocketAddress> host_resolvers() {
    try {
        return parse_resolvers(read_file_if_exists("/etc/resolv.conf").value_or(""));
    } catch (const Error&) {  // unreadable: as if it were empty
        return parse_resolvers("");
    }
}

}  // namespace berth::net
