#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/frames.h"
#include "shim/client.h"
#include "shim/detach_scanner.h"
#include "shim/outbox.h"
#include "shim/process_streams.h"
#include "shim/runtime_call.h"

namespace berth::shim {
namespace {

struct StreamPair final {
    UniqueFd ours, theirs;
    StreamPair() {
        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
            throw_errno("making a socket pair");
        ours.reset(fds[0]);
        theirs.reset(fds[1]);
    }
};

std::string some_bytes(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    return bytes;
}

std::string drain(Outbox& outbox, const StreamPair& pair) {
    std::string result;
    char buffer[65536];
    for (;;) {
        const Outbox::State state = outbox.flush(pair.ours);
        for (;;) {
            const ssize_t count = ::recv(pair.theirs.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (count <= 0) break;
            result.append(buffer, static_cast<std::size_t>(count));
        }
        if (state == Outbox::State::empty) return result;
    }
}

TEST(DetachScanner, finds_the_sequence_across_reads) {
    DetachScanner scanner("\x10\x11");
    const auto first = scanner.scan("ab\x10");
    EXPECT_EQ(first.forward, "ab");
    EXPECT_FALSE(first.detached);
    const auto second = scanner.scan("\x11rest");
    EXPECT_TRUE(second.detached);
    EXPECT_EQ(second.forward, "");
}

TEST(DetachScanner, forwards_a_sequence_that_fails) {
    DetachScanner scanner("\x10\x11");
    EXPECT_EQ(scanner.scan("\x10").forward, "");
    EXPECT_EQ(scanner.scan("x").forward, "\x10x");
}

TEST(DetachScanner, finds_a_sequence_that_begins_within_a_failed_one) {
    DetachScanner scanner("aab");
    const auto result = scanner.scan("aaab");
    EXPECT_EQ(result.forward, "a");
    EXPECT_TRUE(result.detached);
}

TEST(DetachScanner, without_keys_forwards_all) {
    DetachScanner scanner("");
    EXPECT_EQ(scanner.scan("\x10\x11").forward, "\x10\x11");
}

TEST(Frame, has_stream_number_and_big_endian_length) {
    EXPECT_EQ(frame_header(2, 0x01020304), std::string("\x02\0\0\0\x01\x02\x03\x04", 8));
}

TEST(Outbox, sends_at_once_what_fits) {
    StreamPair pair;
    Outbox outbox("/tmp");
    EXPECT_EQ(outbox.send(pair.ours, "head", "body"), Outbox::State::empty);
    char buffer[16];
    EXPECT_EQ(::recv(pair.theirs.get(), buffer, sizeof buffer, MSG_DONTWAIT), 8);
}

TEST(Outbox, is_full_at_its_memory_limit) {
    StreamPair pair;
    Outbox outbox("/tmp");
    const std::string bytes = some_bytes(Outbox::kMemoryLimit * 2);
    EXPECT_EQ(outbox.send(pair.ours, "", bytes), Outbox::State::waiting);
    EXPECT_TRUE(outbox.full());
    EXPECT_EQ(drain(outbox, pair), bytes);
    EXPECT_FALSE(outbox.full());
}

TEST(Outbox, keeps_order_through_the_spool_file) {
    StreamPair pair;
    Outbox outbox("/tmp");
    std::string expected = some_bytes(Outbox::kMemoryLimit * 2);
    outbox.send(pair.ours, "", expected);
    outbox.start_spooling();
    EXPECT_FALSE(outbox.full());
    for (int i = 0; i < 20; ++i) {
        const std::string more = some_bytes(100000 + static_cast<std::size_t>(i));
        outbox.send(pair.ours, "head", more);
        expected += "head" + more;
    }
    EXPECT_TRUE(drain(outbox, pair) == expected);
    EXPECT_FALSE(outbox.spooling());
    EXPECT_TRUE(outbox.empty());
}

TEST(Outbox, tells_a_client_that_is_gone) {
    StreamPair pair;
    pair.theirs.reset();
    Outbox outbox("/tmp");
    EXPECT_EQ(outbox.send(pair.ours, "", "x"), Outbox::State::gone);
}

TEST(RuntimeError, is_the_last_error_record) {
    EXPECT_EQ(last_error_record("{\"level\":\"error\",\"msg\":\"first\"}\n"
                                "{\"level\":\"error\",\"msg\":\"second\"}\n"
                                "{\"level\":\"warning\",\"msg\":\"third\"}\nnonsense\n"),
              "second");
    EXPECT_EQ(last_line("one\ntwo\n\n"), "two");
}

TEST(ProcessStreams, cuts_off_a_client_that_never_takes_its_backlog) {
    EventLoop loop;
    std::string problem;
    ProcessStreams::Settings settings;
    settings.spool_directory = "/tmp";
    settings.backlog_wait = std::chrono::milliseconds{20};
    settings.on_problem = [&](const std::string& text) { problem = text; };
    ProcessStreams streams(loop, std::move(settings));
    ProcessStreams::ChildEnds ends = streams.make_pipes(ProcessStreams::Stdin::null);
    StreamPair pair;
    const int small = 4096;
    ::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    streams.attach(std::move(pair.ours), {false, true, true, Framing::raw, "", ""});
    write_all(ends.stdout_end, some_bytes(60000));
    ends = {};
    streams.open();
    bool finished = false;
    streams.drain([&] {
        streams.finish_clients([&] {
            finished = true;
            loop.stop();
        });
    });
    loop.after(std::chrono::seconds{10}, [&] { loop.stop(); });
    loop.run();
    EXPECT_TRUE(finished);
    EXPECT_FALSE(streams.has_clients());
    EXPECT_NE(problem.find("did not take its backlog"), std::string::npos);
}

}  // namespace
}  // namespace berth::shim
