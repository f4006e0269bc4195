#include "net/dns_message.h"

#include <gtest/gtest.h>

namespace berth::net {
namespace {

using namespace std::string_literals;

std::string header(std::uint16_t flags, char questions = 1, char additional = 0) {
    return "\x12\x34"s + static_cast<char>(flags >> 8) + static_cast<char>(flags & 0xff) + '\0' +
           questions + "\0\0\0\0\0"s + additional;
}

const std::string kWeb = "\3WeB\4test\0\0\1\0\1"s;
const std::string kEdns = "\0\0\x29\x10\0\0\0\0\0\0\0"s;

DnsQuery query_of(const std::string& message) {
    const auto query = parse_dns_query(message);
    EXPECT_TRUE(query);
    return query.value_or(DnsQuery{});
}

TEST(DnsQuery, NameIsLowerCaseAndTheQuestionAsItWas) {
    const DnsQuery query = query_of(header(0x0100) + kWeb);
    EXPECT_EQ(query.id, 0x1234);
    EXPECT_EQ(query.problem, DnsCode::no_error);
    EXPECT_EQ(query.name, "web.test");
    EXPECT_EQ(query.type, dns_type::a);
    EXPECT_EQ(query.question, kWeb);
    EXPECT_EQ(query.udp_limit, kPlainUdpLimit);
    EXPECT_TRUE(query.recursion_desired);
}

TEST(DnsQuery, EdnsSaysHowLongAReplyMayBe) {
    const DnsQuery query = query_of(header(0x0100, 1, 1) + kWeb + kEdns);
    EXPECT_TRUE(query.has_edns);
    EXPECT_EQ(query.udp_limit, 4096U);
}

TEST(DnsQuery, WhatDeservesNoReply) {
    EXPECT_FALSE(parse_dns_query(""));
    EXPECT_FALSE(parse_dns_query("short"));
    EXPECT_FALSE(parse_dns_query(header(0x8100) + kWeb));
}

TEST(DnsQuery, MalformedOnesAreToldSo) {
    EXPECT_EQ(query_of(header(0x0100)).problem, DnsCode::format_error);
    EXPECT_EQ(query_of(header(0x0100) + "\3we"s).problem, DnsCode::format_error);
    EXPECT_EQ(query_of(header(0x0100, 2) + kWeb + kWeb).problem, DnsCode::format_error);
    EXPECT_EQ(query_of(header(0x0100, 1, 1) + kWeb).problem, DnsCode::format_error);
    // A pointer to itself.
    EXPECT_EQ(query_of(header(0x0100) + "\xc0\x0c\0\1\0\1"s).problem, DnsCode::format_error);
    EXPECT_EQ(query_of(header(0x2800) + kWeb).problem, DnsCode::not_implemented);
}

TEST(DnsQuery, ANameOfMoreThan255BytesIsMalformed) {
    std::string name;
    for (int i = 0; i < 5; ++i) name += '\x3f' + std::string(63, 'a');
    EXPECT_EQ(query_of(header(0) + name + "\0\0\1\0\1"s).problem, DnsCode::format_error);
}

TEST(DnsQuery, ADotWithinALabelIsNoSeparator) {
    EXPECT_EQ(query_of(header(0) + "\3a.b\0\0\1\0\1"s).name, "a\\b");
}

TEST(DnsReply, CarriesAddressesUnderTheQuestionsNumber) {
    const DnsQuery query = query_of(header(0x0100) + kWeb);
    const std::string reply =
        dns_reply(query, {.addresses = {IpAddress::parse("172.18.0.2")}}, kPlainUdpLimit);
    EXPECT_EQ(reply, "\x12\x34\x81\x80\0\1\0\1\0\0\0\0"s + kWeb +
                         "\xc0\x0c\0\1\0\1\0\0\x02\x58\0\4\xac\x12\0\2"s);
    EXPECT_EQ(dns_reply_code(reply, query, 0x1234), DnsCode::no_error);
}

TEST(DnsReply, WhatDoesNotFitIsTruncated) {
    const DnsQuery query = query_of(header(0x0100) + kWeb);
    const DnsAnswer many{.addresses = std::vector(100, IpAddress::parse("172.18.0.2"))};
    const std::string reply = dns_reply(query, many, kPlainUdpLimit);
    EXPECT_LE(reply.size(), kPlainUdpLimit);
    EXPECT_TRUE(reply[2] & 0x02);
    EXPECT_FALSE(dns_reply(query, many, kMaxDnsMessage)[2] & 0x02);
}

TEST(DnsReply, IsRecognizedByNumberAndQuestion) {
    const DnsQuery query = query_of(header(0x0100) + kWeb);
    const std::string reply = header(0x8180) + "\3web\4TEST\0\0\1\0\1"s;
    EXPECT_EQ(dns_reply_code(reply, query, 0x1234), DnsCode::no_error);
    EXPECT_FALSE(dns_reply_code(reply, query, 0x1235));
    EXPECT_FALSE(dns_reply_code(header(0x8180) + "\3wex\4test\0\0\1\0\1"s, query, 0x1234));
    EXPECT_FALSE(dns_reply_code(header(0x0180) + kWeb, query, 0x1234));
    EXPECT_EQ(dns_reply_code(header(0x8182, 0), query, 0x1234), DnsCode::server_failure);
    EXPECT_EQ(with_dns_id(reply, 0xabcd).substr(0, 2), "\xab\xcd");
}

TEST(ReverseAddress, OfBothFamilies) {
    EXPECT_EQ(reverse_address("2.0.18.172.in-addr.arpa"), IpAddress::parse("172.18.0.2"));
    EXPECT_EQ(reverse_address("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.8.d.f"
                              ".ip6.arpa"),
              IpAddress::parse("fd88::2"));
    EXPECT_FALSE(reverse_address("18.172.in-addr.arpa"));
    EXPECT_FALSE(reverse_address("1.2.3.4.5.in-addr.arpa"));
    EXPECT_FALSE(reverse_address("x.0.18.172.in-addr.arpa"));
    EXPECT_FALSE(reverse_address("2.0.ip6.arpa"));
    EXPECT_FALSE(reverse_address("in-addr.arpa"));
}

}  // namespace
}  // namespace berth::net
