// The names of containers on user-defined networks, and what a container may ask about them: names
// of its own networks, its own links, addresses in reverse. Pure and not thread-safe; the DNS
// thread owns it.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/dns_message.h"
#include "net/protocol.h"

namespace berth::net {

/// Where the name servers of the network process are, in each container that has one.
constexpr const char* kDnsAddress = "127.0.0.11";

class DnsNames final {
  public:
    void set_networks(std::span<const NetworkSpec> networks);
    /// Replaces what is known of that container on that network.
    void add(const Attachment& attachment);
    void remove(const std::string& container, const std::string& network_id);

    /// What we answer ourselves; nothing when it is for an upstream server.
    std::optional<DnsAnswer> answer(const std::string& container, const DnsQuery& query);
    /// False for a container all of whose networks are internal.
    bool may_leave(const std::string& container) const;
    /// Of --dns; empty: the host's.
    std::vector<IpAddress> servers(const std::string& container) const;
    bool has(const std::string& container) const { return containers_.contains(container); }

  private:
    struct Endpoint final {
        Attachment attachment;
        std::vector<std::string> names;            // lower case
        std::map<std::string, std::string> links;  // lower case
    };
    using Endpoints = std::vector<Endpoint>;

    struct Found final {
        bool known = false;
        std::vector<IpAddress> addresses;
    };
    Found find(const Endpoint& asking, const std::string& name, IpFamily family) const;
    Found find_anywhere(const Endpoints& asking, const std::string& name, IpFamily family) const;
    std::optional<std::string> name_at(const Endpoints& asking, const IpAddress& address) const;
    std::optional<DnsAnswer> answer_name(const Endpoints& asking, const DnsQuery& query);

    std::map<std::string, NetworkSpec> networks_;  // by id
    std::map<std::string, Endpoints> containers_;  // in the order they were attached
    std::size_t turn_ = 0;                         // round robin
};

}  // namespace berth::net
