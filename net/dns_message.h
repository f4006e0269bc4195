// DNS messages (RFC 1035, EDNS0 of RFC 6891) as far as the server for containers needs them: reads
// one question, builds replies from our own names, recognizes the reply of an upstream server.
// Pure; every input has limits, no input makes it loop or read beyond its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace berth::net {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kMaxDnsMessage = 65535;
/// What fits a UDP reply for a client that does not say otherwise.
constexpr std::size_t kPlainUdpLimit = 512;

// Not an enum class: messages carry any number.
namespace dns_type {
constexpr std::uint16_t a = 1, ptr = 12, aaaa = 28, opt = 41, any = 255;
}

enum class DnsCode : std::uint8_t {
    no_error = 0,
    format_error = 1,
    server_failure = 2,
    not_implemented = 4,
    refused = 5,
};

struct DnsQuery final {
    std::uint16_t id = 0;
    bool recursion_desired = false;
    DnsCode problem = DnsCode::no_error;  // other: nothing below is known
    std::string name;                     // lower case, without the last dot; "" is the root
    std::uint16_t type = 0;
    std::string question;  // as it was asked, to be repeated
    bool has_edns = false;
    std::size_t udp_limit = kPlainUdpLimit;
};

/// Nothing for what deserves no reply: shorter than a header, or itself a reply.
std::optional<DnsQuery> parse_dns_query(std::string_view message);

/// "4.3.2.1.in-addr.arpa" and "…ip6.arpa" as the address they stand for.
std::optional<IpAddress> reverse_address(std::string_view name);

struct DnsAnswer final {
    DnsCode code = DnsCode::no_error;
    std::vector<IpAddress> addresses;  // of the family that was asked for
    std::string pointer;               // the name, of a reverse look-up
};

/// The reply, of at most `limit` bytes: addresses that do not fit are left out and it is marked as
/// truncated.
std::string dns_reply(const DnsQuery& query, const DnsAnswer& answer, std::size_t limit);

/// Is `message` the reply to the question, and what does it say?
std::optional<DnsCode> dns_reply_code(std::string_view message, const DnsQuery& query,
                                      std::uint16_t id);
/// The same message under another number.
std::string with_dns_id(std::string message, std::uint16_t id);

}  // namespace berth::net
