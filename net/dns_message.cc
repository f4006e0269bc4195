#include "net/dns_message.h"

#include <algorithm>
#include <charconv>
#include "base/text.h"

namespace berth::net {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxRecords = 64;
constexpr std::uint16_t kClassInternet = 1;
// As Docker's server says.
constexpr std::uint32_t kTimeToLive = 600;
// A fragment-free size that we are ready to take ourselves.
constexpr std::uint16_t kOwnUdpLimit = 1232;

constexpr std::uint16_t kReply = 0x8000, kTruncated = 0x0200, kRecursionDesired = 0x0100,
                        kRecursionAvailable = 0x0080, kOpcode = 0x7800;

/// Reads from the front; everything is "nothing" once it read beyond the end.
class Reader final {
  public:
    Reader(std::string_view message, std::size_t at) : message_(message), at_(at) {}

    std::size_t at() const { return at_; }
    std::optional<std::uint8_t> byte() {
        if (at_ >= message_.size()) return std::nullopt;
        return static_cast<std::uint8_t>(message_[at_++]);
    }
    std::optional<std::uint16_t> number() {
        const auto high = byte(), low = byte();
        if (!high || !low) return std::nullopt;
        return static_cast<std::uint16_t>(*high << 8 | *low);
    }
    bool skip(std::size_t count) {
        if (count > message_.size() - at_) return false;
        at_ += count;
        return true;
    }
    /// A name that is spelled out, as in a question.
    std::optional<std::string> name() {
        std::string text;
        for (std::size_t left = kMaxName;;) {
            const auto length = byte();
            if (!length || *length > 63 || *length + 1U > left) return std::nullopt;
            left -= *length + 1U;
            if (*length == 0) return text;
            if (*length > message_.size() - at_) return std::nullopt;
            if (!text.empty()) text += '.';
            for (const char c : message_.substr(at_, *length))
                // A dot or a zero within a label is nobody's name here, but must not look like one.
                text += c == '.' || c == '\0' ? '\\' : to_lower(c);
            at_ += *length;
        }
    }
    /// Past a name that may end in a pointer to elsewhere, which is not followed.
    bool skip_name() {
        for (std::size_t left = kMaxName; left > 0;) {
            const auto length = byte();
            if (!length) return false;
            if (*length == 0) return true;
            if (*length >= 0xc0) return skip(1);
            if (*length > 63 || *length + 1U > left || !skip(*length)) return false;
            left -= *length + 1U;
        }
        return false;
    }

  private:
    std::string_view message_;
    std::size_t at_;
};

class Writer final {
  public:
    void number(std::uint16_t value) {
        text_ += static_cast<char>(value >> 8);
        text_ += static_cast<char>(value & 0xff);
    }
    void long_number(std::uint32_t value) {
        number(static_cast<std::uint16_t>(value >> 16));
        number(static_cast<std::uint16_t>(value & 0xffff));
    }
    void bytes(std::string_view value) { text_ += value; }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// Finds the client's EDNS0 record behind `records` others.
bool read_edns(Reader& reader, std::size_t records, DnsQuery& query) {
    for (std::size_t i = 0; i < records; ++i) {
        if (!reader.skip_name()) return false;
        const auto type = reader.number(), size = reader.number();
        if (!type || !size || !reader.skip(4)) return false;
        const auto length = reader.number();
        if (!length || !reader.skip(*length)) return false;
        if (*type != dns_type::opt) continue;
        query.has_edns = true;
        query.udp_limit = std::max<std::size_t>(kPlainUdpLimit, *size);
    }
    return true;
}

std::string record_of(std::uint16_t type, std::string_view data) {
    Writer record;
    record.number(0xc00c);  // the name of the question
    record.number(type);
    record.number(kClassInternet);
    record.long_number(kTimeToLive);
    record.number(static_cast<std::uint16_t>(data.size()));
    record.bytes(data);
    return record.text();
}

std::string address_bytes(const IpAddress& address) {
    std::string bytes;
    for (int shift = bits_of(address.family) - 8; shift >= 0; shift -= 8)
        bytes += static_cast<char>(static_cast<std::uint8_t>(address.value >> shift));
    return bytes;
}

std::string name_bytes(std::string_view name) {
    std::string bytes;
    while (!name.empty()) {
        const std::string_view label = name.substr(0, name.find('.'));
        name.remove_prefix(std::min(name.size(), label.size() + 1));
        if (label.empty() || label.size() > 63) continue;
        bytes += static_cast<char>(label.size());
        bytes += label;
    }
    return bytes.substr(0, kMaxName - 1) + '\0';
}

std::vector<std::string> records_of(const DnsAnswer& answer) {
    std::vector<std::string> records;
    for (const IpAddress& address : answer.addresses)
        records.push_back(record_of(address.family == IpFamily::v4 ? dns_type::a : dns_type::aaaa,
                                    address_bytes(address)));
    if (!answer.pointer.empty())
        records.push_back(record_of(dns_type::ptr, name_bytes(answer.pointer)));
    return records;
}

std::string edns_record() {
    Writer record;
    record.bytes(std::string_view("\0", 1));
    record.number(dns_type::opt);
    record.number(kOwnUdpLimit);
    record.long_number(0);
    record.number(0);
    return record.text();
}

std::optional<IpAddress> from_ip6_arpa(std::string_view nibbles) {
    constexpr std::size_t kLength = 63;  // 32 digits and the dots between
    if (nibbles.size() != kLength) return std::nullopt;
    IpAddress address{IpFamily::v6, 0};
    for (std::size_t i = kLength + 1; i > 0; i -= 2) {
        const char digit = nibbles[i - 2];
        if (i > 2 && nibbles[i - 3] != '.') return std::nullopt;
        unsigned value = 0;
        if (std::from_chars(&digit, &digit + 1, value, 16).ec != std::errc{}) return std::nullopt;
        address.value = address.value << 4 | value;
    }
    return address;
}

std::optional<IpAddress> from_in_addr_arpa(std::string_view name) {
    std::string text;
    for (int part = 0; part < 4; ++part) {
        const auto dot = name.rfind('.');
        const std::string_view label = dot == name.npos ? name : name.substr(dot + 1);
        text += (text.empty() ? "" : ".") + std::string(label);
        if (dot == name.npos && part < 3) return std::nullopt;
        name = dot == name.npos ? std::string_view() : name.substr(0, dot);
    }
    if (!name.empty() || !IpAddress::is_valid(text)) return std::nullopt;
    return IpAddress::parse(text);
}

}  // namespace

std::optional<DnsQuery> parse_dns_query(std::string_view message) {
    if (message.size() < kHeaderBytes || message.size() > kMaxDnsMessage) return std::nullopt;
    Reader reader(message, 0);
    DnsQuery query;
    query.id = *reader.number();
    const std::uint16_t flags = *reader.number();
    if (flags & kReply) return std::nullopt;
    query.recursion_desired = flags & kRecursionDesired;
    const std::uint16_t questions = *reader.number();
    const std::size_t records = std::size_t{*reader.number()} + *reader.number() + *reader.number();
    const auto fails_with = [&](DnsCode problem) {
        DnsQuery failed{.id = query.id, .recursion_desired = query.recursion_desired};
        failed.problem = problem;
        return failed;
    };
    if (flags & kOpcode) return fails_with(DnsCode::not_implemented);
    if (questions != 1 || records > kMaxRecords) return fails_with(DnsCode::format_error);
    std::optional<std::string> name = reader.name();
    const auto type = reader.number(), dns_class = reader.number();
    if (!name || !type || !dns_class) return fails_with(DnsCode::format_error);
    query.name = std::move(*name);
    query.type = *type;
    query.question = message.substr(kHeaderBytes, reader.at() - kHeaderBytes);
    if (!read_edns(reader, records, query)) return fails_with(DnsCode::format_error);
    return query;
}

std::optional<IpAddress> reverse_address(std::string_view name) {
    constexpr std::string_view kV4 = ".in-addr.arpa", kV6 = ".ip6.arpa";
    if (name.ends_with(kV4)) return from_in_addr_arpa(name.substr(0, name.size() - kV4.size()));
    if (name.ends_with(kV6)) return from_ip6_arpa(name.substr(0, name.size() - kV6.size()));
    return std::nullopt;
}

std::string dns_reply(const DnsQuery& query, const DnsAnswer& answer, std::size_t limit) {
    const std::string edns = query.has_edns ? edns_record() : "";
    std::string body;
    std::uint16_t count = 0;
    const std::vector<std::string> records = records_of(answer);
    for (const std::string& record : records) {
        if (kHeaderBytes + query.question.size() + body.size() + record.size() + edns.size() >
            limit)
            break;
        body += record;
        ++count;
    }
    std::uint16_t flags = kReply | kRecursionAvailable;
    if (query.recursion_desired) flags |= kRecursionDesired;
    if (count < records.size()) flags |= kTruncated;
    Writer reply;
    reply.number(query.id);
    reply.number(static_cast<std::uint16_t>(flags | static_cast<std::uint16_t>(answer.code)));
    reply.number(query.question.empty() ? 0 : 1);
    reply.number(count);
    reply.number(0);
    reply.number(edns.empty() ? 0 : 1);
    reply.bytes(query.question);
    reply.bytes(body);
    reply.bytes(edns);
    return reply.text();
}

std::optional<DnsCode> dns_reply_code(std::string_view message, const DnsQuery& query,
                                      std::uint16_t id) {
    if (message.size() < kHeaderBytes) return std::nullopt;
    Reader reader(message, 0);
    const std::uint16_t found = *reader.number(), flags = *reader.number();
    const std::uint16_t questions = *reader.number();
    const auto code = static_cast<DnsCode>(flags & 0xf);
    if (found != id || !(flags & kReply)) return std::nullopt;
    // A server that could not read the question may leave it out.
    if (questions == 0 && code != DnsCode::no_error) return code;
    const std::string_view asked = message.substr(kHeaderBytes, query.question.size());
    const auto lower = [](char c) { return to_lower(c); };
    if (questions != 1 || !std::ranges::equal(asked, query.question, {}, lower, lower))
        return std::nullopt;
    return code;
}

std::string with_dns_id(std::string message, std::uint16_t id) {
    if (message.size() < 2) return message;
    message[0] = static_cast<char>(id >> 8);
    message[1] = static_cast<char>(id & 0xff);
    return message;
}

}  // namespace berth::net
