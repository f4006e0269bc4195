#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "archive/compression.h"
#include "base/error.h"
#include "base/file.h"
#include "engine/containers/files.h"
#include "engine/containers/log_reader.h"
#include "engine/containers/log_setup.h"
#include "engine/containers/start.h"
#include "engine/filters.h"
#include "engine/model/names.h"
#include "engine/model/record.h"
#include "engine/model/status_text.h"
#include "engine/model/times.h"

namespace berth::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(status_text, humanises_durations_as_docker) {
    EXPECT_EQ(model::human_duration(0), "Less than a second");
    EXPECT_EQ(model::human_duration(1), "1 second");
    EXPECT_EQ(model::human_duration(59), "59 seconds");
    EXPECT_EQ(model::human_duration(60), "About a minute");
    EXPECT_EQ(model::human_duration(300), "5 minutes");
    EXPECT_EQ(model::human_duration(3600), "About an hour");
    EXPECT_EQ(model::human_duration(47 * 3600), "47 hours");
    EXPECT_EQ(model::human_duration(13 * 86400), "13 days");
    EXPECT_EQ(model::human_duration(30 * 86400), "4 weeks");
    EXPECT_EQ(model::human_duration(100 * 86400), "3 months");
    EXPECT_EQ(model::human_duration(800LL * 86400), "2 years");
}

TEST(status_text, names_state_and_exit_code) {
    model::State state;
    EXPECT_EQ(model::status_text(state, {}), "Created");
    state.status = model::Status::exited;
    state.exit_code = 3;
    state.finished_at = {100 * kSecond};
    EXPECT_EQ(model::status_text(state, {103 * kSecond}), "Exited (3) 3 seconds ago");
    state.status = model::Status::running;
    state.started_at = {100 * kSecond};
    EXPECT_EQ(model::status_text(state, {400 * kSecond}), "Up 5 minutes");
}

TEST(filters, both_spellings_and_unknown_keys) {
    const Filters filters = Filters::parse(R"({"label":{"a=b":true},"name":["x","y"]})");
    EXPECT_TRUE(filters.labels({{"a", "b"}}));
    EXPECT_FALSE(filters.labels({{"a", "c"}}));
    EXPECT_TRUE(filters.exact("name", "y"));
    EXPECT_FALSE(filters.exact("name", "z"));
    EXPECT_THROW(filters.check_keys({"label"}), Error);
    EXPECT_THROW(Filters::parse("[1]"), Error);
    EXPECT_EQ(failure_text([] { Filters::parse("{"); }), "invalid filter");
    EXPECT_TRUE(Filters::parse("").empty());
}

TEST(filters, a_boolean_may_not_be_both) {
    EXPECT_EQ(Filters::parse(R"({"dangling":["1"]})").boolean("dangling"), true);
    EXPECT_EQ(failure_text([] { Filters::parse(R"({"dangling":["1","0"]})").boolean("dangling"); }),
              "invalid filter 'dangling=[1 0]'");
    EXPECT_EQ(failure_text([] { Filters::parse(R"({"dangling":["x"]})").boolean("dangling"); }),
              "invalid filter 'dangling=[x]'");
}

TEST(filters, a_boolean_counts_what_says_something) {
    EXPECT_EQ(Filters::parse(R"({"dangling":["maybe","1"]})").boolean("dangling"), true);
}

TEST(times, seconds_durations_and_dates) {
    const Timestamp now{1000 * kSecond};
    EXPECT_EQ(model::time_from_query("12.5", now).ns, 12'500'000'000);
    EXPECT_EQ(model::time_from_query("1m30s", now).ns, 910 * kSecond);
    EXPECT_EQ(model::time_from_query("1970-01-01T00:00:01Z", now).ns, kSecond);
    EXPECT_EQ(model::time_from_query("", now).ns, 0);
    for (const char* text : {"soon", "nans", "infs", "1h-2h", "1hnan"})
        EXPECT_THROW(model::time_from_query(text, now), Error) << text;
    EXPECT_EQ(model::time_from_query("-2500000h", {1'700'000'000 * kSecond}).ns, INT64_MAX);
}

TEST(times, waiting_for_a_moment_ends_after_it) {
    EXPECT_EQ(model::steady_time_past({}), SteadyTime::max());
    const SteadyTime before = std::chrono::steady_clock::now();
    EXPECT_LT(model::steady_time_past(Timestamp{1}), before);
    const SteadyTime soon = model::steady_time_past({Timestamp::now().ns + kSecond});
    EXPECT_GT(soon, before + std::chrono::milliseconds(900));
    EXPECT_LT(soon, std::chrono::steady_clock::now() + std::chrono::milliseconds(1100));
}

TEST(names, gives_up_on_words_after_six_tries) {
    int asked = 0;
    const std::string name = model::make_name(
        [&](const std::string&) {
            ++asked;
            return true;
        },
        "0123456789ab");
    EXPECT_EQ(asked, 6);
    EXPECT_EQ(name, "0123456789ab");
    EXPECT_NE(model::make_name([](const std::string&) { return false; }, "x").find('_'),
              std::string::npos);
}

TEST(start_failure, codes_as_docker_reads_the_texts) {
    EXPECT_EQ(start_failure_code("exec: \"x\": executable file not found in $PATH"), 127);
    EXPECT_EQ(start_failure_code("exec /x: Permission denied"), 126);
    EXPECT_EQ(start_failure_code("something else"), 128);
}

TEST(detach_keys, are_read_as_bytes) {
    EXPECT_EQ(detach_key_bytes(""), "\x10\x11");
    EXPECT_EQ(detach_key_bytes("ctrl-a,x"), "\x01x");
    EXPECT_EQ(detach_key_bytes("ctrl-["), "\x1b");
    EXPECT_THROW(detach_key_bytes("ctrl-1"), Error);
}

TEST(log_options, sizes) {
    EXPECT_EQ(size_from("10m"), 10 << 20);
    EXPECT_EQ(size_from("-1"), -1);
    EXPECT_THROW(size_from("10x"), Error);
}

TEST(resolv_conf, loopback_servers_are_left_out) {
    model::ContainerRecord record;
    record.host_config.network_mode = "bridge";
    const std::string text =
        resolv_conf_text(record, {}, "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a b\n");
    EXPECT_EQ(text, "nameserver 192.0.2.1\nsearch a b\n");
}

TEST(record, round_trips) {
    model::ContainerRecord record;
    record.id = std::string(64, 'a');
    record.name = "web";
    record.state.paused_by_engine = true;
    record.config.cmd = {"x"};
    record.mounts.push_back(model::parse_bind("/a:/b:ro"));
    record.bound_ports["80/tcp"] = {{"0.0.0.0", "8080"}};
    record.state.status = model::Status::exited;
    record.state.exit_code = 7;
    const nlohmann::json once = model::to_json(record);
    EXPECT_EQ(model::to_json(model::record_from(once)), once);
}

class LogReaderTest : public testing::Test {
  protected:
    LogReaderTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "berth-log-XXXXXX";
        directory_ = mkdtemp(pattern.data());
        path_ = directory_ + "/x-json.log";
    }
    ~LogReaderTest() override { std::filesystem::remove_all(directory_); }

    static std::string line(const std::string& text, int second, const char* stream = "stdout") {
        return fmt::format(R"({{"log":"{}\n","stream":"{}","time":"1970-01-01T00:00:{:02}Z"}})"
                           "\n",
                           text, stream, second);
    }
    void write(const std::string& name, const std::string& content) {
        replace_file(name, content, 0600, Durability::process);
    }
    std::string read_all(LogSelection selection) {
        selection.kind = StreamKind::raw;
        LogReader reader({path_, format_}, selection);
        std::string all;
        while (true) {
            const LogPiece piece = reader.read();
            all += piece.bytes;
            if (!piece.more) return all;
        }
    }

    static std::string gzip(const std::string& text) {
        archive::StringSink packed;
        archive::GzipSink sink(packed);
        sink.write(text);
        sink.finish();
        return packed.text();
    }

    std::string directory_;
    std::string path_;
    LogFormat format_ = LogFormat::json_lines;
};

TEST_F(LogReaderTest, reads_rotated_files_oldest_first) {
    write(path_ + ".2", line("one", 1));
    write(path_ + ".1", line("two", 2));
    write(path_, line("three", 3));
    EXPECT_EQ(read_all({}), "one\ntwo\nthree\n");
}

TEST_F(LogReaderTest, tail_counts_lines_over_files) {
    write(path_ + ".1", line("one", 1) + line("two", 2));
    write(path_, line("three", 3));
    EXPECT_EQ(read_all({.tail = 2}), "two\nthree\n");
    EXPECT_EQ(read_all({.tail = 0}), "");
}

TEST_F(LogReaderTest, one_read_of_a_big_log_looks_at_a_part_of_it) {
    std::string content;
    for (int i = 0; i < 40000; ++i) content += line("old", 1);
    write(path_, content + line("new", 2));
    LogReader by_time({path_}, {.since = {2 * kSecond}});
    const LogPiece first = by_time.read();
    EXPECT_EQ(first.bytes, "");
    EXPECT_TRUE(first.more);
    EXPECT_EQ(read_all({.since = {2 * kSecond}}), "new\n");
    LogReader by_number({path_}, {.tail = 40000});
    const LogPiece searched = by_number.read();
    EXPECT_EQ(searched.bytes, "");
    EXPECT_TRUE(searched.more);
    EXPECT_EQ(read_all({.tail = 2}), "old\nnew\n");
    EXPECT_EQ(read_all({.tail = 40000}).size(), 39999 * 4 + 4U);
}

TEST_F(LogReaderTest, selects_by_time_and_stream) {
    write(path_, line("a", 1) + line("b", 2, "stderr") + line("c", 3) + line("d", 4));
    EXPECT_EQ(read_all({.since = {2 * kSecond}, .until = {3 * kSecond}}), "b\nc\n");
    EXPECT_EQ(read_all({.stdout_ = false}), "b\n");
}

/// A record of the driver local at the given second; `extra` are further fields.
std::string local_record(const std::string& text, int second, const std::string& extra = "") {
    std::string entry = "\x0a\6stdout\x10";
    for (auto ns = static_cast<std::uint64_t>(second) * kSecond; ns != 0; ns >>= 7U)
        entry += static_cast<char>((ns & 0x7fU) | (ns >= 0x80 ? 0x80U : 0U));
    entry += "\x1a";
    entry += static_cast<char>(text.size());
    entry += text + extra;
    const std::string length{0, 0, 0, static_cast<char>(entry.size())};
    return length + entry + length;
}

TEST_F(LogReaderTest, reads_the_driver_local) {
    format_ = LogFormat::local;
    write(path_ + ".1", local_record("one", 1) + local_record("two", 2));
    write(path_, local_record("three", 3));
    EXPECT_EQ(read_all({}), "one\ntwo\nthree\n");
    EXPECT_EQ(read_all({.tail = 2}), "two\nthree\n");
    EXPECT_EQ(read_all({.tail = 0}), "");
    EXPECT_EQ(read_all({.tail = 9}), "one\ntwo\nthree\n");
    EXPECT_EQ(read_all({.since = {2 * kSecond}, .until = {2 * kSecond}}), "two\n");
}

TEST_F(LogReaderTest, pieces_of_a_line_are_joined) {
    format_ = LogFormat::local;
    write(path_, local_record("a", 1, "\x20\1") + local_record("b", 1, "\x20\1\x2a\2\x08\1"));
    EXPECT_EQ(read_all({}), "ab\n");
}

TEST_F(LogReaderTest, a_damaged_local_file_ends_there) {
    format_ = LogFormat::local;
    write(path_, local_record("one", 1) + "\xff\xff\xff\xff garbage");
    EXPECT_EQ(read_all({}), "one\n");
    EXPECT_EQ(read_all({.tail = 1}), "one\n");
}

TEST_F(LogReaderTest, compressed_files_are_read_too) {
    write(path_ + ".2.gz", gzip(line("one", 1) + line("two", 2)));
    write(path_ + ".1", line("three", 3));
    write(path_, line("four", 4));
    EXPECT_EQ(read_all({}), "one\ntwo\nthree\nfour\n");
    EXPECT_EQ(read_all({.tail = 3}), "two\nthree\nfour\n");
    write(path_ + ".2.gz", gzip(line("one", 1)).substr(0, 20));
    EXPECT_EQ(read_all({.tail = 2}), "three\nfour\n");
}

TEST_F(LogReaderTest, no_file_is_missed_when_several_rotations_lie_between_two_reads) {
    write(path_, line("one", 1));
    LogReader reader({path_}, {.kind = StreamKind::raw});
    EXPECT_EQ(reader.read().bytes, "one\n");
    EXPECT_FALSE(reader.read().more);
    std::filesystem::rename(path_, path_ + ".3");
    write(path_ + ".2", line("two", 2));
    write(path_ + ".1", line("three", 3));
    write(path_, line("four", 4));
    std::string all;
    for (LogPiece piece = reader.read(); piece.more; piece = reader.read()) all += piece.bytes;
    EXPECT_EQ(all, "two\nthree\nfour\n");
    // The one that was read last is compressed by now.
    write(path_ + ".1.gz", gzip(line("four", 4)));
    std::filesystem::remove(path_ + ".1");
    write(path_, line("five", 5));
    EXPECT_EQ(reader.read().bytes, "five\n");
}

TEST_F(LogReaderTest, absent_file_is_empty) { EXPECT_EQ(read_all({}), ""); }

TEST(log_render, frames_carry_stream_and_length) {
    LogRecord record{.text = "hi\n", .from_stderr = true, .at = {kSecond}};
    const std::string bytes = render(record, {.timestamps = true});
    EXPECT_EQ(bytes.substr(8), "1970-01-01T00:00:01.000000000Z hi\n");
    EXPECT_EQ(bytes[0], 2);
    EXPECT_EQ(static_cast<std::size_t>(bytes[7]), bytes.size() - 8);
}

}  // namespace
}  // namespace berth::engine
