// The messages of docs/processes.md "Engine ⇄ network" and the configuration the supervisor sends,
// as plain types with their JSON form. No IO here: linux/message_socket.h carries the records and
// net/client.h is a ready blocking client. Decoders throw Error{invalid} naming the member.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace berth::net {

/// MTU of tap, bridges and veths unless a network sets its own. libslirp ends each TCP connection,
/// so the real network never sees it, and it makes the path 4 to 6 times as fast as 1500.
constexpr int kFastMtu = 65520;

/// What the network process takes from the `config` of the supervisor's `configure`. That is the
/// whole configuration of the daemon, so `exec-root` and `log-level` are read as daemon.json spells
/// them; the other keys are the process's own.
struct ProcessConfig final {
    std::string socket;                // where to listen; empty: EXEC-ROOT/network.sock
    std::string state_file;            // what survives a crash; empty: beside the socket
    std::string log_level = "info";    //
    int tap_mtu = kFastMtu;            //
    bool tap_ipv6 = true;              // the tap has IPv6 where the kernel has
    bool allow_host_loopback = false;  // 10.0.2.2 reaches 127.0.0.1 of the host
    bool spliced_egress = true;        // daemon.json: "features": {"spliced-egress": false}
};

/// A bridge in the container network namespace. Addresses are texts in CIDR form, empty when the
/// family is not used.
struct NetworkSpec final {
    std::string id;
    std::string name;
    std::string bridge;      // interface name, at most 15 bytes
    std::string subnet;      // "172.17.0.0/16"
    std::string gateway;     // "172.17.0.1"; the bridge's own address
    std::string subnet_v6;   //
    std::string gateway_v6;  //
    int mtu = 0;             // 0: kFastMtu
    bool internal = false;
    bool icc = true;
    bool masquerade = true;
    bool operator==(const NetworkSpec&) const = default;
};

/// What --dns, --dns-search and --dns-option say; an empty list is the host's at that moment.
struct DnsSettings final {
    std::vector<std::string> servers;
    std::vector<std::string> search;
    std::vector<std::string> options;
    bool operator==(const DnsSettings&) const = default;
};

/// One interface of a container.
struct Attachment final {
    std::string container;   // id
    std::string network_id;  //
    std::string interface = "eth0";
    std::string address;  // "172.17.0.2/16"
    std::string gateway;  // empty: none
    std::string address_v6;
    std::string gateway_v6;
    std::string mac;  // empty: the kernel's choice
    bool default_route = true;
    /// The container's process 1, whose end ends what is served inside its namespace; 0: unknown.
    std::int64_t pid = 0;
    /// Which network namespace that is; noted by the network process for the next one.
    std::uint64_t namespace_inode = 0;
    /// What others on this network call the container (name, aliases, short id). Not empty exactly
    /// on user-defined networks, whose containers are served DNS at 127.0.0.11.
    std::vector<std::string> names;
    /// Settings of the interface inside the container: "ipv4/conf/IFNAME/log_martians" -> "1".
    std::map<std::string, std::string> sysctls;
    /// Names that only this container sees, and the name on this network that they stand for.
    std::map<std::string, std::string> links;
    DnsSettings dns;  // the same in all attachments of a container
    bool operator==(const Attachment&) const = default;
};

enum class Transport { tcp, udp, sctp };
std::string_view to_string(Transport transport);
/// Throws Error{invalid} for anything but tcp, udp, sctp.
Transport transport_from(std::string_view text);

/// A published port. In a request: host_ip "" is both families with one shared number, host_port 0
/// is an ephemeral port, host_port_end > host_port is "the first free one of the range". In a
/// reply: what was really bound, one entry a family.
struct PortBinding final {
    Transport transport = Transport::tcp;
    std::string host_ip;
    std::uint16_t host_port = 0;
    std::uint16_t host_port_end = 0;
    std::string container_ip;
    /// Where clients of the IPv6 family go; empty: to container_ip, as the gateway's client.
    std::string container_ip_v6;
    std::uint16_t container_port = 0;
    bool operator==(const PortBinding&) const = default;
};

/// The bindings of one container.
struct PublishedPorts final {
    std::string container;
    std::vector<PortBinding> bindings;
    /// The directory of the container's log: where that grows a server may just have begun to
    /// listen. Empty: none.
    std::string output = {};
    bool operator==(const PublishedPorts&) const = default;
};

struct EnsureNetwork final {
    NetworkSpec network;
};
struct RemoveNetwork final {
    std::string id;
};
/// Descriptor: the container's network namespace.
struct Attach final {
    Attachment attachment;
};
/// Descriptor: the container's network namespace.
struct Loopback final {};
struct Detach final {
    std::string container;
    std::string network_id;
    /// Take the interface out of a container that lives on. A container that ended needs it not:
    /// its namespace takes the interface along.
    bool remove_interface = false;
};
/// Where the default routes of a container go from now on; an empty gateway is none. Descriptor:
/// the container's network namespace.
struct SetDefaultRoute final {
    std::string container;
    std::string gateway, interface;        // interface of the IPv4 route
    std::string gateway_v6, interface_v6;  // and of the IPv6 route
};
/// Descriptor, optional: the container's network namespace.
struct Publish final {
    PublishedPorts ports;
    /// What the container has already stays as it is, and is the answer.
    bool unless_published = false;
};
struct Unpublish final {
    std::string container;
};
/// All attachments and ports of a container that ended.
struct Release final {
    std::string container;
    /// Its network namespace lives on in other containers: the interfaces go now.
    bool remove_interfaces = false;
};
/// All that the engine knows: other networks, attachments and ports are of a life that it does not
/// remember, and go.
struct Keep final {
    std::vector<std::string> networks, containers;  // ids
};
struct GetState final {};

using Request = std::variant<EnsureNetwork, RemoveNetwork, Attach, Loopback, Detach,
                             SetDefaultRoute, Release, Keep, Publish, Unpublish, GetState>;

struct NumberedRequest final {
    std::int64_t seq = 0;
    Request request;
};

/// Everything the network process holds; also the content of its state file.
struct NetworkState final {
    std::vector<NetworkSpec> networks;
    std::vector<Attachment> attachments;
    std::vector<PublishedPorts> bindings;
    std::vector<std::string> warnings;  // what works worse than it should, in words for the user
    bool operator==(const NetworkState&) const = default;
};

struct Reply final {
    std::int64_t seq = 0;
    std::optional<Error> error;
    std::vector<PortBinding> bindings;  // of publish
    NetworkState state;                 // of state
};

std::string encode_request(const NumberedRequest& request);
NumberedRequest decode_request(std::string_view text);
/// The sequence number of a record that may be malformed otherwise; 0 when it has none.
std::int64_t sequence_of(std::string_view text);

std::string encode_empty_reply(std::int64_t seq);
std::string encode_error_reply(std::int64_t seq, const Error& error);
std::string encode_bindings_reply(std::int64_t seq, const std::vector<PortBinding>& bindings);
std::string encode_state_reply(std::int64_t seq, const NetworkState& state);
/// Reads any reply; members that it lacks are empty.
Reply decode_reply(std::string_view text);

nlohmann::json to_json(const ProcessConfig& config);
ProcessConfig process_config_from(const nlohmann::json& value);
std::string encode_state(const NetworkState& state);
NetworkState decode_state(std::string_view text);

}  // namespace berth::net
