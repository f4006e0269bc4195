// The log driver syslog, against sockets that stand for the service's, and the driver local.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "shim/log_local.h"
#include "shim/log_syslog.h"

namespace berth::shim {
namespace {

constexpr Timestamp kNoon{1'700'000'000'123'456'789};

class Syslog : public testing::Test {
  protected:
    void SetUp() override {
        ::setenv("TZ", "UTC", 1);
        ::tzset();
        config.driver = "syslog";
        config.syslog.tag = "web";
    }

    /// A loopback socket; its address goes to `config`.
    UniqueFd listen(const char* network, int type) {
        UniqueFd socket{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size);
        if (type == SOCK_STREAM) ::listen(socket.get(), 1);
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
        config.path = fmt::format("{}:127.0.0.1:{}", network, ntohs(address.sin_port));
        return socket;
    }

    static std::string receive(BorrowedFd socket) {
        std::string text(64U << 10, '\0');
        const ssize_t count = ::recv(socket.get(), text.data(), text.size(), 0);
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    }

    LogConfig config;
    EventLoop loop;
};

TEST_F(Syslog, formats_are_dockers) {
    const SyslogOrigin origin{"host", 7, kNoon};
    EXPECT_EQ(syslog_message({3, "", "web"}, origin, 1, "hi"), "<30>Nov 14 22:13:20 web[7]: hi\n");
    EXPECT_EQ(syslog_message({16, "rfc3164", "web"}, origin, 2, "hi"),
              "<131>Nov 14 22:13:20 host web[7]: hi\n");
    EXPECT_EQ(syslog_message({3, "rfc5424", "web"}, origin, 1, "hi"),
              "<30>1 2023-11-14T22:13:20Z host web 7 web - hi\n");
    EXPECT_EQ(syslog_message({3, "rfc5424micro", "web"}, origin, 1, "hi"),
              "<30>1 2023-11-14T22:13:20.123456Z host web 7 web - hi\n");
}

TEST_F(Syslog, a_line_is_a_datagram) {
    const UniqueFd service = listen("udp", SOCK_DGRAM);
    SyslogLog log(loop, config);
    log.write(1, "one\ntwo");
    log.end(1);
    EXPECT_TRUE(receive(service).ends_with("]: one\n"));
    EXPECT_TRUE(receive(service).ends_with("]: two\n"));
}

TEST_F(Syslog, a_tcp_service_gets_everything_however_slow_it_is) {
    const UniqueFd listener = listen("tcp", SOCK_STREAM);
    SyslogLog log(loop, config);
    const UniqueFd service{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)};
    const std::string line(1000, 'x');
    constexpr int kLines = 8000;  // more than the kernel's buffers take
    for (int i = 0; i < kLines && !log.full(); ++i) log.write(2, line + "\n");
    EXPECT_TRUE(log.full());
    log.end(2);
    std::size_t lines = 0;
    loop.watch(service, EPOLLIN, [&](std::uint32_t) {
        const std::string text = receive(service);
        lines += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    });
    log.on_room([&] {
        if (log.idle()) loop.stop();
    });
    loop.run();
    loop.unwatch(service);
    EXPECT_GT(lines, 200U);
    EXPECT_TRUE(log.idle());
}

TEST_F(Syslog, a_service_that_is_not_there_is_named) {
    { listen("tcp", SOCK_STREAM); }
    try {
        SyslogLog log(loop, config);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(),
                  "dial tcp " + config.path.substr(4) + ": connect: connection refused");
    }
}

TEST(LocalRecord, is_a_protocol_buffer_between_its_lengths) {
    const std::string record = encode_local_record(1, {.text = "hi"}, {300});
    EXPECT_EQ(record, std::string("\0\0\0\x0f\x0a\6stdout\x10\xac\x02\x1a\2hi\0\0\0\x0f", 23));
}

}  // namespace
}  // namespace berth::shim
