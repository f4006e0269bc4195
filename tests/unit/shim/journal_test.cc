// The log driver journald, against a datagram socket that stands for journald's.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "shim/log_journal.h"

namespace berth::shim {
namespace {

using Fields = std::map<std::string, std::string>;

std::uint64_t le64(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
}

Fields decode(std::string_view message) {
    Fields fields;
    while (!message.empty()) {
        const std::size_t end = message.find('\n');
        const std::string_view line = message.substr(0, end);
        const std::size_t equals = line.find('=');
        if (equals != std::string_view::npos) {
            fields[std::string(line.substr(0, equals))] = line.substr(equals + 1);
            message.remove_prefix(end + 1);
            continue;
        }
        const std::size_t size = le64(message.substr(end + 1));
        fields[std::string(line)] = message.substr(end + 9, size);
        message.remove_prefix(end + 9 + size + 1);
    }
    return fields;
}

class JournalTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/shim-journal-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        directory = name;
        config.driver = "journald";
        config.path = directory + "/socket";
        config.attributes = {{"CONTAINER_ID", "abc"}, {"IMAGE_NAME", "busybox"}};
        listen();
    }
    void TearDown() override { remove_tree(directory); }

    void listen() {
        ::unlink(config.path.c_str());
        journald = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, config.path.c_str(), config.path.size() + 1);
        ASSERT_EQ(::bind(journald.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }

    /// The next message, be it a datagram or a file; empty when there is none.
    Fields next() {
        std::string text(256U << 10, '\0');
        iovec part{text.data(), text.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        const ssize_t size = ::recvmsg(journald.get(), &header, MSG_CMSG_CLOEXEC);
        if (size < 0) return {};
        const cmsghdr* rights = CMSG_FIRSTHDR(&header);
        if (rights == nullptr) return decode(text.substr(0, static_cast<std::size_t>(size)));
        EXPECT_EQ(size, 0);  // journald takes a file only with nothing beside it
        const UniqueFd file{*reinterpret_cast<const int*>(CMSG_DATA(rights))};
        ::lseek(file.get(), 0, SEEK_SET);
        return decode(read_all(file));
    }

    std::string directory;
    LogConfig config;
    UniqueFd journald;
    EventLoop loop;
};

TEST_F(JournalTest, a_line_is_a_message_with_dockers_fields) {
    JournalLog log(loop, config);
    log.write(1, "hello\n");
    log.write(2, "bad = worse\n");
    Fields first = next();
    EXPECT_EQ(first["MESSAGE"], "hello");
    EXPECT_EQ(first["PRIORITY"], "6");
    EXPECT_EQ(first["CONTAINER_ID"], "abc");
    EXPECT_EQ(first["IMAGE_NAME"], "busybox");
    EXPECT_TRUE(first["SYSLOG_TIMESTAMP"].ends_with("Z"));
    EXPECT_FALSE(first.contains("CONTAINER_PARTIAL_MESSAGE"));
    Fields second = next();
    EXPECT_EQ(second["MESSAGE"], "bad = worse");
    EXPECT_EQ(second["PRIORITY"], "3");
}

TEST_F(JournalTest, a_line_waits_for_its_end_and_a_last_one_is_partial) {
    JournalLog log(loop, config);
    log.write(1, "be");
    EXPECT_TRUE(next().empty());
    log.write(1, "gin\nen");
    EXPECT_EQ(next()["MESSAGE"], "begin");
    log.end(1);
    Fields last = next();
    EXPECT_EQ(last["MESSAGE"], "en");
    EXPECT_EQ(last["CONTAINER_PARTIAL_MESSAGE"], "true");
    EXPECT_EQ(last["CONTAINER_PARTIAL_LAST"], "false");
}

TEST_F(JournalTest, pieces_of_a_long_line_belong_together) {
    JournalLog log(loop, config);
    log.write(1, std::string(LineCutter::kMaxLine, 'x') + "y\nshort\n");
    Fields first = next();
    Fields second = next();
    EXPECT_EQ(first["MESSAGE"].size(), LineCutter::kMaxLine);
    EXPECT_EQ(second["MESSAGE"], "y");
    EXPECT_EQ(first["CONTAINER_PARTIAL_LAST"], "false");
    EXPECT_EQ(second["CONTAINER_PARTIAL_LAST"], "true");
    EXPECT_EQ(second["CONTAINER_PARTIAL_ORDINAL"], "2");
    EXPECT_EQ(first["CONTAINER_PARTIAL_ID"], second["CONTAINER_PARTIAL_ID"]);
    EXPECT_FALSE(next().contains("CONTAINER_PARTIAL_MESSAGE"));
}

TEST_F(JournalTest, a_field_with_a_line_break_has_its_length) {
    config.attributes["LABEL"] = "two\nlines";
    JournalLog log(loop, config);
    log.write(1, "x\n");
    EXPECT_EQ(next()["LABEL"], "two\nlines");
}

TEST_F(JournalTest, what_is_too_large_for_a_datagram_goes_as_a_file) {
    config.attributes["LABEL"] = std::string(4U << 20, 'l');
    JournalLog log(loop, config);
    log.write(1, "x\n");
    Fields message = next();
    EXPECT_EQ(message["MESSAGE"], "x");
    EXPECT_EQ(message["LABEL"].size(), 4U << 20);
}

TEST_F(JournalTest, no_journald_is_an_error_at_once) {
    journald.reset();
    EXPECT_THROW(JournalLog(loop, config), Error);
}

TEST_F(JournalTest, a_restarted_journald_is_found_again) {
    JournalLog log(loop, config);
    listen();
    log.write(1, "again\n");
    EXPECT_EQ(next()["MESSAGE"], "again");
}

TEST_F(JournalTest, without_journald_lines_are_lost_and_that_is_said) {
    JournalLog log(loop, config);
    journald.reset();
    EXPECT_THROW(log.write(1, "a\nb\n"), Error);
}

/// More lines than a socket's queue takes, which is some dozens of datagrams at the most.
constexpr int kMany = 5000;

TEST_F(JournalTest, a_slow_journald_gets_everything_in_order) {
    JournalLog log(loop, config);
    std::string lines;
    for (int i = 0; i < kMany / 10; ++i) lines += std::to_string(i) + "\n";
    log.write(1, lines);
    int seen = 0;
    const auto take = [&] {
        for (Fields message = next(); !message.empty(); message = next())
            EXPECT_EQ(message["MESSAGE"], std::to_string(seen++));
        if (seen == kMany / 10) loop.stop();
    };
    loop.watch(journald, EPOLLIN, [&](std::uint32_t) { take(); });
    loop.run();
    EXPECT_EQ(seen, kMany / 10);
    loop.unwatch(journald);
}

TEST_F(JournalTest, a_stuck_journald_holds_the_container_back_for_a_short_time_only) {
    JournalLog log(loop, config);
    bool room = false;
    log.on_room([&] {
        room = true;
        loop.stop();
    });
    std::string lines;
    for (int i = 0; i < kMany; ++i) lines += "a line of some length, to fill the buffer\n";
    log.write(1, lines);
    EXPECT_TRUE(log.full());
    loop.run();
    EXPECT_TRUE(room);
    EXPECT_FALSE(log.full());
}

TEST_F(JournalTest, at_the_end_a_stuck_journald_is_waited_for_without_blocking) {
    JournalLog log(loop, config);
    std::string lines;
    for (int i = 0; i < kMany / 10; ++i) lines += "a line of some length\n";
    log.write(1, lines);
    log.on_room([&] { loop.stop(); });
    const auto begun = std::chrono::steady_clock::now();
    log.end(1);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, LogQueue::kPatience / 2);
    EXPECT_FALSE(log.idle());
    loop.run();
    EXPECT_TRUE(log.idle());
}

TEST_F(JournalTest, in_non_blocking_mode_the_container_never_waits) {
    config.non_blocking = true;
    config.max_buffer = 1000;
    JournalLog log(loop, config);
    std::string lines;
    for (int i = 0; i < kMany; ++i) lines += "line\n";
    EXPECT_THROW(log.write(1, lines), Error);
    EXPECT_FALSE(log.full());
}

}  // namespace
}  // namespace berth::shim
