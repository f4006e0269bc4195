#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/frames.h"
#include "cli/create_request.h"
#include "cli/flags.h"
#include "cli/session.h"
#include "cli/table.h"

namespace berth::cli {
namespace {

Flags parse(const std::vector<std::string>& arguments) {
    return Flags::parse(arguments, container_flags(), Positionals::end_of_flags);
}

TEST(Flags, grouped_letters_and_attached_values) {
    const Flags flags = parse({"-it", "-eA=1", "-e", "B=2", "--name=web", "image", "-x", "--rm"});
    EXPECT_TRUE(flags.on("interactive") && flags.on("tty"));
    EXPECT_EQ(flags.all("env"), (std::vector<std::string>{"A=1", "B=2"}));
    EXPECT_EQ(flags.get("name"), "web");
    EXPECT_EQ(flags.positionals(), (std::vector<std::string>{"image", "-x", "--rm"}));
    EXPECT_FALSE(flags.on("rm"));
}

TEST(Flags, unknown_and_incomplete_flags_are_named) {
    EXPECT_EQ(failure_text([] { parse({"--nonsense"}); }), "unknown flag: --nonsense");
    EXPECT_EQ(failure_text([] { parse({"-Z"}); }), "unknown flag: -Z");
    EXPECT_EQ(failure_text([] { parse({"--name"}); }), "flag needs an argument: --name");
}

TEST(CreateRequest, maps_flags_to_the_api) {
    const auto request =
        create_request(parse({"--rm", "-i", "-m", "64m", "-p", "127.0.0.1:8080:80", "--tmpfs",
                              "/x:size=1m", "img", "sh", "-c", "true"}));
    EXPECT_EQ(request["Image"], "img");
    EXPECT_EQ(request["Cmd"], (nlohmann::json{"sh", "-c", "true"}));
    EXPECT_TRUE(request["StdinOnce"].get<bool>());
    EXPECT_EQ(request["HostConfig"]["Memory"], 64 << 20);
    EXPECT_EQ(request["HostConfig"]["Tmpfs"]["/x"], "size=1m");
    EXPECT_EQ(request["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"], "8080");
}

TEST(Publish, all_forms) {
    EXPECT_EQ(parse_publish("80"), (std::vector<PortBinding>{{"", "", "80/tcp"}}));
    EXPECT_EQ(parse_publish("8080:80/udp"), (std::vector<PortBinding>{{"", "8080", "80/udp"}}));
    EXPECT_EQ(parse_publish("127.0.0.1::80"),
              (std::vector<PortBinding>{{"127.0.0.1", "", "80/tcp"}}));
    EXPECT_EQ(parse_publish("[::1]:81:80"), (std::vector<PortBinding>{{"::1", "81", "80/tcp"}}));
    EXPECT_EQ(parse_publish("8000-8001:80-81"),
              (std::vector<PortBinding>{{"", "8000", "80/tcp"}, {"", "8001", "81/tcp"}}));
}

TEST(Publish, wrong_ports_are_refused) {
    for (const char* bad : {"", "x", "70000", "8000-8002:80-81", "0", "5-4"})
        EXPECT_THROW(parse_publish(bad), Error) << bad;
}

TEST(Bytes, units) {
    EXPECT_EQ(parse_bytes("memory", "512"), 512);
    EXPECT_EQ(parse_bytes("memory", "512b"), 512);
    EXPECT_EQ(parse_bytes("memory", "2K"), 2048);
    EXPECT_EQ(parse_bytes("memory", "1gb"), 1 << 30);
    EXPECT_THROW(parse_bytes("memory", "lots"), Error);
}

TEST(FrameSplitter, joins_headers_and_payloads_cut_anywhere) {
    const std::string stream =
        std::string("\1\0\0\0\0\0\0\5hello", 13) + std::string("\2\0\0\0\0\0\0\3err", 11);
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
        std::array<std::string, 3> seen;
        FrameSplitter splitter([&](int number, std::string_view bytes) {
            seen.at(static_cast<std::size_t>(number)) += bytes;
        });
        splitter.feed(stream.substr(0, cut));
        splitter.feed(stream.substr(cut));
        EXPECT_EQ(seen[1], "hello");
        EXPECT_EQ(seen[2], "err");
    }
}

TEST(FrameSplitter, refuses_an_unknown_stream) {
    FrameSplitter splitter([](int, std::string_view) {});
    EXPECT_THROW(splitter.feed("HTTP/1.1"), Error);
}

TEST(Table, columns_line_up) {
    EXPECT_EQ(format_table({{"A", "B"}, {"long", "x"}}), "A      B\nlong   x\n");
}

TEST(Table, sizes_are_decimal) {
    EXPECT_EQ(human_size(999), "999B");
    EXPECT_EQ(human_size(1'234'567), "1.23MB");
}

}  // namespace
}  // namespace berth::cli
