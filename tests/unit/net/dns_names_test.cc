#include "net/dns_names.h"

#include <gtest/gtest.h>

#include <set>

namespace berth::net {
namespace {

DnsQuery query(std::string name, std::uint16_t type = dns_type::a) {
    DnsQuery query;
    query.name = std::move(name);
    query.type = type;
    return query;
}

class Names : public testing::Test {
  protected:
    Names() {
        names.set_networks(std::vector<NetworkSpec>{
            {.id = "n1", .name = "Front"}, {.id = "n2", .name = "back", .internal = true}});
        add("c1", "n1", "172.18.0.2/16", {"web", "c1short"});
        add("c2", "n1", "172.18.0.3/16", {"db", "store"}, "fd01::3/64");
        add("c3", "n2", "172.19.0.2/16", {"cache"});
    }
    void add(const char* container, const char* network, const char* address,
             std::vector<std::string> known_as, const char* v6 = "") {
        names.add({.container = container,
                   .network_id = network,
                   .address = address,
                   .address_v6 = v6,
                   .names = std::move(known_as)});
    }
    /// "-" when it is for other servers.
    std::string ask(const char* container, const std::string& name,
                    std::uint16_t type = dns_type::a) {
        const auto answer = names.answer(container, query(name, type));
        if (!answer) return "-";
        std::string text = answer->pointer;
        for (const IpAddress& address : answer->addresses)
            text += (text.empty() ? "" : " ") + address.str();
        return text;
    }
    DnsNames names;
};

TEST_F(Names, OfTheOwnNetworkAreKnown) {
    EXPECT_EQ(ask("c1", "db"), "172.18.0.3");
    EXPECT_EQ(ask("c1", "store"), "172.18.0.3");
    EXPECT_EQ(ask("c1", "web"), "172.18.0.2");
    EXPECT_EQ(ask("c1", "db", dns_type::aaaa), "fd01::3");
}

TEST_F(Names, OfOtherNetworksAreNot) {
    EXPECT_EQ(ask("c1", "cache"), "-");
    EXPECT_EQ(ask("c3", "web"), "-");
    EXPECT_EQ(ask("stranger", "web"), "-");
}

TEST_F(Names, ThatAreOursAreNeverAskedElsewhere) {
    EXPECT_EQ(ask("c1", "web", dns_type::aaaa), "");
    EXPECT_EQ(ask("c1", "web", 15), "");
}

TEST_F(Names, MayCarryTheNetworksName) {
    EXPECT_EQ(ask("c1", "db.front"), "172.18.0.3");
    EXPECT_EQ(ask("c1", "db.back"), "-");
    EXPECT_EQ(ask("c1", ".front"), "-");
}

TEST_F(Names, OfSeveralContainersTakeTurns) {
    add("c4", "n1", "172.18.0.4/16", {"db"});
    std::set<std::string> orders{ask("c1", "db"), ask("c1", "db")};
    EXPECT_EQ(orders, (std::set<std::string>{"172.18.0.3 172.18.0.4", "172.18.0.4 172.18.0.3"}));
}

TEST_F(Names, OfALinkAreSeenByItsContainerOnly) {
    names.add({.container = "c5",
               .network_id = "n1",
               .address = "172.18.0.5/16",
               .names = {"linked"},
               .links = {{"Database", "db"}}});
    EXPECT_EQ(ask("c5", "database"), "172.18.0.3");
    EXPECT_EQ(ask("c1", "database"), "-");
}

TEST_F(Names, ChangeAndGo) {
    add("c2", "n1", "172.18.0.3/16", {"renamed"});
    EXPECT_EQ(ask("c1", "db"), "-");
    EXPECT_EQ(ask("c1", "renamed"), "172.18.0.3");
    names.remove("c2", "n1");
    EXPECT_EQ(ask("c1", "renamed"), "-");
    EXPECT_FALSE(names.has("c2"));
}

TEST_F(Names, AreFoundInReverse) {
    EXPECT_EQ(ask("c1", "3.0.18.172.in-addr.arpa", dns_type::ptr), "db.Front");
    EXPECT_EQ(ask("c1", "2.0.19.172.in-addr.arpa", dns_type::ptr), "-");
    EXPECT_EQ(ask("c1", "example.org", dns_type::ptr), "-");
}

TEST_F(Names, ASingleLabelStaysWhenNdotsIsSet) {
    names.add({.container = "c6",
               .network_id = "n1",
               .address = "172.18.0.6/16",
               .names = {"six"},
               .dns = {.servers = {"192.0.2.53", "junk"}, .options = {"ndots:2"}}});
    EXPECT_EQ(ask("c6", "elsewhere"), "");
    EXPECT_EQ(ask("c6", "elsewhere.org"), "-");
    EXPECT_EQ(names.servers("c6"), std::vector{IpAddress::parse("192.0.2.53")});
}

TEST_F(Names, AreNotAskedOfTheServerThatAsks) {
    names.add({.container = "c7",
               .network_id = "n1",
               .address = "172.18.0.7/16",
               .names = {"seven"},
               .dns = {.servers = {"127.0.0.11"}}});
    EXPECT_TRUE(names.servers("c7").empty());
}

TEST_F(Names, AContainerOfInternalNetworksStaysInside) {
    EXPECT_TRUE(names.may_leave("c1"));
    EXPECT_FALSE(names.may_leave("c3"));
    add("c3", "n1", "172.18.0.9/16", {"cache"});
    EXPECT_TRUE(names.may_leave("c3"));
}

TEST_F(Names, AMalformedQuestionIsToldSo) {
    DnsQuery bad;
    bad.problem = DnsCode::format_error;
    EXPECT_EQ(names.answer("c1", bad)->code, DnsCode::format_error);
}

}  // namespace
}  // namespace berth::net
