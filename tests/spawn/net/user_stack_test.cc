// TCP of containers through libslirp: much data, both ways, byte for byte.
#include <sys/socket.h>

#include "network_world.h"

namespace berth::net {
namespace {

constexpr std::size_t kBytes = 3 << 20;

class UserStackPath : public NetworkWorld {
  protected:
    void SetUp() override {
        config_.spliced_egress = false;
        NetworkWorld::SetUp();
    }

    // The container sends what the server checks, and the other way round.
    void exchange(const Container& box, const std::string& address) {
        const UniqueFd server = listen_tcp(address, 0);
        Child inside = box.run([&] {
            const Connection made = connect_to(Transport::tcp, address, port_of(server));
            if (!made.socket || !send_text(made.socket, text(1))) return 1;
            ::shutdown(made.socket.get(), SHUT_WR);
            return receive_all(made.socket) == text(2) ? 0 : 2;
        });
        UniqueFd connection = accept_one(server);
        EXPECT_TRUE(receive_all(connection) == text(1));
        EXPECT_TRUE(send_text(connection, text(2)));
        connection.reset();
        EXPECT_EQ(inside.wait(), 0);
    }

  private:
    // Without a period that a segment could have.
    static std::string text(std::uint32_t seed) {
        std::string made(kBytes, 0);
        for (char& byte : made) {
            seed = seed * 1'664'525 + 1'013'904'223;
            byte = static_cast<char>(seed >> 24);
        }
        return made;
    }
};

TEST_F(UserStackPath, CarriesDataOfBothFamilies) {
    const Container box = dual_stack_container("c1", 2);
    exchange(box, kHostAddress);
    exchange(box, kHostAddress6);
}

TEST_F(UserStackPath, CarriesDataToANetworkOfSmallFrames) {
    NetworkSpec small = default_network();
    small.mtu = 1500;
    ensure(small);
    const Container box = container("c1");
    Attachment wanted = attachment("c1", 2);
    wanted.pid = box.pid();
    client().attach(wanted, box.network_namespace());
    exchange(box, kHostAddress);
}

}  // namespace
}  // namespace berth::net
