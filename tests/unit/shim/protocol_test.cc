#include "shim/protocol.h"

#include <gtest/gtest.h>

namespace berth::shim {
namespace {

template <typename T>
T request_round_trip(const T& request) {
    return std::get<T>(parse_request(encode(RequestMessage{7, request})).request);
}

TEST(ShimConfig, survives_a_round_trip) {
    ShimConfig config;
    config.id = std::string(64, 'a');
    config.runtime_program = "/opt/runtime";
    config.runtime_arguments = {"--debug"};
    config.runtime_root = "/run/runtime";
    config.bundle = "/run/c/a";
    config.rootfs = {RootfsKind::overlay, {"/l/2", "/l/1"}, "/up", "/work", "", ""};
    config.rootfs.uid_mapping = "0:1:5";
    config.mounts = {{{.kind = RootfsKind::path, .path = "/v", .subpath = "a/b"}, "/run/c/a/m"}};
    config.log = {"json-file", "/log", 1000, 3, true, {{"label", "x"}}};
    config.log.tls = {"logs.test", false, "/ca", "/cert", "/key"};
    config.terminal = config.open_stdin = config.stdin_once = true;
    config.console_height = 25;
    config.console_width = 80;
    const ShimConfig read = parse_shim_config(encode(config));
    EXPECT_EQ(read.runtime_arguments, config.runtime_arguments);
    EXPECT_EQ(read.rootfs.kind, RootfsKind::overlay);
    EXPECT_EQ(read.rootfs.lowerdirs, config.rootfs.lowerdirs);
    EXPECT_EQ(read.rootfs.uid_mapping, "0:1:5");
    ASSERT_EQ(read.mounts.size(), 1U);
    EXPECT_EQ(read.mounts[0].mount.subpath, "a/b");
    EXPECT_EQ(read.mounts[0].target, "/run/c/a/m");
    EXPECT_EQ(read.log.max_size, 1000);
    EXPECT_EQ(read.log.attributes, config.log.attributes);
    EXPECT_EQ(read.log.tls.name + read.log.tls.authorities, "logs.test/ca");
    EXPECT_EQ(read.log.tls.certificate + read.log.tls.key, "/cert/key");
    EXPECT_FALSE(read.log.tls.verified);
    EXPECT_TRUE(read.log.compress && read.terminal && read.open_stdin && read.stdin_once);
    EXPECT_EQ(read.console_width, 80);
}

TEST(ShimConfig, without_a_runtime_is_refused) {
    EXPECT_THROW(parse_shim_config(R"({"v":1,"id":"x"})"), Error);
}

TEST(ShimConfig, of_another_version_is_refused) {
    EXPECT_THROW(parse_shim_config(R"({"v":2})"), Error);
}

TEST(Request, attach_keeps_bytes_that_are_no_text) {
    AttachRequest attach;
    attach.streams = {
        true, false, true, Framing::raw, std::string("\x10\x11", 2), std::string("\0\xff", 2)};
    const AttachRequest read = request_round_trip(attach);
    EXPECT_TRUE(read.streams.stdin_stream && !read.streams.stdout_stream);
    EXPECT_EQ(read.streams.framing, Framing::raw);
    EXPECT_EQ(read.streams.detach_keys, attach.streams.detach_keys);
    EXPECT_EQ(read.streams.prefix, attach.streams.prefix);
}

TEST(Request, exec_carries_its_process) {
    ExecRequest exec;
    exec.exec_id = "e1";
    exec.process_json = R"({"args":["true"]})";
    exec.terminal = true;
    const ExecRequest read = request_round_trip(exec);
    EXPECT_EQ(read.process_json, exec.process_json);
    EXPECT_TRUE(read.terminal);
}

TEST(Request, resize_without_exec_id_is_of_process_one) {
    const ResizeRequest read = request_round_trip(ResizeRequest{std::nullopt, 40, 120});
    EXPECT_FALSE(read.exec_id);
    EXPECT_EQ(read.height, 40);
}

TEST(Request, of_unknown_type_is_refused) {
    EXPECT_THROW(parse_request(R"({"v":1,"type":"dance","seq":1})"), Error);
}

TEST(Request, with_a_window_too_large_is_refused) {
    EXPECT_THROW(parse_request(R"({"v":1,"type":"resize","seq":1,"height":70000})"), Error);
}

TEST(Reply, carries_an_error) {
    Reply reply;
    reply.seq = 9;
    reply.error = Error(ErrorKind::not_found, "gone");
    const auto read = std::get<Reply>(parse_from_shim(encode(reply)));
    EXPECT_EQ(read.seq, 9U);
    ASSERT_TRUE(read.error);
    EXPECT_EQ(read.error->kind(), ErrorKind::not_found);
    EXPECT_EQ(read.error->message(), "gone");
}

TEST(Reply, carries_the_state) {
    Reply reply;
    reply.state = StateReply{ProcessStatus::exited, 0, 137, 42, true, {{"e", 5, false, 3}}};
    const auto read = std::get<Reply>(parse_from_shim(encode(reply)));
    ASSERT_TRUE(read.state);
    EXPECT_EQ(read.state->status, ProcessStatus::exited);
    EXPECT_EQ(read.state->exit_code, 137);
    EXPECT_TRUE(read.state->oom);
    ASSERT_EQ(read.state->execs.size(), 1U);
    EXPECT_EQ(read.state->execs[0].exit_code, 3);
}

TEST(Event, exec_exit_names_its_exec) {
    const auto read =
        std::get<ExecExitEvent>(parse_from_shim(encode(FromShim{ExecExitEvent{"e", 4}})));
    EXPECT_EQ(read.exec_id, "e");
    EXPECT_EQ(read.exit_code, 4);
}

TEST(Event, an_oom_kill_is_one_of_its_own) {
    EXPECT_TRUE(std::holds_alternative<OomEvent>(parse_from_shim(encode(FromShim{OomEvent{}}))));
}

TEST(ExitRecord, survives_a_round_trip) {
    const ExitRecord read = parse_exit_record(encode(ExitRecord{3, 99, false, "boot"}));
    EXPECT_EQ(read.exit_code, 3);
    EXPECT_EQ(read.exited_at, 99);
    EXPECT_EQ(read.boot_id, "boot");
}

TEST(Hex, refuses_what_is_none) {
    EXPECT_EQ(from_hex("00fF"), std::string("\0\xff", 2));
    EXPECT_THROW(from_hex("0"), Error);
    EXPECT_THROW(from_hex("0g"), Error);
}

}  // namespace
}  // namespace berth::shim
