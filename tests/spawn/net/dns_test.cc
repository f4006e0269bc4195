// DNS inside containers: own names, the way to the host's resolvers, and what stays inside.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "linux/socket_address.h"
#include "net/dns_message.h"
#include "net/dns_server.h"
#include "network_world.h"

namespace berth::net {
namespace {

using namespace std::string_literals;

std::string question(const std::string& name, std::uint16_t type = dns_type::a) {
    std::string message = "\x12\x34\1\0\0\1\0\0\0\0\0\0"s;
    std::size_t at = 0;
    while (at < name.size()) {
        const std::size_t end = std::min(name.find('.', at), name.size());
        message += static_cast<char>(end - at);
        message += name.substr(at, end - at);
        at = end + 1;
    }
    return message + '\0' + static_cast<char>(type >> 8) + static_cast<char>(type & 0xff) + "\0\1"s;
}

std::string framed(const std::string& message) {
    return std::string{static_cast<char>(message.size() >> 8),
                       static_cast<char>(message.size() & 0xff)} +
           message;
}

/// "CODE: last four bytes as an address", "CODE" without records, or what went wrong.
std::string words_of(const std::string& reply) {
    if (reply.size() < 12) return "no reply";
    if (reply.substr(0, 2) != "\x12\x34") return "a foreign number";
    const std::string code = std::to_string(reply[3] & 0xf);
    if (reply[7] == 0) return code;
    std::string text = code + ":";
    for (std::size_t i = reply.size() - 4; i < reply.size(); ++i)
        text += (i + 4 == reply.size() ? " " : ".") +
                std::to_string(static_cast<unsigned char>(reply[i]));
    return text;
}

std::string ask(const std::string& name, Transport transport = Transport::udp,
                std::uint16_t type = dns_type::a, const char* server = kDnsAddress) {
    const Connection client = connect_to(transport, server, kDnsPort);
    if (!client.socket) return ::strerror(client.error);
    const std::string message = question(name, type);
    if (transport == Transport::udp) {
        send_text(client.socket, message);
        return words_of(receive(client.socket));
    }
    send_text(client.socket, framed(message));
    const std::string reply = receive(client.socket);
    return reply.size() < 2 ? "no reply" : words_of(reply.substr(2));
}

/// A resolver that answers every question with one address.
int answer_all(const std::string& address, Transport transport, const IpAddress& truth,
               BorrowedFd ready) {
    const auto reply_to = [&](std::string message) {
        const auto query = parse_dns_query(message);
        if (!query || query->name == "silent.test") return std::string();
        if (query->name == "broken.test")
            return dns_reply(*query, {.code = DnsCode::server_failure}, kPlainUdpLimit);
        return dns_reply(*query, {.addresses = {truth}}, kPlainUdpLimit);
    };
    if (transport == Transport::tcp) {
        const UniqueFd listener = listen_tcp(address, kDnsPort);
        (void)!::write(ready.get(), "r", 1);
        for (;;) {
            const UniqueFd connection = accept_one(listener);
            const std::string message = receive(connection);
            if (message.size() > 2) send_text(connection, framed(reply_to(message.substr(2))));
        }
    }
    const UniqueFd socket = bind_udp(address, kDnsPort);
    (void)!::write(ready.get(), "r", 1);
    for (;;) {
        linux_os::SocketAddress client;
        socklen_t length = linux_os::SocketAddress::capacity();
        std::string message(4096, '\0');
        const ssize_t count =
            ::recvfrom(socket.get(), message.data(), message.size(), 0, client.get(), &length);
        if (count < 0) return 1;
        message.resize(static_cast<std::size_t>(count));
        const std::string reply = reply_to(message);
        if (reply.empty()) continue;
        ::sendto(socket.get(), reply.data(), reply.size(), 0, client.get(), length);
    }
}

class DnsInContainers : public NetworkWorld {
  protected:
    void make_network(bool internal) {
        NetworkSpec spec = default_network();
        spec.name = "mine";
        spec.internal = internal;
        ensure(spec);
    }
    Container named(const std::string& id, int last, std::vector<std::string> names,
                    DnsSettings dns = {}) {
        Container made = container(id);
        Attachment wanted = attachment(id, last);
        wanted.pid = made.pid();
        wanted.names = std::move(names);
        wanted.dns = std::move(dns);
        client().attach(wanted, made.network_namespace());
        return made;
    }
    template <typename Place>
    static Child resolver(const Place& place, const std::string& address, const char* truth,
                          Transport transport = Transport::udp) {
        Pipe ready = Pipe::make();
        const int write_end = ready.write.get();
        Child child = place([&, write_end] {
            return answer_all(address, transport, IpAddress::parse(truth), BorrowedFd{write_end});
        });
        char byte = 0;
        EXPECT_EQ(::read(ready.read.get(), &byte, 1), 1);
        return child;
    }
    static Child host_resolver(const char* truth, Transport transport = Transport::udp) {
        return resolver([](const auto& work) { return Child::run(work); }, kHostAddress, truth,
                        transport);
    }
    /// What `ask` says inside the container.
    static std::string inside(const Container& box, const std::function<std::string()>& asking) {
        Pipe words = Pipe::make();
        Child child = box.run([&] {
            const std::string text = asking();
            (void)!::write(words.write.get(), text.data(), text.size());
            return 0;
        });
        EXPECT_EQ(child.wait(), 0);
        words.write.reset();
        char text[256];
        const ssize_t count = ::read(words.read.get(), text, sizeof text);
        return std::string(text, count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    static std::string lookup(const Container& box, const std::string& name,
                              Transport transport = Transport::udp,
                              std::uint16_t type = dns_type::a) {
        return inside(box, [&] { return ask(name, transport, type); });
    }
};

TEST_F(DnsInContainers, NamesAreServedByUdpAndTcp) {
    make_network(false);
    const Container web = named("c1", 2, {"web"}), db = named("c2", 3, {"db", "store"});
    EXPECT_EQ(lookup(web, "DB"), "0: 172.17.0.3");
    EXPECT_EQ(lookup(web, "store", Transport::tcp), "0: 172.17.0.3");
    EXPECT_EQ(lookup(db, "web"), "0: 172.17.0.2");
    EXPECT_EQ(lookup(web, "db", Transport::udp, dns_type::aaaa), "0");
}

TEST_F(DnsInContainers, AContainerThatLeftIsUnknown) {
    make_network(true);
    const Container web = named("c1", 2, {"web"}), db = named("c2", 3, {"db"});
    client().detach({"c2", "net0", true});
    EXPECT_EQ(lookup(web, "db"), "2");
    EXPECT_EQ(inside(db, [] { return ask("web"); }), "no reply");
}

TEST_F(DnsInContainers, OtherNamesAreAskedOfTheHostsResolver) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    const Child udp = host_resolver("198.51.100.7");
    EXPECT_EQ(lookup(web, "example.test"), "0: 198.51.100.7");
    const Child tcp = host_resolver("198.51.100.8", Transport::tcp);
    EXPECT_EQ(lookup(web, "example.test", Transport::tcp), "0: 198.51.100.8");
}

/// The host's resolv.conf with other words, for a while.
class ResolvConf final {
  public:
    explicit ResolvConf(const std::string& text) { write(text); }
    ~ResolvConf() { write(before_); }

  private:
    static void write(const std::string& text) {
        write_all(open_file("/etc/resolv.conf", O_WRONLY | O_TRUNC), text);
    }
    std::string before_ = read_file("/etc/resolv.conf");
};

TEST_F(DnsInContainers, AChangeOfTheHostsResolversCountsAtOnce) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    const Child first = host_resolver("198.51.100.7");
    const Child second =
        resolver([](const auto& work) { return Child::run(work); }, "127.0.0.53", "198.51.100.53");
    EXPECT_EQ(lookup(web, "example.test"), "0: 198.51.100.7");
    {
        const ResolvConf changed("nameserver 127.0.0.53\n");
        EXPECT_EQ(lookup(web, "example.test"), "0: 198.51.100.53");
    }
    // The next one is asked where the first does not answer, or does not know.
    const ResolvConf two("nameserver 127.0.0.6\nnameserver 127.0.0.53\n");
    EXPECT_EQ(lookup(web, "example.test"), "0: 198.51.100.53");
}

TEST_F(DnsInContainers, AFailingResolverIsAServerFailure) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    EXPECT_EQ(lookup(web, "example.test"), "2");
    EXPECT_EQ(lookup(web, "example.test", Transport::tcp), "2");
    const Child udp = host_resolver("198.51.100.7");
    EXPECT_EQ(lookup(web, "broken.test"), "2");
}

TEST_F(DnsInContainers, InternalNetworksDoNotAskTheHost) {
    make_network(true);
    const Container web = named("c1", 2, {"web"});
    const Child udp = host_resolver("198.51.100.7");
    EXPECT_EQ(lookup(web, "example.test"), "2");
    EXPECT_EQ(lookup(web, "web"), "0: 172.17.0.2");
}

TEST_F(DnsInContainers, OwnServersAreAskedFromTheContainersNetwork) {
    make_network(false);
    const Container dns = container("c1");
    client().attach(attachment("c1", 9), dns.network_namespace());
    const Child server =
        resolver([&](const auto& work) { return dns.run(work); }, "172.17.0.9", "198.51.100.9");
    // The first one does not exist.
    const Container web = named("c2", 2, {"web"}, {.servers = {"172.17.0.1", "172.17.0.9"}});
    EXPECT_EQ(lookup(web, "example.test"), "0: 198.51.100.9");
}

TEST_F(DnsInContainers, AContainersOwnServerMayHavePort53) {
    make_network(false);
    const Container box = named("c1", 2, {"web"});
    const Child server =
        resolver([&](const auto& work) { return box.run(work); }, "0.0.0.0", "198.51.100.1");
    EXPECT_EQ(lookup(box, "web"), "0: 172.17.0.2");
    EXPECT_EQ(inside(box, [] { return ask("web", Transport::udp, dns_type::a, "127.0.0.1"); }),
              "0: 198.51.100.1");
}

TEST_F(DnsInContainers, ComesBackAfterACrash) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    crash_network();
    start_network();
    // As the engine does: this container never ran a program, so its process may not be looked at.
    Attachment again = attachment("c1", 2);
    again.pid = web.pid();
    again.names = {"web"};
    client().attach(again, web.network_namespace());
    EXPECT_EQ(lookup(web, "web"), "0: 172.17.0.2");
}

TEST_F(DnsInContainers, ManyQuestionsOnOneConnection) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    EXPECT_EQ(inside(web,
                     [] {
                         const Connection client =
                             connect_to(Transport::tcp, kDnsAddress, kDnsPort);
                         std::string all;
                         for (int i = 0; i < 1000; ++i) all += framed(question("web"));
                         send_text(client.socket, all);
                         ::shutdown(client.socket.get(), SHUT_WR);
                         const std::size_t reply = framed(question("web")).size() + 16;
                         return std::to_string(receive_all(client.socket).size() / reply);
                     }),
              "1000");
}

TEST_F(DnsInContainers, ManyConnectionsAtOnceAreLimited) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    const int before = open_descriptors(network_.pid());
    const std::string more = inside(web, [&] {
        std::vector<UniqueFd> clients;
        const linux_os::SocketAddress server{IpAddress::parse(kDnsAddress), kDnsPort};
        for (int burst = 0; burst < 4; ++burst) {
            // So that it finds all of them in one round.
            ::kill(network_.pid(), SIGSTOP);
            for (int i = 0; i < 60; ++i) {
                clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
                ::connect(clients.back().get(), server.get(), server.length());
            }
            ::kill(network_.pid(), SIGCONT);
            if (ask("web") != "0: 172.17.0.2") return "no answer"s;
        }
        return std::to_string(open_descriptors(network_.pid()) - before);
    });
    EXPECT_LT(std::atoi(more.c_str()), 80) << more;
    EXPECT_GT(std::atoi(more.c_str()), 0) << more;
}

/// Asks what nobody answers until the name server has enough of it.
std::string flood() {
    const Connection client = connect_to(Transport::udp, kDnsAddress, kDnsPort);
    for (int i = 0; i < 3000; ++i) {
        send_text(client.socket, question("silent.test", dns_type::a));
        pollfd replied{client.socket.get(), POLLIN, 0};
        if (::poll(&replied, 1, i < 300 ? 0 : 1) == 1) return words_of(receive(client.socket));
    }
    return "no end";
}

TEST_F(DnsInContainers, WhoAsksWithoutEndLeavesRoomForTheOthers) {
    make_network(false);
    const Child silent = host_resolver("198.51.100.7");
    std::vector<Container> greedy;
    for (int i = 2; i < 8; ++i) greedy.push_back(named(fmt::format("c{}", i), i, {"greedy"}));
    const Container modest = named("c9", 9, {"modest"});
    for (const Container& box : greedy) EXPECT_EQ(inside(box, flood), "5");
    EXPECT_EQ(lookup(modest, "example.test"), "0: 198.51.100.7");
}

TEST_F(DnsInContainers, GarbageIsOutlived) {
    make_network(false);
    const Container web = named("c1", 2, {"web"});
    inside(web, [] {
        const Connection udp = connect_to(Transport::udp, kDnsAddress, kDnsPort);
        for (const std::string& text : {""s, "x"s, std::string(5000, 'x'), question("a") + "tail",
                                        question("a").substr(0, 14)})
            ::send(udp.socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        const Connection tcp = connect_to(Transport::tcp, kDnsAddress, kDnsPort);
        send_text(tcp.socket, "\xff\xff" + std::string(70000, 'x'));
        return "";
    });
    EXPECT_EQ(lookup(web, "web"), "0: 172.17.0.2");
}

}  // namespace
}  // namespace berth::net
